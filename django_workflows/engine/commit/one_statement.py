"""The group commit in one statement, for writes that touch nothing but their own executions.

Most writes under load are outcomes of steps, waits that begin, and ends of executions. They need no decision between
lock and write that SQL cannot take itself, so one statement locks the rows, compares the claims, writes what may be
written and gives back what it saw: one round trip in place of five, and the same receipts as `committing.store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import clock
from django_workflows.engine.commit import sql
from django_workflows.engine.commit.after_turn import STATUS_AFTER, earliest
from django_workflows.engine.commit.transaction import Locked
from django_workflows.engine.commit.values import End, Write
from django_workflows.engine.database.dialects import Dialect
from django_workflows.engine.database.tables import columns, names

WRITE_COLUMNS = columns(
    id="uuid",
    claim="int",
    status="text",
    reason="text",
    output="text",
    error="text",
    state="text",
    current_step="text",
    wake_at="timestamptz",
    seen_inbox="int",
    completed_at="timestamptz",
)

STORE = """
WITH held AS MATERIALIZED (
    SELECT id, claim, status, requested, inbox FROM django_workflows_execution WHERE id {among} ORDER BY id {lock}
), w({write_columns}) AS ({writes}), mine AS MATERIALIZED (
    SELECT w.*, held.inbox <> w.seen_inbox AS moved, w.status = 'waiting' AND held.requested = 'pause' AS pauses
    FROM w JOIN held ON held.id = w.id
    WHERE held.claim = w.claim AND held.status = 'running' AND held.requested <> 'cancel'
), r({step_columns}) AS ({steps}), journal AS (
    INSERT INTO django_workflows_stepresult ({step_columns})
    SELECT r.* FROM r JOIN mine ON mine.id = r.execution_id
    {upsert}
), read AS (
    UPDATE django_workflows_signal g SET consumed_at = {now}
    FROM mine WHERE g.execution_id = mine.id AND g.id {consumed}
), ended AS (
    UPDATE django_workflows_execution e SET
        status = CASE WHEN mine.pauses THEN 'paused' ELSE mine.status END,
        wake_at = CASE
            WHEN mine.status <> 'waiting' OR mine.pauses THEN NULL WHEN mine.moved THEN {now} ELSE mine.wake_at
        END,
        awaiting = 0, requested = '',
        reason = CASE WHEN mine.pauses AND mine.reason = '' THEN e.reason ELSE mine.reason END,
        output = mine.output, error = mine.error,
        state = COALESCE(mine.state, e.state), current_step = mine.current_step,
        completed_at = CASE WHEN mine.status <> 'waiting' THEN GREATEST(mine.completed_at, {now}) END,
        claimed_by = NULL, updated_at = {now}, crashes = 0
    FROM mine WHERE e.id = mine.id AND mine.status IS NOT NULL
)
SELECT id, claim, status, requested, inbox, CASE WHEN row_number() OVER () = 1 THEN {now} END FROM held
"""

# How a turn may end in it: whatever else happens at the end needs more rows than the execution's own.
ENDS = frozenset({End.COMPLETE, End.FAIL, End.SUSPEND})


def applies(dialect: Dialect, writes: Sequence[Write]) -> bool:
    """Whether these writes may be stored in one statement here."""
    return dialect.vendor == "postgresql" and all(map(_is_plain, writes))


def _is_plain(write: Write) -> bool:
    if (ending := write.ending) is not None:
        if ending.end not in ENDS or (ending.end.is_final and write.parent_id is not None):
            return False
        if ending.children or ending.only_children:
            return False
    elif write.state is not None or write.had_crashes:
        return False
    return not (
        write.unless_moved or write.forgotten or write.children or write.events or write.signals or write.cancelled
    )


def store(
    cursor: CursorWrapper, dialect: Dialect, writes: Sequence[Write]
) -> tuple[dict[UUID, Locked], datetime | None]:
    """Store what may be stored; the rows that could be locked, as they were, and the database's time."""
    among, ids = dialect.among([write.execution_id for write in writes])
    table, rows = dialect.table(WRITE_COLUMNS, [_write_row(write) for write in writes])
    entries = [sql.step_row(write, entry) for write in writes for entry in write.entries.values()]
    steps, step_rows = dialect.table(sql.STEP_COLUMNS, entries)
    consumed, consumed_ids = dialect.among([id for write in writes for id in write.consumed])
    text = STORE.format(
        among=among,
        consumed=consumed,
        lock=dialect.lock,
        writes=table,
        write_columns=names(WRITE_COLUMNS),
        steps=steps,
        step_columns=names(sql.STEP_COLUMNS),
        upsert=sql.ON_STEP_CONFLICT,
        now=dialect.now(),
    )
    cursor.execute(text, [*ids, *rows, *step_rows, *consumed_ids])
    found = cursor.fetchall()
    locked = {row[0]: Locked(row[1], row[2], row[3], row[4]) for row in found}
    return locked, clock.parse_sql_time(found[0][5]) if found else None


def _write_row(write: Write) -> tuple[Any, ...]:
    ending = write.ending
    if ending is None:
        return (write.execution_id, write.claim, *[None] * (len(WRITE_COLUMNS) - 2))
    return (
        write.execution_id,
        write.claim,
        STATUS_AFTER[ending.end].value,
        ending.reason,
        ending.output,
        ending.error,
        write.state,
        ending.current_step,
        earliest(ending.deadline, write.deadline),
        write.seen_inbox,
        max((e.completed_at for e in write.entries.values() if e.completed_at is not None), default=None),
    )
