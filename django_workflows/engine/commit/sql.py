"""The engine's raw statements on the hot path, by name, and the rows that feed them.

Raw because the ORM can say none of them: a table of values joined in an UPDATE, `ON CONFLICT (id)` that makes a
repeated commit harmless, SKIP LOCKED. Each is one text for SQLite, PostgreSQL and CockroachDB; `{table}` is the table
of values (`Dialect.table`), `{beside}` a condition on the ids in it, `{among}` one on other ids, `{now}` the
database's clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_workflows.engine.commit.values import NewEvent, NewExecution, NewSignal, Write
from django_workflows.engine.database.tables import columns
from django_workflows.engine.history.journal import Entry

LOCK = """
SELECT id, claim, status, requested, inbox, {now} FROM django_workflows_execution
WHERE id {among} ORDER BY id {lock}
"""

EXISTING = "SELECT id FROM django_workflows_execution WHERE id {among}"

STEP_COLUMNS = columns(
    id="uuid",
    execution_id="uuid",
    generation="int",
    key="text",
    superseded="int",
    seq="int",
    name="text",
    kind="text",
    status="text",
    input="text",
    output="text",
    error="text",
    attempts="int",
    lost="int",
    deadline="timestamptz",
    match_keys="text",
    match_hash="text",
    child_id="uuid",
    claim="int",
    worker="text",
    created_at="timestamptz",
    started_at="timestamptz",
    completed_at="timestamptz",
)

# A row is written with its outcome; one that was open before (a wait, a back-off, a long body) is completed. An outcome
# never becomes open again: a transactional step may have stored its own while the pump shows the body as running.
ON_STEP_CONFLICT = """
ON CONFLICT (id) DO UPDATE SET
    seq = excluded.seq, status = excluded.status, output = excluded.output, error = excluded.error,
    attempts = excluded.attempts, lost = excluded.lost, deadline = excluded.deadline, claim = excluded.claim,
    worker = excluded.worker, started_at = excluded.started_at, completed_at = excluded.completed_at
WHERE excluded.completed_at IS NOT NULL OR django_workflows_stepresult.completed_at IS NULL
"""

UPSERT_STEPS = (
    """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_stepresult ({columns})
SELECT {columns} FROM r WHERE true
"""
    + ON_STEP_CONFLICT
)


def step_row(write: Write, entry: Entry) -> tuple[Any, ...]:
    return (
        entry.id,
        write.execution_id,
        write.generation,
        entry.key,
        0,
        entry.seq,
        entry.name,
        entry.kind,
        entry.status,
        entry.input,
        entry.output,
        entry.error,
        entry.attempts,
        entry.lost,
        entry.deadline,
        entry.match_keys,
        entry.match_hash,
        entry.child_id,
        write.claim,
        entry.worker,
        entry.created_at,
        entry.started_at,
        entry.completed_at,
    )


FORGET_STEPS = """
UPDATE django_workflows_stepresult SET former_status = status, status = 'forgotten' WHERE id {among}
"""

CONSUME_SIGNALS = "UPDATE django_workflows_signal SET consumed_at = {now} WHERE id {among}"

# An event was meant for one wait, by its position; the next generation counts positions anew.
DISCARD_DELIVERIES = """
UPDATE django_workflows_signal SET consumed_at = {now}
WHERE execution_id {among} AND consumed_at IS NULL AND step_key > ''
RETURNING execution_id, id, name, step_key
"""

CHILD_COLUMNS = columns(
    id="uuid",
    workflow="text",
    version="int",
    input="text",
    queue="text",
    priority="int",
    tags="text",
    parent_id="uuid",
    parent_close="text",
    wake_at="timestamptz",
    deadline="timestamptz",
    expires_at="timestamptz",
    created_at="timestamptz",
)

INSERT_CHILDREN = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_execution (
    id, workflow, version, input, queue, priority, tags, parent_id, parent_close, wake_at, deadline, expires_at,
    created_at, updated_at, status, requested, generation, reason, current_step, key_released, claim, inbox, awaiting,
    crashes
)
SELECT
    id, workflow, version, input, queue, priority, {tags}, parent_id, parent_close, wake_at, deadline, expires_at,
    created_at, created_at, 'pending', '', 0, '', '', false, 0, 0, 0, 0
FROM r WHERE true
ON CONFLICT (id) DO NOTHING
"""


def execution_row(child: NewExecution, now: datetime) -> tuple[Any, ...]:
    return (
        child.id,
        child.workflow,
        child.version,
        child.input,
        child.queue,
        child.priority,
        child.tags,
        child.parent_id,
        child.parent_close,
        child.wake_at or now,
        child.deadline,
        child.expires_at,
        now,
    )


def event_row(event: NewEvent, now: datetime) -> tuple[Any, ...]:
    return (
        event.id,
        event.type,
        event.name,
        event.execution_id,
        event.data,
        None if event.execution_id else now,
        event.created_at,
    )


SIGNAL_COLUMNS = columns(
    id="uuid", execution_id="uuid", number="int", name="text", data="text", created_at="timestamptz"
)

INSERT_SIGNALS = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_signal ({columns}, step_key)
SELECT {columns}, '' FROM r WHERE true
ON CONFLICT (id) DO NOTHING
"""


def signal_row(signal: NewSignal, number: int) -> tuple[Any, ...]:
    return (signal.id, signal.execution_id, number, signal.name, signal.data, signal.created_at)


CANCEL = "UPDATE django_workflows_execution SET requested = 'cancel' WHERE id {among} AND completed_at IS NULL"

FINISHED_CHILDREN = """
SELECT parent_id, count(*) FROM django_workflows_execution
WHERE id {among} AND completed_at IS NOT NULL GROUP BY parent_id
"""

ENDING_COLUMNS = columns(
    id="uuid",
    status="text",
    wake_at="timestamptz",
    awaiting="int",
    requested="text",
    reason="text",
    output="text",
    error="text",
    state="text",
    input="text",
    current_step="text",
    generation="int",
    completed_at="timestamptz",
    progress="bool",
)

END_TURNS = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_execution AS mine SET
    status = r.status, wake_at = r.wake_at, awaiting = r.awaiting, requested = r.requested,
    reason = COALESCE(r.reason, mine.reason),
    output = r.output, error = r.error, state = COALESCE(r.state, mine.state),
    input = COALESCE(r.input, mine.input), current_step = r.current_step,
    generation = r.generation, completed_at = r.completed_at, claimed_by = NULL, updated_at = {now},
    crashes = CASE WHEN r.progress THEN 0 ELSE mine.crashes END
FROM r WHERE mine.id = r.id {beside}
"""

TOUCH_COLUMNS = columns(id="uuid", state="text", progress="bool")

TOUCH = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_execution AS mine SET
    state = COALESCE(r.state, mine.state), updated_at = {now},
    crashes = CASE WHEN r.progress THEN 0 ELSE mine.crashes END
FROM r WHERE mine.id = r.id {beside}
"""

COUNT_COLUMNS = columns(id="uuid", number="int")

CHILDREN_FINISHED = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_execution AS mine SET
    inbox = inbox + r.number,
    awaiting = CASE WHEN awaiting > r.number THEN awaiting - r.number ELSE 0 END,
    wake_at = CASE WHEN status = 'waiting' AND awaiting BETWEEN 1 AND r.number THEN {now} ELSE wake_at END
FROM r WHERE mine.id = r.id {beside} AND completed_at IS NULL
"""

RECEIVE = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_execution AS mine SET
    inbox = inbox + r.number, wake_at = CASE WHEN status = 'waiting' THEN {now} ELSE wake_at END
FROM r WHERE mine.id = r.id {beside}
"""
