"""Standing around every statement and every commit of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

COMMIT = "COMMIT"

# Called with the connection, the statement's text and what executes it; answers what that answers.
Tap = Callable[[BaseDatabaseWrapper, str, Callable[[], Any]], Any]


@contextmanager
def tapped(connection: Any, tap: Tap) -> Iterator[None]:
    """Put `tap` around what this thread does with the connection."""

    def around(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        return tap(connection, str(sql), lambda: execute(sql, params, many, context))

    commit = connection._commit
    connection._commit = lambda: tap(connection, COMMIT, commit)
    try:
        with connection.execute_wrapper(around):
            yield
    finally:
        del connection._commit


def tap_everything(tap: Tap) -> None:
    """Put `tap` around whatever this process does with any database, from now to its end."""

    def on_connect(sender: Any, connection: Any, **kwargs: Any) -> None:
        # one that was lost comes back as the same object, with its tap
        if connection not in taps:
            taps[connection] = tapped(connection, tap)
            taps[connection].__enter__()

    taps: dict[Any, AbstractContextManager[None]] = {}
    connection_created.connect(on_connect, weak=False)


def is_commit(connection: BaseDatabaseWrapper, sql: str) -> bool:
    """Whether what is executed is stored once it has succeeded: a commit, or a statement without a transaction."""
    return sql is COMMIT or not connection.in_atomic_block
