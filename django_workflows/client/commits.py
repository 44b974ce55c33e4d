"""Writing in the caller's transaction, or in one that survives what databases do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.database.errors import ConnectionLost
from django_workflows.engine.database.transactions import reading, settled, single, transact

T = TypeVar("T")

_TRIES = 3


def in_callers_transaction(alias: str) -> bool:
    """Whether what is written now commits with the caller's own writes."""
    connection = connections[alias]
    return connection.in_atomic_block or not connection.get_autocommit()


def read(alias: str, work: Callable[[CursorWrapper], T]) -> T:
    """Call `work`, which only reads, again when the database asks for that or the connection was lost."""
    for _ in range(1, _TRIES):
        with contextlib.suppress(ConnectionLost):
            return reading(alias, work)
    try:
        return reading(alias, work)
    except ConnectionLost as error:
        raise error.__cause__ or error from None


def write(
    alias: str,
    work: Callable[[CursorWrapper], T],
    settle: Callable[[], T | None],
    *,
    one_statement: bool = False,
    savepoint: bool = False,
) -> T:
    """Call `work` with a cursor, in the caller's transaction, else in one of its own.

    In the caller's, an exception out of `work` marks it for rollback, unless there is a `savepoint`. Its own is tried
    again when the database asks for that, and when the connection was lost: `settle()` reads back whether the commit in
    doubt took place. `work` must therefore do no harm when it is done twice with the same ids.
    """
    connection = connections[alias]
    if in_callers_transaction(alias):
        with transaction.atomic(using=alias, savepoint=savepoint), connection.cursor() as cursor:
            return work(cursor)
    run = single if one_statement else transact
    return settled(lambda: run(alias, work), settle, tries=_TRIES)
