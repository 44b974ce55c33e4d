"""Between two tests that commit, the database becomes again what `migrate` left.

Django's own way empties every table and then writes content types, permissions and our workflows anew: 0.2 seconds on
PostgreSQL, seconds on CockroachDB, where emptying a table is a change of the schema. Few tests touch many tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.migrations.recorder import MigrationRecorder

Row = tuple[Any, ...]


@dataclass(slots=True)
class Cleaner:
    """Knows what one database was like at first."""

    alias: str
    tables: list[str] = field(default_factory=list)
    pristine: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        there = set(self._connection.introspection.table_names())
        self.tables = [table for table in referring_first() if table in there]
        with self._connection.cursor() as cursor:
            for table in self._with_rows(cursor):
                self.pristine[table] = self._rows(cursor, table)

    def clean(self) -> None:
        """Remove what was added, and put back what was changed or removed."""
        self._connection.close_if_unusable_or_obsolete()  # some tests break theirs
        with transaction.atomic(using=self.alias), self._connection.cursor() as cursor:
            used = self._with_rows(cursor)
            strange = [table for table in used if table not in self.pristine]
            changed = [table for table, rows in self.pristine.items() if self._rows(cursor, table) != rows]
            emptied = [table for table in self.tables if table in strange or table in changed]
            for table in emptied:
                cursor.execute(f"DELETE FROM {self._quoted(table)}")
            for table in reversed(emptied):
                self._put_back(cursor, table)

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    def _quoted(self, table: str) -> str:
        return self._connection.ops.quote_name(table)

    def _with_rows(self, cursor: CursorWrapper) -> list[str]:
        looks = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {self._quoted(table)})" for table in self.tables)
        cursor.execute(" UNION ALL ".join(looks))
        return [row[0] for row in cursor.fetchall()]

    def _rows(self, cursor: CursorWrapper, table: str) -> list[Row]:
        cursor.execute(f"SELECT * FROM {self._quoted(table)} ORDER BY 1")
        return [tuple(row) for row in cursor.fetchall()]

    def _put_back(self, cursor: CursorWrapper, table: str) -> None:
        rows: Sequence[Row] = self.pristine.get(table, ())
        if rows:
            values = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {self._quoted(table)} VALUES ({values})", rows)


def referring_first() -> list[str]:
    """Every table of a model, those that refer to others before these: not every database waits for the commit."""
    refers = {
        model._meta.db_table: {
            field.remote_field.model._meta.db_table
            for field in model._meta.local_fields
            if isinstance(field, models.ForeignKey) and getattr(field, "db_constraint", True)
        }
        - {model._meta.db_table}
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model is not MigrationRecorder.Migration
    }
    ordered: list[str] = []
    while refers:
        free = [table for table in refers if not any(table in others for others in refers.values())]
        assert free, f"These tables refer to each other in a circle: {', '.join(refers)}."
        ordered += free
        for table in free:
            del refers[table]
    return ordered
