"""POST /webhooks/{path}: whoever can sign a delivery may start what its webhook triggers. No login, no CSRF token."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from django_workflows.api.openapi import PROBLEM_TYPE
from django_workflows.api.problems import FieldError, Problem
from django_workflows.triggers.webhooks.deliveries import Refusal
from django_workflows.triggers.webhooks.receiving import Request, body_is_gone, receive


@csrf_exempt
@login_not_required
def receive_webhook(request: HttpRequest, path: str) -> HttpResponse:
    """Answers with problem+json, or with the execution's id once it is committed."""
    try:
        answer = receive(
            Request(
                path=path,
                method=str(request.method),
                headers=request.headers,
                read=lambda most: _read(request, most),
                url=_url(request),
                query=request.GET.dict(),
            )
        )
    except Refusal as refusal:
        return _refused(refusal)
    except UnreadablePostError:
        return _refused(Refusal(400, "malformed", _("The body did not arrive.")))
    if isinstance(answer.body, str):
        headers = {"X-Content-Type-Options": "nosniff"}
        return HttpResponse(
            answer.body, status=answer.status, content_type="text/plain; charset=utf-8", headers=headers
        )
    return JsonResponse(dict(answer.body), status=answer.status)


def _read(request: HttpRequest, most: int) -> bytes:
    """The body as far as needed. A middleware may have read it all already, and kept it or not."""
    if hasattr(request, "_body"):
        return request.body
    if getattr(request, "_read_started", False):
        raise body_is_gone(_("a middleware (%(names)s)") % {"names": ", ".join(_suspects()) or "MIDDLEWARE"})
    return request.read(most)


def _suspects() -> list[str]:
    """What the project has added to Django's own middlewares, which leave the body alone."""
    return [name for name in settings.MIDDLEWARE if not name.startswith("django.")]


def _url(request: HttpRequest) -> str:
    """The address at which it arrived; empty for a host that the project does not serve."""
    try:
        return request.build_absolute_uri()
    except DisallowedHost:
        return ""


def _refused(refusal: Refusal) -> HttpResponse:
    errors = [FieldError(field=name, message=message) for name, message in refusal.errors]
    problem = Problem(status=refusal.status, type=refusal.type, detail=refusal.detail, errors=errors)
    headers = refusal.headers | {"Cache-Control": "no-store"}
    return JsonResponse(problem.document(), status=refusal.status, headers=headers, content_type=PROBLEM_TYPE)
