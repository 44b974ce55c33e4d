"""Fields that take what they say and nothing that could be bent into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_workflows import codec
from django_workflows.api.openapi import schema_of
from django_workflows.authoring.names import KEY_LENGTH, NAME_LENGTH, problem_with

_WHOLE = re.compile(r"-?\d{1,18}")
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")


class Text(serializers.CharField):
    """A text; a number is none."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Name(Text):
    """What may name a workflow, step, signal, event, queue or key: not empty, no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", NAME_LENGTH)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if (problem := problem_with(text, self.max_length or NAME_LENGTH)) is not None:
            raise serializers.ValidationError(problem)
        return text


class Key(Name):
    """A key is a longer name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"max_length": KEY_LENGTH} | kwargs))


class Whole(serializers.IntegerField):
    """A whole number: of a JSON document, no text; of a query, digits."""

    def to_internal_value(self, data: Any) -> int:
        is_number = isinstance(data, int) and not isinstance(data, bool)
        if not is_number and not (self.context.get("query") and isinstance(data, str) and _WHOLE.fullmatch(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """true or false; in a JSON document nothing else."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    """One of a few words, which the error names."""

    default_error_messages = {"invalid_choice": _("%(input)r is none of them. Choose one of: %(choices)s.")}

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        if key != "invalid_choice":
            super().fail(key, **kwargs)
        told = {"input": str(kwargs["input"])[:100], "choices": ", ".join(map(str, self.choices))}
        raise serializers.ValidationError(self.error_messages[key] % told, code=key)


class Moment(serializers.DateTimeField):
    """A moment in ISO 8601. In a query the + of its offset may have become a space."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="ISO 8601")
        try:
            return super().to_internal_value(_LOST_PLUS.sub("+", value))
        except OverflowError:
            self.fail("invalid", format="ISO 8601")


@schema_of({"oneOf": [{"type": "string", "maxLength": 100}, {"type": "number"}]})
class Span(serializers.Field[Any, Any, Any, Any]):
    """A duration: seconds, or a text like "5 minutes". What it means is checked where it is used."""

    default_error_messages = {"invalid": _('Give seconds, or a text like "5 minutes".')}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float) or len(str(data)) > 100:
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@schema_of({})
class AnyJson(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value; how large and how deep is the codec's business."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@schema_of({})
class Payload(AnyJson):
    """A stored value, without what stands under a key that `REDACT` names."""

    def to_representation(self, value: Any) -> Any:
        return codec.redact(value)


class Reason(serializers.CharField):
    """Why something happened; it may quote an error, and that a value."""

    def to_representation(self, value: Any) -> str:
        return codec.redact_text(super().to_representation(value))


@schema_of({"type": "object", "additionalProperties": {}})
class JsonObject(AnyJson):
    """A JSON object."""

    default_error_messages = {"invalid": _("Must be an object.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.fail("invalid")
        return dict(data)


@schema_of({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}})
class Tags(JsonObject):
    """Names, each with a text, number or boolean."""
