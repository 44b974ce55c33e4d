"""The door's raw statements, by name.

Raw because a start must be one INSERT that takes its times from the database's clock, and because the ORM knows neither
`ON CONFLICT DO NOTHING … RETURNING` nor a counter that gives back its new value. Nothing here may fail on a duplicate:
a failed statement would break the caller's transaction on PostgreSQL. Each is one text for SQLite, PostgreSQL and
CockroachDB.
"""

from __future__ import annotations

_START_COLUMNS = """
    created_at, updated_at, wake_at, deadline, expires_at,
    workflow, version, queue, priority, tags, parent_close, parent_id, trigger_id, id, input, key, idempotency_key,
    status, requested, generation, reason, current_step, key_released, claim, inbox, awaiting, crashes
"""
_START_CONSTANTS = "'pending', '', 0, '', '', false, 0, 0, 0, 0"

# A workflow may have no row yet, and a single step never has one.
ENABLED = "NOT EXISTS (SELECT 1 FROM django_workflows_workflow WHERE name = %s AND NOT enabled)"

START = f"""
INSERT INTO django_workflows_execution ({_START_COLUMNS})
SELECT
    {{now}}, {{now}}, {{wake_at}}, {{deadline}}, {{expires_at}},
    %s, %s, %s, %s, {{tags}}, %s, {{parent_id}}, {{trigger_id}}, %s, %s, %s, %s, {_START_CONSTANTS}
WHERE {{may_start}}
ON CONFLICT DO NOTHING
RETURNING created_at, wake_at, deadline, expires_at
"""

START_MANY = f"""
WITH r(id, input, key, idempotency_key) AS ({{table}})
INSERT INTO django_workflows_execution ({_START_COLUMNS})
SELECT
    {{now}}, {{now}}, {{wake_at}}, {{deadline}}, {{expires_at}},
    %s, %s, %s, %s, {{tags}}, %s, {{parent_id}}, {{trigger_id}},
    r.id, r.input, r.key, r.idempotency_key, {_START_CONSTANTS}
FROM r WHERE {{may_start}}
ON CONFLICT DO NOTHING
RETURNING id
"""

STARTED = "SELECT created_at, wake_at, deadline, expires_at FROM django_workflows_execution WHERE id = %s"

# Of the holder that may be replaced, and no other: another one may have the key by now.
# Whoever wants the key next waits here for whoever holds the row.
GIVE_UP_KEY = """
UPDATE django_workflows_execution SET key_released = true, updated_at = {now}
WHERE id = %s AND NOT key_released AND completed_at IS NULL
RETURNING id
"""

# The new inbox numbers the signal. Only a waiting execution is woken, and never later than it would have been.
RECEIVE = """
UPDATE django_workflows_execution SET
    inbox = inbox + 1,
    updated_at = {now},
    wake_at = CASE WHEN status = 'waiting' AND (wake_at IS NULL OR wake_at > {now}) THEN {now} ELSE wake_at END
WHERE id = %s AND status IN ({receiving}) AND NOT EXISTS (
    SELECT 1 FROM django_workflows_signal WHERE execution_id = %s AND message_id = %s
)
RETURNING inbox, queue, priority
"""

SIGNAL = """
INSERT INTO django_workflows_signal (id, execution_id, number, name, data, message_id, step_key, created_at)
SELECT %s, %s, {number}, %s, %s, %s, '', {now} {received}
ON CONFLICT DO NOTHING
RETURNING created_at
"""

# Both in one, where a statement may write to two tables: SQLite's may not.
RECEIVE_SIGNAL = f"""
WITH received AS ({RECEIVE}), stored AS ({SIGNAL.format(number="inbox", received="FROM received", now="{now}")})
SELECT inbox, queue, priority, created_at FROM received, stored
"""

PUBLISH = """
INSERT INTO django_workflows_event (id, type, name, data, headers, source, event_id, made_by, deliver_at, created_at)
VALUES (%s, 'event', %s, %s, %s, %s, %s, %s, {deliver_at}, {now})
ON CONFLICT DO NOTHING
RETURNING deliver_at, created_at
"""

OUTCOMES = """
SELECT id, workflow, version, status, output, error, reason FROM django_workflows_execution WHERE id {among}
"""
