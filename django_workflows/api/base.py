"""What all views share: JSON in and out, the project's own authentication, our permissions, problems as answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from django.db import DataError, connections, transaction
from django.utils.translation import gettext as _
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_workflows.api import problems
from django_workflows.api.access import Access
from django_workflows.api.openapi import automatic_schema
from django_workflows.api.paging import Page
from django_workflows.api.requests import JsonParser, Strict, checked


class AlwaysJson(BaseContentNegotiation):
    """The answer is JSON, whatever was asked for: an error is read in any case."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser for the body's media type; a body without one is taken for JSON."""
        kind = (request.content_type or "application/json").partition(";")[0].strip().lower()
        fits = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
        return next(iter(parsers)) if fits else None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class Permitted(BasePermission):
    """Somebody who is logged in and has what the view's method requires; rows are checked where they are found."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not getattr(user, "is_authenticated", False):
            return False
        required = getattr(view, "requires", {}).get("GET" if request.method == "HEAD" else request.method, ())
        Access(user).require(*required)
        return True


class ApiView(APIView):
    """`requires` names for each method the permissions that its caller must have for all rows.

    A method that is about one row leaves them out and asks `access` with that row. `queried` are the methods that have
    parameters in the query; elsewhere one is an error. `waits` says that a request may take its time.
    """

    http_method_names = ["get", "post", "put", "patch", "delete", "head"]  # `Allow` names no others

    renderer_classes = (JSONRenderer,)
    parser_classes = (JsonParser,)
    permission_classes = (Permitted,)
    content_negotiation_class = AlwaysJson
    versioning_class = None
    metadata_class = None
    schema = automatic_schema()

    requires: ClassVar[Mapping[str, Sequence[str]]] = {}
    queried: ClassVar[Sequence[str]] = ()
    waits: ClassVar[bool] = False

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        if not cls.waits:
            return view
        # under ATOMIC_REQUESTS it would look at the same snapshot all the time, and hold it
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else request.method
        if method in self.allowed_methods and method not in self.queried:
            checked(Strict, request.query_params)

    def perform_authentication(self, request: Request) -> None:
        """A name or a key that the database cannot even look for is nobody's: one with a NUL, or half a character."""
        try:
            super().perform_authentication(request)
        except (ValueError, DataError):
            raise AuthenticationFailed(_("The credentials hold characters that no name or key has.")) from None

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        told = {"method": request.method, "allowed": ", ".join(self.allowed_methods)}
        raise MethodNotAllowed(str(request.method), _("%(method)s is not possible here, but %(allowed)s.") % told)

    def get_exception_handler(self) -> Callable[[Exception, Mapping[str, Any]], Response | None]:
        return problems.handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    @cached_property
    def access(self) -> Access:
        return Access(self.request.user)

    def query(self, shape: type[Strict]) -> dict[str, Any]:
        """The query, by its shape. Raises `ValidationError`."""
        return checked(shape, self.request.query_params)

    def body(self, shape: type[Strict]) -> dict[str, Any]:
        """The body, by its shape; none at all counts as an empty object. Raises `ValidationError`."""
        return checked(shape, self.request.data)

    def page(self, page: Page) -> Response:
        return Response(page.document(self.request))
