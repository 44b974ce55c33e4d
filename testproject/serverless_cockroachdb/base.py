"""CockroachDB without a server: an empty database of a known version that nothing can be stored in.

Django asks the server even where it only prints SQL: for its version, and for the table of applied migrations.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from django.db import OperationalError
from django.db.backends.base.introspection import TableInfo
from django_cockroachdb import base
from django_cockroachdb.introspection import DatabaseIntrospection


class EmptyIntrospection(DatabaseIntrospection):
    def get_table_list(self, cursor: Any) -> list[TableInfo]:
        return []


class DatabaseWrapper(base.DatabaseWrapper):
    introspection_class = EmptyIntrospection
    cockroachdb_version = (26, 1, 0)
    pg_version = 13_00_00  # the version of PostgreSQL that CockroachDB says it is

    def cursor(self) -> AbstractContextManager[None]:
        return nullcontext()

    def get_new_connection(self, conn_params: dict[str, Any]) -> NoReturn:
        raise OperationalError("There is no CockroachDB server: set DATABASE_URL=cockroachdb://… to use one.")
