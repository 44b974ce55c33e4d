"""CockroachDB without a server: an empty database of a known version, in which nothing can be stored.

Django asks the server even where it only prints SQL: for its version, for the table of applied migrations, and for
the quoting of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from django.db import OperationalError
from django.db.backends.base.introspection import TableInfo
from django_cockroachdb import base
from django_cockroachdb.introspection import DatabaseIntrospection
from django_cockroachdb.operations import DatabaseOperations
from django_cockroachdb.schema import DatabaseSchemaEditor
from psycopg.sql import quote


class EmptyIntrospection(DatabaseIntrospection):
    def get_table_list(self, cursor: Any) -> list[TableInfo]:
        return []


class LocalQuoting(DatabaseOperations):
    def compose_sql(self, sql: str, params: Sequence[Any]) -> str:
        return sql % tuple(quote(param) for param in params)


class PrintingSchemaEditor(DatabaseSchemaEditor):
    def __enter__(self) -> PrintingSchemaEditor:
        self.deferred_sql: list[Any] = []
        return self

    def execute(self, sql: Any, params: Sequence[Any] | None = ()) -> None:
        if not self.collect_sql:
            self.connection.connect()
        super().execute(sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    introspection_class = EmptyIntrospection
    ops_class = LocalQuoting
    SchemaEditorClass = PrintingSchemaEditor
    cockroachdb_version = (26, 1, 0)
    pg_version = 13_00_00  # the version of PostgreSQL that CockroachDB says it is

    def cursor(self) -> AbstractContextManager[None]:
        return nullcontext()

    def get_new_connection(self, conn_params: dict[str, Any]) -> NoReturn:
        raise OperationalError("There is no CockroachDB server: set DATABASE_URL=cockroachdb://… to use one.")
