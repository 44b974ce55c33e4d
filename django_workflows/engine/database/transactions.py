"""Cursors and transactions of the engine: how they are opened, and what happens when the database objects."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.dialects import Dialect, dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, Fault, fault_of
from django_workflows.engine.database.forks import in_children
from django_workflows.engine.database.pulse import rest

# SQLite needs no driver, and Django may work with psycopg 2
psycopg: Any = import_module("psycopg") if find_spec("psycopg") else None

T = TypeVar("T")

READ_PAST = "SET TRANSACTION PRIORITY HIGH"

MAX_TRIES = 30
HIDDEN_SECONDS = (0.010, 0.025)  # CockroachDB hides a row from SKIP LOCKED for 6 to 24 ms after its commit
FEW_TRIES = 6  # where many rows are at stake: who still fails then is looked for among them
LOST_PAUSES = (0.01, 0.1)  # before what was in doubt is done again
KEPT_AFTER = 3  # executions of a statement on one connection, after which its plan is kept

# SQLite has one writer. Waiting for it in Python is fair and cheap; waiting in SQLite is polling.
_sqlite_writer = threading.RLock()


def _renew_lock() -> None:
    """The thread that holds it does not exist in a forked process."""
    global _sqlite_writer
    _sqlite_writer = threading.RLock()


in_children(_renew_lock)


@contextlib.contextmanager
def writing(dialect: Dialect) -> Iterator[None]:
    """Hold this process's turn to write; a no-op where the database serves many writers."""
    if not dialect.is_sqlite:
        yield
        return
    with _sqlite_writer:
        yield


def _is_usable(connection: BaseDatabaseWrapper) -> bool:
    """Whether the next use of a connection that has met an error, outside of a transaction, can go well.

    One that broke while Django set it up is left open in the middle of a transaction, which nobody would end.
    """
    raw = connection.connection
    if raw is None or getattr(raw, "closed", False):
        return False
    if psycopg is None or not isinstance(raw, psycopg.Connection):
        return True
    return bool(raw.info.transaction_status == psycopg.pq.TransactionStatus.IDLE)


def open_cursor(alias: str) -> CursorWrapper:
    """A cursor of Django's that leaves the parameters to the server: quoting long texts in Python is slow."""
    connection = connections[alias]
    cursor: CursorWrapper = connection.cursor()
    if (
        psycopg is not None
        and connection.vendor == "postgresql"
        and isinstance(raw := connection.connection, psycopg.Connection)
    ):
        cursor.cursor = psycopg.Cursor(raw)  # inside Django's wrapper, so that hooks still see every statement
    return cursor


def own_connection(alias: str) -> None:
    """Have this thread, which is the engine's, connect beside the project's pool: that is for bodies. With DEBUG it
    notes no statements, as there is no request whose end would forget them.
    """
    connection = connections[alias]
    options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
    connection.queries_log = deque(maxlen=0)


def planning_cursor(cursor: CursorWrapper) -> CursorWrapper:
    """Another cursor of the same connection, whose statements are planned with their values whatever plans are kept.

    For what one value has few rows of and another a hundred thousand: the one plan for all would go through them all.
    """
    planning: CursorWrapper = cursor.db.cursor()
    if psycopg is not None and cursor.db.vendor == "postgresql" and isinstance(cursor.cursor, psycopg.Cursor):
        planning.cursor = psycopg.ClientCursor(cursor.db.connection)  # it sends no parameters: a plan is for them alone
    return planning


def keep_plans(alias: str) -> None:
    """Have the server keep the plans of the few statements that this connection repeats: planning costs it more than
    doing what they say. By index, always: a plan made while a table was small must do when it has grown.

    Not through a pooler, which may hand every statement to another session. It tells clients of a process of its own.
    """
    connection = connections[alias]
    raw = connection.connection
    if connection.vendor != "postgresql" or psycopg is None or not isinstance(raw, psycopg.Connection):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone()[0] == raw.info.backend_pid:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            raw.prepare_threshold = KEPT_AFTER


def single(alias: str, work: Callable[[CursorWrapper], T], *, tries: int | None = None) -> T:
    """Call `work`, which writes with at most one statement, without a transaction around it: two round trips less.

    The statement is its own transaction, so its answer may be lost as that of a commit; errors are those of `transact`.
    """
    was_sent = False

    def once() -> T:
        nonlocal was_sent
        was_sent = False
        with _turn_to_write(alias), open_cursor(alias) as cursor:
            was_sent = True
            return work(cursor)

    return _repeat(alias, once, lambda: was_sent, tries or MAX_TRIES)


def transact(
    alias: str, work: Callable[[CursorWrapper], T], *, tries: int | None = None, reads_past: bool = False
) -> T:
    """Call `work` with a cursor in one transaction, again as a whole when the database asks for it.

    One that `reads_past` others waits for nobody who has changed what it reads and not committed: on CockroachDB it
    gets a high priority, which moves the other's commit behind itself. It is to write to rows alone that it has locked,
    or has made, since of two who write the one of lower priority has to begin again.

    Raises `AmbiguousCommit` and `ConnectionLost` (the connection is closed and will be renewed), and database errors
    that trying again cannot mend. Inside somebody's transaction it is a savepoint and never tries again.
    """
    at_commit, is_outermost = False, not connections[alias].in_atomic_block

    def once() -> T:
        nonlocal at_commit
        at_commit = False
        with _turn_to_write(alias), transaction.atomic(using=alias):
            with open_cursor(alias) as cursor:
                if reads_past and is_outermost and dialect_of(connections[alias]).finds_first:
                    cursor.execute(READ_PAST)
                result = work(cursor)
            at_commit = True
        return result

    return _repeat(alias, once, lambda: at_commit, tries or MAX_TRIES)


def atomically(alias: str, work: Callable[[CursorWrapper], T], *, tries: int | None = None) -> T:
    """`single` for `work` that is one statement where the database can find and change rows at once, `transact` where
    it is two (`Dialect.finds_first`).
    """
    return (transact if dialect_of(connections[alias]).finds_first else single)(alias, work, tries=tries)


def repeated(alias: str, work: Callable[[], T]) -> T:
    """Call `work`, by the ORM, in one transaction; again when the answer to its commit, or the connection, was lost.

    So it must do no harm when it is done twice. Raises the database's error in the end. In somebody's transaction it is
    a savepoint and never tries again.
    """
    for pause in (*LOST_PAUSES, None):
        try:
            return transact(alias, lambda cursor: work())
        except (AmbiguousCommit, ConnectionLost) as error:
            if pause is None:
                raise error.__cause__ or error from None
            time.sleep(pause)
    raise AssertionError("unreachable")


def settled(attempt: Callable[[], T], settle: Callable[[], T | None], *, tries: int) -> T:
    """Call `attempt` until its commit is known to have taken place, at most so often.

    When an answer was lost, `settle` reads back what was stored, or gives None: then it is attempted again. So that
    must do no harm when it is done twice. Raises the database's error in the end.
    """
    for number in range(1, tries + 1):
        try:
            return attempt()
        except (AmbiguousCommit, ConnectionLost) as error:
            if (found := settle()) is not None:
                return found
            if number == tries:
                raise error.__cause__ or error from None
    raise AssertionError("unreachable")


def reading(alias: str, work: Callable[[CursorWrapper], T]) -> T:
    """Call `work`, which only reads, and is to see all that is committed without waiting for anybody.

    It needs no transaction where plain reads do not wait. Raises `ConnectionLost`: there is nothing to be in doubt of.
    """
    if not dialect_of(connections[alias]).finds_first:
        return _repeat(alias, lambda: _with_cursor(alias, work), lambda: False, MAX_TRIES)
    try:
        return transact(alias, work, reads_past=True)
    except AmbiguousCommit as error:
        raise ConnectionLost(str(error)) from error


def _with_cursor(alias: str, work: Callable[[CursorWrapper], T]) -> T:
    with _turn_to_write(alias), open_cursor(alias) as cursor:
        return work(cursor)


def _turn_to_write(alias: str) -> contextlib.AbstractContextManager[None]:
    """None inside a transaction: it holds SQLite's lock or will, and waiting for ours as well would be a deadlock."""
    connection = connections[alias]
    return contextlib.nullcontext() if connection.in_atomic_block else writing(dialect_of(connection))


def _repeat(alias: str, once: Callable[[], T], was_committing: Callable[[], bool], most: int) -> T:
    """Call `once` until it succeeds or fails for good."""
    connection = connections[alias]
    nested, backoff = connection.in_atomic_block, Backoff(0.002, 0.25)
    for tries in range(1, most + 1):
        pulse = rest()  # waiting for the database is not hanging
        try:
            return once()
        except (DatabaseError, InterfaceError) as error:
            if nested:
                raise
            fault = fault_of(error, at_commit=was_committing(), usable=_is_usable(connection))
            if fault in {Fault.AMBIGUOUS, Fault.LOST}:
                connection.close()
                raise (AmbiguousCommit if fault is Fault.AMBIGUOUS else ConnectionLost)(str(error)) from error
            if fault is not Fault.RETRY or tries == most:
                raise
        finally:
            if pulse is not None:
                pulse.work()
        backoff.wait()
    raise AssertionError("unreachable")
