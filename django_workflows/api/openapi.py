"""Descriptions for drf-spectacular, where it is installed; without it they are left out and all else works."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Required, TypedDict, TypeVar, Unpack

from rest_framework.schemas.openapi import AutoSchema as RestSchema

from django_workflows.authoring.names import ENGINE_KEYS

try:
    INSTALLED = importlib.util.find_spec("drf_spectacular") is not None
except ValueError:  # somebody has made it unimportable
    INSTALLED = False

if INSTALLED:
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.types import OpenApiTypes
    from drf_spectacular.utils import (
        OpenApiExample,
        OpenApiParameter,
        OpenApiResponse,
        PolymorphicProxySerializer,
        extend_schema,
        extend_schema_field,
    )

F = TypeVar("F", bound=Callable[..., Any])

PROBLEM_TYPE = "application/problem+json"

PROBLEMS = {
    400: "The request is wrong; `errors` says where.",
    401: "Nobody is logged in.",
    403: "A permission is missing; `detail` names it.",
    404: "It does not exist, or not for this user.",
    409: "The present state does not allow it; `detail` says what would.",
    413: "The body or a value in it is too large.",
    415: "The body is not JSON.",
    503: "Busy, or the database does not answer; `Retry-After` says when to come back.",
}


def automatic_schema() -> Any:
    """The inspector for a view's attribute `schema`."""
    return AutoSchema() if INSTALLED else RestSchema()


def schema_of(schema: Mapping[str, Any]) -> Callable[[F], F]:
    """The JSON schema of a field."""
    return extend_schema_field(dict(schema)) if INSTALLED else _unchanged


class About(TypedDict, total=False):
    """What a method takes and answers.

    `answers` are shapes by status, `body` and `query` those of the request, `problems` the statuses of errors.
    `examples` are bodies by name, `answer` is an example of the first answer. `key` says that it honours
    Idempotency-Key.
    """

    tag: Required[str]
    answers: Required[Mapping[Any, Any]]
    body: Any
    query: Sequence[Any]
    examples: Mapping[str, Any]
    answer: Any
    problems: Sequence[int]
    key: bool


def describe(id: str, summary: str, **about: Unpack[About]) -> Callable[[F], F]:
    """Describe a view's method by its name and in words."""
    if not INSTALLED:
        return _unchanged
    body, problems = about.get("body"), sorted({400, 503, *about.get("problems", (401, 403, 404))})
    decorate: Callable[[Any], Any] = extend_schema(
        operation_id=id,
        summary=summary,
        tags=[about["tag"]],
        request={"application/json": body} if isinstance(body, dict) else body,
        parameters=[*about.get("query", ()), *([_KEY] if about.get("key") else [])],
        responses={**about["answers"], **{(code, PROBLEM_TYPE): _problem(code) for code in problems}},
        examples=_examples(about),
    )

    def description(method: F) -> F:
        # else it would extend the project's DEFAULT_SCHEMA_CLASS, which may be another generator's
        method.kwargs = {"schema": AutoSchema}  # type: ignore[attr-defined]  # where drf-spectacular looks for it
        described: F = decorate(method)
        return described

    return description


def _examples(about: About) -> list[Any]:
    bodies = about.get("examples", {}).items()
    found = [OpenApiExample(name, value=value, request_only=True) for name, value in bodies]
    if answer := about.get("answer"):
        first = next(iter(about["answers"]))
        code = str(first[0] if isinstance(first, tuple) else first)
        found.append(OpenApiExample("Answer", value=answer, response_only=True, status_codes=[code]))
    return found


def either(name: str, *shapes: Any) -> Any:
    """One shape or another."""
    return (
        PolymorphicProxySerializer(
            component_name=name, serializers=[*shapes], resource_type_field_name=None, many=False
        )
        if INSTALLED
        else None
    )


def postprocess(document: dict[str, Any]) -> dict[str, Any]:
    """What the generator cannot be told: how problems look, and that nothing unknown is taken."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in schemas.items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    _tidy(document)
    schemas["Problem"] = PROBLEM_SCHEMA
    return document


def _tidy(node: Any) -> None:
    """Take out what only the generator needs, and types that are named twice."""
    if isinstance(node, dict):
        node.pop("x-spec-enum-id", None)
        if isinstance(types := node.get("type"), list):
            node["type"] = list(dict.fromkeys(types))
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tidy(inner)


def _problem(code: int) -> Any:
    return OpenApiResponse(response={"$ref": "#/components/schemas/Problem"}, description=PROBLEMS[code])


def _unchanged(thing: F) -> F:
    return thing


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}

if INSTALLED:
    _KEY = OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^(?!{'|'.join(ENGINE_KEYS)})"},
        OpenApiParameter.HEADER,
        description="The same key again answers with what the first request made, and makes nothing. "
        f"Those that begin with {', '.join(ENGINE_KEYS)} are the engine's own.",
    )
    TEXT: Any = OpenApiTypes.STR
    LAST_EVENT_ID: Any = OpenApiParameter(
        "Last-Event-ID", str, OpenApiParameter.HEADER, description="The id of the last event that was read."
    )
else:
    TEXT = LAST_EVENT_ID = None
