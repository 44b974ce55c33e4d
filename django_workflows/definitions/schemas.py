"""`inputSchema`: JSON Schema (2020-12) without what could reach out or run for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from django_workflows.exceptions import InvalidInput

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


def problems_with(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a schema, by path within it."""
    if schema.get("type", "object") != "object":
        yield "type", 'The input is an object: the type must be "object".'
    yield from _refused(schema, "")
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        yield ".".join(str(part) for part in error.path), f"This is no JSON Schema: {error.message[:300]}"
    except RecursionError:
        yield "", "It is nested too deep."


def check(schema: Mapping[str, Any], input: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` naming each argument that does not fit."""
    errors: dict[str, list[str]] = {}
    for number, error in enumerate(Draft202012Validator(dict(schema)).iter_errors(input)):
        if number == MOST_ERRORS:
            break
        for name, message in _messages(error):
            errors.setdefault(name, []).append(message)
    if errors:
        raise InvalidInput(errors)


def _messages(error: ValidationError) -> Iterator[tuple[str, str]]:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, Mapping):
        for name in error.validator_value:  # type: ignore[union-attr]  # the schema has been checked
            if name not in error.instance:
                yield (f"{path}.{name}" if path else str(name)), "This argument is required."
    else:
        yield path or WHOLE, error.message[:300]


def _refused(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from _refused(inner, f"{path}.{number}")
    if not isinstance(schema, Mapping):
        return
    for key, inner in schema.items():
        place = f"{path}.{key}" if path else key
        if key in REFUSED:
            yield place, REFUSED[key]
        elif key in _NAMES and isinstance(inner, Mapping):
            for name, one in inner.items():
                yield from _refused(one, f"{place}.{name}")
        elif key not in _DATA:
            yield from _refused(inner, place)
