"""`inputSchema`: JSON Schema (2020-12) without what could reach out or run for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from django_workflows.declarative.effort import Effort, TooMuchEffort, errors
from django_workflows.exceptions import InvalidInput

MOST_SCHEMAS = 500  # within one another; each map of names counts as one
MOST_VALUES = 3_000  # in `enum`, `const`, `required` and the like
WHOLE = "__all__"  # the place of an error that belongs to no argument, as in Django's forms
MOST_ERRORS = 20
REFUSED = {
    "$ref": "References are not followed; write out what it refers to.",
    "$dynamicRef": "References are not followed; write out what it refers to.",
    "pattern": "Regular expressions are not accepted here; check the form of a text in a step.",
    "patternProperties": "Regular expressions are not accepted here.",
    "uniqueItems": "It would compare each item with each; check that in a step.",
}
_NAMES = ("properties", "$defs", "definitions", "dependentSchemas")  # their keys are names, not keywords
_DATA = ("const", "enum", "default", "examples")  # not schemas
_IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas")  # about the same value
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_TOO_LARGE = (
    f"It is too large to be checked in time: at most {MOST_SCHEMAS} schemas, and {MOST_VALUES} values to compare with. "
    "Check the rest in a step."
)
_TOO_SLOW = "It takes too long to check by the inputSchema: give less at once, or check it in a step."


def problems_with(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a schema, by path within it."""
    if schema.get("type", "object") != "object":
        yield "type", 'The input is an object: the type must be "object".'
    if _size(schema) > 0:
        yield "", _TOO_LARGE
        return
    yield from _refused(schema, "")
    try:
        error = best_match(errors(Draft202012Validator.META_SCHEMA, dict(schema), Effort()))
    except TooMuchEffort:
        yield "", _TOO_LARGE
    except RecursionError:
        yield "", "It is nested too deep."
    else:
        if error is not None:
            yield ".".join(str(part) for part in error.path), f"This is no JSON Schema: {error.message[:300]}"


def check(schema: Mapping[str, Any], input: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` naming each argument that does not fit, and when that takes too long to find out."""
    found: dict[str, list[str]] = {}
    try:
        for error in islice(errors(schema, input, Effort()), MOST_ERRORS):
            for name, message in _messages(error):
                found.setdefault(name, []).append(message)
    except TooMuchEffort:
        raise InvalidInput({WHOLE: [_TOO_SLOW]}) from None
    except Exception as error:  # a number beyond all bounds, a schema that was stored past all checks
        raise InvalidInput({WHOLE: [f"It cannot be checked by the inputSchema: {error!r:.300}"]}) from error
    if found:
        raise InvalidInput(found)


def _messages(error: ValidationError) -> Iterator[tuple[str, str]]:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, Mapping):
        for name in error.validator_value:  # type: ignore[union-attr]  # the schema has been checked
            if name not in error.instance:
                yield (f"{path}.{name}" if path else str(name)), "This argument is required."
    else:
        yield path or WHOLE, error.message[:300]


def _refused(schema: Any, path: str, *, unevaluated: bool = False) -> Iterator[tuple[str, str]]:
    """`unevaluated`: a schema around this one, for the same value, asks what this one has evaluated."""
    if isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from _refused(inner, f"{path}.{number}", unevaluated=unevaluated)
    if not isinstance(schema, Mapping):
        return
    asks = any(key in schema for key in _UNEVALUATED)
    for key, inner in schema.items():
        place = f"{path}.{key}" if path else key
        below = key in _IN_PLACE and (asks or unevaluated)
        if key in REFUSED:
            yield place, REFUSED[key]
        elif key in _UNEVALUATED and unevaluated:
            yield place, "One within another takes a time that doubles with each: keep the outer one."
        elif key in _NAMES and isinstance(inner, Mapping):
            for name, one in inner.items():
                yield from _refused(one, f"{place}.{name}", unevaluated=below)
        elif key not in _DATA:
            yield from _refused(inner, place, unevaluated=below)


def _size(schema: Any) -> float:
    """How much larger it is than it may be; negative or 0 when it is small enough."""
    schemas = values = 0
    waiting: list[tuple[Any, bool]] = [(schema, False)]
    while waiting and schemas <= MOST_SCHEMAS and values <= MOST_VALUES:
        value, is_data = waiting.pop()
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        if is_data or not isinstance(value, Mapping | list | bool):
            values += 1
        else:
            schemas += not isinstance(value, list)
        keys = value if isinstance(value, Mapping) else [""] * len(inner)
        waiting += [(one, is_data or key in _DATA) for key, one in zip(keys, inner, strict=True)]
    return max(schemas - MOST_SCHEMAS, values - MOST_VALUES)
