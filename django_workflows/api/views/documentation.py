"""/openapi.json and /docs/: what the API says of itself."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from django.apps import apps
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import __version__
from django_workflows.api import outside
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import INSTALLED, postprocess
from django_workflows.api.problems import Problem, Refused

if INSTALLED:
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.settings import patched_settings

SIDECAR = "drf_spectacular_sidecar"
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
DESCRIPTION = """\
Start durable workflows, steer their executions, publish events, follow what happens.

Errors are `application/problem+json` with a list of fields. Lists come in pages: follow `next` until it is null.
Who may do what is decided by the permissions of Django's users; inputs, outputs and errors are shown to those with
`django_workflows.view_payload`.
"""

# The generator's settings are global while it works.
_lock = threading.Lock()


class OpenApi(ApiView):
    """The description of this API in OpenAPI 3.1."""

    queried: ClassVar = ("GET",)

    http_method_names = ["get", "head"]
    schema = None

    def get(self, request: Request) -> Response:
        if not INSTALLED:
            raise _missing(_("drf-spectacular is not installed: pip install 'django-workflows[openapi]'."))
        document = description(reverse("django_workflows:root"), get_language() or "en")
        return Response(document, content_type="application/vnd.oai.openapi+json")


class Docs(ApiView):
    """The same as pages, which need nothing from other servers."""

    queried: ClassVar = ("GET",)

    http_method_names = ["get", "head"]
    schema = None

    def get(self, request: Request) -> HttpResponse:
        if not (INSTALLED and apps.is_installed(SIDECAR)):
            raise _missing(
                _(
                    "The pages need drf-spectacular with its sidecar: pip install 'django-workflows[openapi]', and add "
                    "'drf_spectacular_sidecar' to INSTALLED_APPS."
                )
            )
        context = {"schema": reverse("django_workflows:openapi")}
        response = render(request._request, "django_workflows/api_docs.html", context)
        response.headers["Content-Security-Policy"] = POLICY
        return response


def _missing(detail: str) -> Refused:
    return Refused(Problem(status=501, type="not-installed", detail=detail))


@functools.lru_cache(maxsize=8)
def description(mount: str, language: str) -> dict[str, Any]:
    """The description of the API at this place; made once for each language."""
    settings = {
        "TITLE": "django-workflows",
        "VERSION": __version__,
        "DESCRIPTION": DESCRIPTION,
        "OAS_VERSION": "3.1.1",
        "SCHEMA_PATH_PREFIX": "",
        "SCHEMA_PATH_PREFIX_INSERT": mount.rstrip("/"),
        "COMPONENT_SPLIT_REQUEST": True,
        "COMPONENT_SPLIT_PATCH": False,
        "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
        "POSTPROCESSING_HOOKS": [],
        "PREPROCESSING_HOOKS": [],
        "SORT_OPERATIONS": False,
    }
    with _lock, patched_settings(settings):
        generator: Callable[..., Any] = SchemaGenerator
        found: dict[str, Any] = generator(urlconf="django_workflows.urls").get_schema(request=None, public=True)
    found["paths"] |= outside.paths(mount)
    return postprocess(found)
