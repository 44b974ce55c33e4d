"""The statements behind an operator's verbs, by name.

Raw because they stand inside the engine's transactions, next to its locks, and take their times from the database.
Each changes rows that this transaction has locked, one or many: an operator who cancels ten thousand executions costs
a few statements for each hundred. Each is one text for SQLite, PostgreSQL and CockroachDB; `{among}` is a condition on
ids, `{lock}` the suffix that locks, `{look}` that of a look for work, `{now}` the database's clock.
"""

from __future__ import annotations

from django_workflows.engine.database.tables import columns

# What carries a request out: everything but a pause whose holder is alive, which parks the execution by itself.
REQUESTED = """
SELECT id, parent_id FROM django_workflows_execution
WHERE requested > '' AND NOT (status = 'running' AND requested = 'pause' AND wake_at > {now})
LIMIT %s {look}
"""

PARENTS = "SELECT id, parent_id FROM django_workflows_execution WHERE id {among}"

LOCK_PARENTS = "SELECT id, queue FROM django_workflows_execution WHERE id {among} ORDER BY id {lock}"

EXISTING = "SELECT id FROM django_workflows_execution WHERE id {among}"

LOCK_ROWS = """
SELECT id, workflow, status, requested, reason, queue, key, key_released, parent_id, generation, claim, error, deadline,
    wake_at, created_at, started_at, completed_at, {now}
FROM django_workflows_execution WHERE id {among} ORDER BY id {lock}
"""

# pause and resume

ASK = """
UPDATE django_workflows_execution SET requested = %s, reason = COALESCE(%s, reason), updated_at = {now}
WHERE id {among}
"""

PARK = """
UPDATE django_workflows_execution SET
    claim = claim + CASE WHEN status = 'running' THEN 1 ELSE 0 END, status = 'paused', requested = '',
    reason = COALESCE(%s, reason), wake_at = NULL, claimed_by = NULL, awaiting = 0, updated_at = {now}
WHERE id {among}
"""

LAST_PAUSE = """
SELECT data FROM django_workflows_event WHERE execution_id = %s AND type = 'operator' AND name = 'pause'
ORDER BY created_at DESC LIMIT 1
"""

# One crash is kept: it tells the step that an attempt was lost, and makes nobody a suspect.
GO_ON = """
UPDATE django_workflows_execution SET
    status = 'pending', requested = '', reason = '', wake_at = {wake_at},
    crashes = CASE WHEN crashes > 0 THEN 1 ELSE 0 END, updated_at = {now}
WHERE id {among}
"""

# cancel

TAKE_AWAY = """
UPDATE django_workflows_execution SET
    status = 'pending', requested = 'cancel', reason = COALESCE(%s, reason), claim = claim + 1, claimed_by = NULL,
    wake_at = {now}, updated_at = {now}
WHERE id {among}
"""

END = """
UPDATE django_workflows_execution SET
    claim = claim + CASE WHEN status = 'running' THEN 1 ELSE 0 END, status = 'cancelled', requested = '',
    reason = COALESCE(%s, reason), wake_at = NULL, claimed_by = NULL, awaiting = 0, current_step = '',
    completed_at = {now}, updated_at = {now}
WHERE id {among}
"""

CLOSE_STEPS = """
UPDATE django_workflows_stepresult SET status = 'skipped', completed_at = {now}
WHERE execution_id {among} AND superseded = 0 AND status IN ('pending', 'scheduled', 'running')
"""

_TO_BE_CANCELLED = """
parent_id {among} AND parent_close = 'cancel' AND completed_at IS NULL AND status <> 'rolling_back'
AND requested <> 'cancel'
"""

CANCEL_CHILDREN = f"""
UPDATE django_workflows_execution SET
    requested = 'cancel', reason = 'Its parent was cancelled.', updated_at = {{now}}
WHERE {_TO_BE_CANCELLED}
"""

CANCEL_CHOSEN = """
UPDATE django_workflows_execution SET
    requested = 'cancel', reason = 'Its parent was cancelled.', updated_at = {now}
WHERE id {chosen}
"""

FREE_CHILDREN = f"SELECT id FROM django_workflows_execution WHERE {_TO_BE_CANCELLED} {{lock}}"

PARENTS_OF_LOCKED_CHILDREN = f"SELECT DISTINCT parent_id FROM django_workflows_execution WHERE {_TO_BE_CANCELLED}"

# retry

HOLDER = """
SELECT id FROM django_workflows_execution
WHERE workflow = %s AND key = %s AND NOT key_released AND completed_at IS NULL AND id <> %s LIMIT 1
"""

LAST_RECORDED = """
SELECT max(moment) FROM (
    SELECT max(completed_at) AS moment FROM django_workflows_stepresult WHERE execution_id = %s AND completed_at < %s
    UNION ALL
    SELECT max(created_at) FROM django_workflows_event WHERE execution_id = %s AND created_at < %s AND type = 'error'
) AS recorded
"""

START_AGAIN = """
UPDATE django_workflows_execution SET
    status = 'pending', requested = '', reason = COALESCE(%s, reason), claim = claim + 1, claimed_by = NULL,
    wake_at = {now}, deadline = %s, output = NULL, error = NULL, completed_at = NULL, current_step = '', awaiting = 0,
    crashes = 0, updated_at = {now}
WHERE id = %s
"""

# What was shelved when it ended; see `endings`.
OPEN_EVENT_WAITS = """
UPDATE django_workflows_stepresult SET status = 'scheduled'
WHERE execution_id = %s AND superseded = 0 AND kind = 'event' AND status = 'pending'
"""

JOURNAL = """
SELECT id, key, seq, kind, status, child_id FROM django_workflows_stepresult
WHERE execution_id = %s AND generation = %s AND superseded = 0 AND status <> 'forgotten'
"""

SUPERSEDE = """
UPDATE django_workflows_stepresult SET former_status = status, status = 'superseded', superseded = %s WHERE id {among}
"""

# A loop that starts over makes the rows of its first iterations again.
SUPERSEDE_ITERATIONS = """
UPDATE django_workflows_stepresult SET status = 'superseded', superseded = %s
WHERE execution_id = %s AND generation = %s AND superseded = 0 AND status = 'forgotten' AND substr(key, 1, %s) = %s
"""

COPY_COLUMNS = columns(old="uuid", new="uuid")

AWAIT_AGAIN = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_stepresult (
    id, status, superseded, execution_id, generation, key, seq, name, kind, input, attempts, lost, deadline,
    match_keys, match_hash, child_id, claim, created_at, started_at
)
SELECT
    r.new, 'scheduled', 0, s.execution_id, s.generation, s.key, s.seq, s.name, s.kind, s.input, s.attempts, s.lost,
    s.deadline, s.match_keys, s.match_hash, s.child_id, s.claim, s.created_at, s.started_at
FROM r JOIN django_workflows_stepresult s ON s.id = r.old
"""
