"""Work of a turn in a transaction of its own: transactional steps, and children with a key.

The body's writes, the fence and the journal row commit together. The fence comes after the body, so no lock of the
engine is held while it runs, and before the journal row: the pump locks in that order too.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.engine import statements
from django_workflows.engine.database import AmbiguousCommit, ConnectionLost, Dialect, dialect_of, transact
from django_workflows.engine.journal import Entry
from django_workflows.engine.turn import Turn
from django_workflows.engine.writes import Write
from django_workflows.exceptions import Abandoned
from django_workflows.models import Status

FENCE = "SELECT claim, status, requested FROM django_workflows_execution WHERE id {among} {lock}"

STORED = "SELECT 1 FROM django_workflows_stepresult WHERE id {among} AND status = %s"


def store_with(turn: Turn, work: Callable[[CursorWrapper], Entry]) -> Entry:
    """Call `work` and store the entry it returns, in one transaction, as often as the database asks for it.

    Errors of `work` roll everything back and propagate. Raises `Abandoned` when the claim is lost.
    """
    dialect = dialect_of(connections[turn.alias])

    def together(cursor: CursorWrapper) -> Entry:
        entry = work(cursor)
        write = turn.empty_write()
        check_fence(cursor, dialect, write)
        statements.run(
            cursor, dialect, statements.UPSERT_STEPS, statements.STEP_COLUMNS, [statements.step_row(write, entry)]
        )
        kept.append(entry)
        return entry

    kept: list[Entry] = []
    pause = 0.01
    while True:
        try:
            return transact(turn.alias, together)
        except AmbiguousCommit:
            if _is_stored(turn, kept[-1]):
                return kept[-1]
        except ConnectionLost:
            pass
        if turn.abandoned:
            raise Abandoned
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(pause * 2, 2.0)


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
    pause = 0.01
    while True:
        try:
            return transact(
                turn.alias, lambda cursor: _exists(cursor, STORED.format(among=among), [*parameters, entry.status])
            )
        except (AmbiguousCommit, ConnectionLost):
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, 2.0)


def _exists(cursor: CursorWrapper, statement: str, parameters: list[Any]) -> bool:
    cursor.execute(statement, parameters)
    return cursor.fetchone() is not None
