"""POST /tokens/{secret}: whoever has the address of a one-time link may answer it. No login, no CSRF token."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from django_workflows import conf
from django_workflows.api.openapi import PROBLEM_TYPE
from django_workflows.api.problems import Problem, Refused, problem_of
from django_workflows.api.requests import parse_json
from django_workflows.client import answer_token

_FORM = "application/x-www-form-urlencoded"


@csrf_exempt
@login_not_required
@never_cache
@sensitive_variables("secret")
def answer(request: HttpRequest, secret: str) -> HttpResponse:
    """202 when the answer is stored; 404 for an unknown address, 410 for one that was used or is over.

    A GET changes nothing: programs that look at the links in a mail must not answer for people.
    """
    if request.method != "POST":
        detail = _("Answer this link by POST; the body is the answer, as JSON. Looking at it changes nothing.")
        return _refused(Problem(status=405, type="method-not-allowed", detail=detail, headers={"Allow": "POST"}))
    try:
        answer_token(secret, _value(request))
    except Exception as error:
        if (problem := problem_of(error)) is None:
            raise
        return _refused(problem)
    return JsonResponse({"status": "accepted"}, status=202)


def _value(request: HttpRequest) -> Any:
    """The answer: JSON, or the fields of a form; nothing at all is an empty object."""
    body = _body(request, conf.max_payload_bytes())
    if not body.strip():
        return {}
    if request.content_type == _FORM:
        return QueryDict(body).dict()
    return parse_json(body)


def _body(request: HttpRequest, most: int) -> bytes:
    """At most so many bytes, whatever the header says. A middleware may have read them already."""
    body = request.body if hasattr(request, "_body") else request.read(most + 1)
    if len(body) > most:
        detail = _("An answer has at most %(most)s bytes.") % {"most": f"{most:,}"}
        raise Refused(Problem(status=413, type="too-large", detail=detail))
    return body


def _refused(problem: Problem) -> HttpResponse:
    return JsonResponse(
        problem.document(), status=problem.status, headers=dict(problem.headers), content_type=PROBLEM_TYPE
    )
