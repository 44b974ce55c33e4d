"""What user code must not leave behind in a thread: open transactions, broken connections.

It is asked about around every step, so the connections of a thread are noted when they are made: asking Django for them
costs more than all else that is done around a small step. The driver is asked as well: of a `BEGIN` in SQL Django knows
nothing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_workflows.engine.database.forks import in_children
from django_workflows.exceptions import WorkflowsError

IN_TRANSACTION = {1, 2, 3}  # as drivers of PostgreSQL tell: active, in a transaction, in one that has failed


class OpenTransaction(WorkflowsError):
    """A transaction was left open; it was rolled back. Use `transaction.atomic()`, or `@step(atomic=True)`."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.connections: tuple[BaseDatabaseWrapper, ...] = ()


_thread = _Thread()
_everywhere: WeakSet[BaseDatabaseWrapper] = WeakSet()  # those of all threads
_guard = threading.Lock()
_kept: list[Any] = []  # in a forked process: what belongs to its parent, and must not be closed here


def _note(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if connection not in _thread.connections:
        _thread.connections = (*_thread.connections, connection)
        with _guard:
            _everywhere.add(connection)


connection_created.connect(_note, dispatch_uid="django_workflows.transactions")


def forget(connection: BaseDatabaseWrapper) -> None:
    """This thread will not use this wrapper any more."""
    _thread.connections = tuple(known for known in _thread.connections if known is not connection)


def _known() -> tuple[BaseDatabaseWrapper, ...]:
    return _thread.connections


def doubt_all() -> None:
    """The database was away: have each connection of this process, whoever has it, tried before it is used again."""
    with _guard:
        connections: list[Any] = list(_everywhere)
    for connection in connections:
        connection.health_check_enabled, connection.health_check_done = True, False


def _leave_to_parent() -> None:
    """In a forked process: let go of connections without a word to the server. Their sockets are closed, as long as one
    is open the server believes that the worker lives.
    """
    global _guard
    _guard = threading.Lock()
    for connection in list(_everywhere):
        raw, connection.connection = connection.connection, None
        if raw is None:
            continue
        _kept.append(raw)
        with suppress(Exception):
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, raw.fileno(), inheritable=False)  # the number stays taken, as the driver may still use it
            os.close(nothing)
        getattr(connection, "_connection_pools", {}).clear()  # of psycopg, which Django keeps for all wrappers
        connection.in_atomic_block = False
        connection.savepoint_ids, connection.atomic_blocks, connection.run_on_commit = [], [], []


in_children(_leave_to_parent)


def _depth(connection: BaseDatabaseWrapper) -> int:
    if connection.in_atomic_block:
        return len(connection.savepoint_ids) + 1
    return int(connection.connection is not None and has_begun(connection.connection))


def has_begun(raw: Any) -> bool:
    """Whether a transaction is open on this connection of a driver."""
    if is_closed(raw):
        return False
    if isinstance(raw, sqlite3.Connection):
        return raw.in_transaction
    status = getattr(getattr(raw, "info", None), "transaction_status", None)
    return status in IN_TRANSACTION


def open_now() -> dict[str, int]:
    """How deep each connection of this thread stands in transactions."""
    return {connection.alias: depth for connection in _known() if (depth := _depth(connection))}


def close_left_open(before: dict[str, int]) -> None:
    """Roll back what user code left open, and say so. Raises `OpenTransaction`."""
    if left := roll_back_left_open(before):
        raise OpenTransaction(f"{OpenTransaction.__doc__} Connection: {', '.join(left)}.")


def roll_back_left_open(before: dict[str, int]) -> list[str]:
    """The aliases of connections that stood deeper in transactions than before; they are closed."""
    left = []
    for connection in _known():
        if connection.connection is None and not connection.in_atomic_block:
            continue
        if _depth(connection) > before.get(connection.alias, 0) or _begins_by_itself(connection):
            _close(connection)
            left.append(connection.alias)
    return left


def _begins_by_itself(connection: BaseDatabaseWrapper) -> bool:
    """Whether autocommit was turned off and left so, through Django or the driver: a next write would never be
    committed.
    """
    raw: Any = connection.connection
    if raw is None or connection.in_atomic_block or is_closed(raw):
        return False
    if isinstance(raw, sqlite3.Connection):
        return not connection.autocommit or raw.isolation_level is not None
    return not connection.autocommit or not getattr(raw, "autocommit", True)


def _close(connection: BaseDatabaseWrapper) -> None:
    """End the transaction and the connection. Django keeps the one of a database in memory."""
    connection.in_atomic_block = connection.needs_rollback = False
    connection.savepoint_ids, connection.atomic_blocks, connection.run_on_commit = [], [], []
    with suppress(Exception):  # it may be broken
        connection.connection.rollback()
    connection.close()
    if isinstance(raw := connection.connection, sqlite3.Connection):
        raw.isolation_level, connection.autocommit = None, True


def renew_connections() -> None:
    """Close connections that broke, so that the next use opens new ones."""
    for connection in _known():
        if connection.in_atomic_block or connection.connection is None:
            continue
        if is_closed(connection.connection) or (connection.errors_occurred and not _answers(connection)):
            connection.close()
        connection.errors_occurred = False


def is_closed(raw: Any) -> bool:
    """Whether the driver knows that this connection is no more."""
    if not isinstance(raw, sqlite3.Connection):
        return bool(getattr(raw, "closed", False))
    try:
        return raw.total_changes < 0
    except sqlite3.ProgrammingError:
        return True


def _answers(connection: BaseDatabaseWrapper) -> bool:
    """Django's own `is_usable()` believes every connection to SQLite."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True
