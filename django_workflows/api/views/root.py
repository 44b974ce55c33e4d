"""/: what there is."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import __version__
from django_workflows.api import fields
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import INSTALLED, describe
from django_workflows.api.outside import OUTSIDE
from django_workflows.api.serializers.common import Shape


class RouteDocument(Shape):
    """An address and what can be done there."""

    path = serializers.CharField()
    methods = fields.AnyJson()
    what = serializers.CharField()


class RootDocument(Shape):
    """What there is."""

    name = serializers.CharField()
    version = serializers.CharField()
    documentation = serializers.CharField(allow_null=True)
    openapi = serializers.CharField(allow_null=True)
    routes = RouteDocument(many=True)


class Root(ApiView):
    """What there is."""

    routes: tuple[tuple[str, type[ApiView]], ...] = ()

    @describe("discover", "List the addresses of this API", tag="api", answers={200: RootDocument}, problems=(401, 403))
    def get(self, request: Request) -> Response:
        base = reverse("django_workflows:root")
        document: dict[str, Any] = {
            "name": "django-workflows",
            "version": __version__,
            "documentation": f"{base}docs/" if INSTALLED else None,
            "openapi": f"{base}openapi.json" if INSTALLED else None,
            "routes": [
                {"path": f"{base}{path}", "methods": _methods(view), "what": (view.__doc__ or "").splitlines()[0]}
                for path, view in self.routes
            ]
            + [{"path": f"{base}{path}", "methods": ["POST"], "what": f"{what}."} for path, what in OUTSIDE],
        }
        return Response(document)


def _methods(view: type[ApiView]) -> list[str]:
    return [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)]
