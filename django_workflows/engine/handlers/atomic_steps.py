"""Work of a turn in a transaction of its own: transactional steps, and children with a key.

The body's writes, the fence and the journal row commit together. The fence comes after the body, so no lock of the
engine is held while it runs, and before the journal row: the pump locks in that order too.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.commit import sql
from django_workflows.engine.commit.values import Write
from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.dialects import Dialect, dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, sqlstate_of
from django_workflows.engine.database.tables import run
from django_workflows.engine.database.transactions import reading, transact
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, NonRetryable, WorkflowsError
from django_workflows.models import Status

T = TypeVar("T")


class ClosedConnection(WorkflowsError):
    """The step closed the connection of its own transaction, whose writes are gone. Leave it open."""


class EndedTransaction(NonRetryable):
    """The step ended its own transaction, by `COMMIT` or `ROLLBACK` in SQL or through the driver: what it wrote was
    not stored together with its result. Leave that to @step(atomic=True), or use a step that is not atomic.
    """


class _Foreign(Exception):
    """Carries an error of another database past those who would begin again because of it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


NO_SAVEPOINT = {"3B001", "25P01"}  # none of that name; no transaction at all

FENCE = "SELECT claim, status, requested FROM django_workflows_execution WHERE id {among} {lock}"

# Whoever ends the transaction, by whatever means, ends the savepoint: it tells whether all that was written since is
# in one transaction with what follows.
BEGIN_BODY = "SAVEPOINT django_workflows_body"
END_BODY = "RELEASE SAVEPOINT django_workflows_body"

STORED = "SELECT 1 FROM django_workflows_stepresult WHERE id {among} AND status = %s"


def store_with(turn: Turn, work: Callable[[CursorWrapper], Entry]) -> Entry:
    """Call `work` and store the entry it returns, in one transaction, as often as the database asks for it.

    Errors of `work` roll everything back and propagate; those of other databases, which say nothing about this one,
    as well. Raises `Abandoned` when the claim is lost.
    """
    dialect = dialect_of(connections[turn.alias])

    def together(cursor: CursorWrapper) -> Entry:
        entry = _call(work, cursor)
        write = turn.pending.empty()
        check_fence(cursor, dialect, write)
        run(cursor, dialect, sql.UPSERT_STEPS, sql.STEP_COLUMNS, [sql.step_row(write, entry)])
        kept.append(entry)
        return entry

    kept: list[Entry] = []
    backoff = Backoff()
    while True:
        try:
            return transact(turn.alias, together)
        except AmbiguousCommit:
            if _is_stored(turn, kept[-1]):
                return kept[-1]
        except ConnectionLost:
            pass
        except _Foreign as foreign:
            error = foreign.error
            break
        if turn.flags.abandoned:
            raise Abandoned
        backoff.wait()
    raise error


def _call(work: Callable[[CursorWrapper], Entry], cursor: CursorWrapper) -> Entry:
    """Tell errors of this connection, after which all is done again, from others."""
    try:
        entry = work(cursor)
    except (DatabaseError, InterfaceError) as error:
        if cursor.db.closed_in_transaction:
            raise ClosedConnection(ClosedConnection.__doc__) from error
        if _is_of(cursor.db, error):
            raise
        raise _Foreign(error) from None
    if cursor.db.closed_in_transaction:
        raise ClosedConnection(ClosedConnection.__doc__)
    return entry


def in_one_transaction(cursor: CursorWrapper, body: Callable[[], T]) -> T:
    """Call `body`, which may do what it likes with the connection. Raises `EndedTransaction`."""
    cursor.execute(BEGIN_BODY)
    value = body()
    try:
        cursor.execute(END_BODY)
    except DatabaseError as error:
        if sqlstate_of(error) in NO_SAVEPOINT or "no such savepoint" in str(error):
            raise EndedTransaction(" ".join(str(EndedTransaction.__doc__).split())) from error
        raise
    return value


def _is_of(connection: BaseDatabaseWrapper, error: BaseException) -> bool:
    """Whether an error came out of this connection: neither out of another, nor out of nowhere."""
    owner: Any = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        mine = frame.f_locals.get("self")
        if isinstance(mine, CursorWrapper | BaseDatabaseWrapper):
            owner = getattr(mine, "db", mine)
    return owner is connection


def check_fence(cursor: CursorWrapper, dialect: Dialect, write: Write) -> None:
    """Lock the execution's row and compare the claim; the caller's transaction is rolled back when it was lost."""
    among, parameters = dialect.among([write.execution_id])
    cursor.execute(FENCE.format(among=among, lock=dialect.lock_waiting), parameters)
    row = cursor.fetchone()
    if row is None or row[0] != write.claim or row[1] != Status.RUNNING or row[2] == "cancel":
        raise Abandoned


def _is_stored(turn: Turn, entry: Entry) -> bool:
    """Read back what became of a commit whose answer was lost."""
    dialect = dialect_of(connections[turn.alias])
    among, parameters = dialect.among([entry.id])
    backoff = Backoff()
    while True:
        try:
            return reading(
                turn.alias, lambda cursor: _exists(cursor, STORED.format(among=among), [*parameters, entry.status])
            )
        except (AmbiguousCommit, ConnectionLost):
            backoff.wait()


def _exists(cursor: CursorWrapper, statement: str, parameters: list[Any]) -> bool:
    cursor.execute(statement, parameters)
    return cursor.fetchone() is not None
