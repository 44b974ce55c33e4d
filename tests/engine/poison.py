"""A row that the database refuses again and again, in the middle of healthy ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError, connection

NEEDS_TRIGGERS = pytest.mark.skipif(connection.vendor == "cockroachdb", reason="it may have no triggers")


@contextmanager
def refused(id: UUID, sqlstate: str = "40001", *, within: str = "") -> Iterator[None]:
    """No statement of this thread that names the row by its id comes through; of those with a text, if one is given."""

    def around(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if within in sql and any(text in str(params) for text in (id.hex, str(id))):
            raise OperationalError("restart transaction") from psycopg.errors.lookup(sqlstate)("restart transaction")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(around):
        yield


@contextmanager
def unchangeable(id: UUID, table: str = "django_workflows_execution") -> Iterator[None]:
    """No UPDATE changes this row: a trigger of the database refuses, on PostgreSQL with a serialization failure."""
    sqlite = connection.vendor == "sqlite"
    make, drop = _sqlite(id, table) if sqlite else _postgres(id, table)
    with connection.cursor() as cursor:
        for statement in make:
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in drop:
                cursor.execute(statement)


def _sqlite(id: UUID, table: str) -> tuple[list[str], list[str]]:
    body = "SELECT RAISE(ABORT, 'no')"
    return [f"CREATE TRIGGER poison BEFORE UPDATE ON {table} WHEN NEW.id = '{id.hex}' BEGIN {body}; END"], [
        "DROP TRIGGER poison"
    ]


def _postgres(id: UUID, table: str) -> tuple[list[str], list[str]]:
    body = "BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END"
    return [
        f"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        f"CREATE TRIGGER poison BEFORE UPDATE ON {table} FOR EACH ROW WHEN (NEW.id = '{id}') EXECUTE FUNCTION poison()",
    ], [f"DROP TRIGGER poison ON {table}", "DROP FUNCTION poison"]
