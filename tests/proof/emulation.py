"""What CockroachDB does and PostgreSQL does not, on PostgreSQL: its statements, rows in any order, hidden rows.

`spoken()` has the engine say what it says to CockroachDB; `shuffled()` gives the rows of statements without ORDER BY in
an order drawn by a seed; `hiding()` hides rows from looks that pass over locked ones, as fresh rows are hidden there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any
from unittest import mock

from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

from django_workflows.engine.database import transactions

PASSING_OVER = "FOR NO KEY UPDATE SKIP LOCKED"
READ_PAST = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"  # which it has: PostgreSQL knows no priorities

_INSIDE = re.compile(r"\([^()]*\)")


@contextmanager
def spoken() -> Iterator[None]:
    """The connections of this process say that they are CockroachDB's."""
    with (
        mock.patch.object(DatabaseWrapper, "vendor", "cockroachdb"),
        mock.patch.object(transactions, "READ_PAST", READ_PAST),
    ):
        yield


def has_order(sql: str) -> bool:
    """Whether a statement says in which order its rows come, and not only how rows within it are chosen."""
    outside = sql
    while (shorter := _INSIDE.sub("", outside)) != outside:
        outside = shorter
    return "ORDER BY" in outside


class ShuffledCursor:
    """A driver's cursor whose rows have been read, and come in another order."""

    def __init__(self, cursor: Any, rows: list[Any]) -> None:
        self._cursor, self._rows = cursor, iter(rows)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def shuffled(seed: int) -> AbstractContextManager[Any]:
    """Rows of the engine's tables come in any order that the statement allows, on this thread's connection."""
    random = Random(seed)

    def shuffle(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        wrapper = context["cursor"]
        if isinstance(wrapper.cursor, ShuffledCursor):
            wrapper.cursor = wrapper.cursor._cursor
        answer = execute(sql, params, many, context)
        if "django_workflows_" in str(sql) and wrapper.cursor.description and not has_order(str(sql)):
            rows = list(wrapper.cursor.fetchall())
            random.shuffle(rows)
            wrapper.cursor = ShuffledCursor(wrapper.cursor, rows)
        return answer

    return connection.execute_wrapper(shuffle)


def hiding(is_hidden: Callable[[], bool]) -> AbstractContextManager[Any]:
    """What passes over locked rows finds none, each time that `is_hidden` says so, on this thread's connection."""

    def hide(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if PASSING_OVER in str(sql) and is_hidden():
            sql = sql.replace(PASSING_OVER, f"OFFSET 1000000 {PASSING_OVER}")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(hide)


def first(looks: int) -> Callable[[], bool]:
    """So many looks are in vain."""
    left = iter(range(looks))
    return lambda: next(left, None) is not None
