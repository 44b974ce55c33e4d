"""What documents have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from django_workflows import codec
from django_workflows.api import fields
from django_workflows.inspection.titles import error_type


class Shape(serializers.Serializer[Any]):
    """A document. The fields in `hidden` are left out for who may not see payloads (`reveal` in the context)."""

    hidden: ClassVar[tuple[str, ...]] = ()

    def get_fields(self) -> dict[str, Any]:
        found = super().get_fields()
        if self.context.get("reveal", True):
            return found
        return {name: field for name, field in found.items() if name not in self.hidden}


def page_of(shape: type[serializers.BaseSerializer[Any]], name: str) -> type[Shape]:
    """The shape of a page of documents."""
    members = {
        "results": shape(many=True),
        "next": serializers.CharField(allow_null=True, help_text="Path and query of the next page; null at the end."),
        "cursor": serializers.CharField(allow_null=True, help_text="The same for who builds the query himself."),
    }
    return type(name, (Shape,), members)


def error_document(error: Any, *, reveal: bool) -> Any:
    """An error as far as the user may see it; None for none."""
    if error is None:
        return None
    if not reveal:
        return {"type": error_type(error)}
    return codec.redact(dict(error) if isinstance(error, Mapping) else {"type": "", "message": str(error)})


class ErrorField(fields.AnyJson):
    """Cut to what the user may see."""

    def to_representation(self, value: Any) -> Any:
        return error_document(value, reveal=bool(self.context.get("reveal", True)))
