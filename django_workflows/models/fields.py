"""Column types: payloads as the codec's JSON text, tags as indexed JSON."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.utils.translation import gettext_lazy as _

from django_workflows import codec


class Undecodable(str):
    """Stored text that is no JSON; shown as it is, so that a damaged row can still be listed."""

    __slots__ = ()


class PayloadField(models.TextField):  # type: ignore[type-arg]  # the stubs' parameters say nothing for a payload
    """A value stored as the codec's JSON text.

    Text and not `jsonb`, which reorders keys and turns 1e22 into an integer. NULL means absent; a stored `null` and
    NULL both read as None.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        if value is None:
            return None
        try:
            return codec.decode(value)
        except ValueError:
            return Undecodable(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> Any:
        """The value itself, as of a `JSONField`: `dumpdata` writes JSON, and `str()` of a dict is none."""
        return self.value_from_object(obj)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, Undecodable):
            return value
        return codec.encode(value)


def made_by_column() -> models.CharField[str, str]:
    """The column that names the user through whom a row came, whose scope holds for what the row reaches."""
    return models.CharField(
        _("made by"),
        max_length=255,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("Id of the user who made it over HTTP; empty where code or an operator did."),
    )


class TagsField(models.JSONField):
    """A flat dict of tags; an empty one is NULL, which the index leaves out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.update(null=True, blank=True, default=dict)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        return super().from_db_value(value, expression, connection) if value is not None else {}

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        return super().get_db_prep_save(value or None, connection)


# The schema editor executes whatever an index says.
_NOTHING = Statement("SELECT 1")


class InvertedIndex(models.Index):
    """A GIN index where the database has it; nothing on SQLite."""

    suffix = "gin"

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        if schema_editor.connection.vendor == "sqlite":
            return _NOTHING
        return super().create_sql(model, schema_editor, using=" USING gin", **kwargs)

    def remove_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, **kwargs: Any) -> str:
        if schema_editor.connection.vendor == "sqlite":
            return str(_NOTHING)
        return super().remove_sql(model, schema_editor, **kwargs)


class CockroachIndex(models.Index):
    """An index that CockroachDB alone needs; nothing elsewhere, where each index makes every write dearer."""

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        if schema_editor.connection.vendor != "cockroachdb":
            return _NOTHING
        return super().create_sql(model, schema_editor, using=using, **kwargs)

    def remove_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, **kwargs: Any) -> str:
        if schema_editor.connection.vendor != "cockroachdb":
            return str(_NOTHING)
        return super().remove_sql(model, schema_editor, **kwargs)
