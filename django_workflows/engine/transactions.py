"""What user code must not leave behind in a thread: open transactions, broken connections.

It is asked about around every step, so the connections of a thread are noted when they are made: asking Django for them
costs more than all else that is done around a small step.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_workflows.exceptions import WorkflowsError


class OpenTransaction(WorkflowsError):
    """A transaction was left open; it was rolled back. Use `transaction.atomic()`, or `@step(atomic=True)`."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.connections: tuple[BaseDatabaseWrapper, ...] = ()


_thread = _Thread()


def _note(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if connection not in _thread.connections:
        _thread.connections = (*_thread.connections, connection)


connection_created.connect(_note, dispatch_uid="django_workflows.transactions")


def _known() -> tuple[BaseDatabaseWrapper, ...]:
    return _thread.connections


def open_now() -> dict[str, int]:
    """How deep each connection of this thread stands in transactions."""
    return {
        connection.alias: len(connection.savepoint_ids) + connection.in_atomic_block
        for connection in _known()
        if connection.in_atomic_block
    }


def close_left_open(before: dict[str, int]) -> None:
    """Roll back what user code left open, and say so. Raises `OpenTransaction`."""
    if left := roll_back_left_open(before):
        raise OpenTransaction(f"{OpenTransaction.__doc__} Connection: {', '.join(left)}.")


def roll_back_left_open(before: dict[str, int]) -> list[str]:
    """The aliases of connections that stood deeper in transactions than before; they are closed."""
    left = []
    for connection in _known():
        depth = len(connection.savepoint_ids) + connection.in_atomic_block
        forgot_autocommit = (
            connection.connection is not None and not connection.autocommit and not connection.in_atomic_block
        )
        if depth > before.get(connection.alias, 0) or forgot_autocommit:
            connection.in_atomic_block = False
            connection.close()
            left.append(connection.alias)
    return left


def renew_connections() -> None:
    """Close connections that broke, so that the next use opens new ones."""
    for connection in _known():
        if connection.in_atomic_block or connection.connection is None:
            continue
        if connection.errors_occurred and not _answers(connection):
            connection.close()
        connection.errors_occurred = False


def _answers(connection: BaseDatabaseWrapper) -> bool:
    """Django's own `is_usable()` believes every connection to SQLite."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True
