"""What comes in: JSON of bounded size and depth, and nothing that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from django_workflows import codec, conf
from django_workflows.api.problems import Problem, Refused, invalid
from django_workflows.authoring.names import problem_with_key
from django_workflows.exceptions import PayloadError

KEY_HEADER = "Idempotency-Key"
KEY_MEMBER = "idempotency_key"  # the same as a member of a document


class JsonParser(BaseParser):
    """JSON, read no further than the limit."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request: Request = (parser_context or {})["request"]
        if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() not in {"", "identity"}:
            raise UnsupportedMediaType(
                "", detail=_("A compressed body is not read here: send it without Content-Encoding.")
            )
        most = conf.api_max_body_bytes()
        if _announced(request) > most:
            raise _too_large(most)
        body = stream.read(most + 1)
        if len(body) > most:
            raise _too_large(most)
        return parse_json(body)


def _announced(request: Request) -> int:
    length = str(request.META.get("CONTENT_LENGTH") or "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises `ParseError`. The codec refuses what is too deep to be stored."""
    try:
        return codec.decode(body)
    except (PayloadError, ValueError, RecursionError) as error:
        reason = str(error.__cause__ or error).removeprefix("JSON is malformed: ")[:300]
        raise ParseError(_("The body is no valid JSON: %(error)s") % {"error": reason}) from None


def _too_large(most: int) -> Refused:
    detail = _("The body is larger than %(most)s bytes.") % {"most": f"{most:,}"}
    return Refused(Problem(status=413, type="too-large", detail=detail))


class Strict(serializers.Serializer[Any]):
    """Fields of a request; one that nobody knows is an error that names those there are."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            known = ", ".join(self.fields)
            told = _("Unknown. The fields are: %(known)s.") % {"known": known} if known else _("There is no such one.")
            raise serializers.ValidationError({name: [told] for name in unknown[:20]})
        return super().to_internal_value(data)


def checked(shape: type[Strict], data: Any) -> dict[str, Any]:
    """What a body or a query says, by its shape. Raises `ValidationError`."""
    is_query = isinstance(data, QueryDict)
    serializer = shape(data=_plain(shape, data) if is_query else data, context={"query": is_query})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _plain(shape: type[Strict], query: QueryDict) -> dict[str, Any]:
    """A query as a document: an empty value is one, and a name that comes twice is a list where one is wanted."""
    known = shape().fields
    lists = {name for name, field in known.items() if isinstance(field, serializers.ListField)}
    return {name: values if name in lists else values[-1] for name, values in query.lists()}


def idempotency_key(request: Request) -> str | None:
    """The caller's key for this request, if it has one. Raises `ValidationError`."""
    return checked_key(request.headers.get(KEY_HEADER))


def checked_key(key: str | None) -> str | None:
    """A key that a caller may have. Raises `ValidationError`."""
    if key is not None and (problem := problem_with_key(key)) is not None:
        raise invalid(KEY_HEADER, problem)
    return key
