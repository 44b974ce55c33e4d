"""How due executions are found, taken and given back: each is one text for SQLite, PostgreSQL and CockroachDB.

`{served}`, `{among}`, `{chosen}` and `{suspects}` are conditions, `{now}` and `{lease}` times of the database. `{lock}`
and `{look}` pass over what others hold.
"""

from __future__ import annotations

from django_workflows.engine.history.sql import UNDISPATCHED

ALONE_AFTER = 2  # crashes without progress, from which on an execution runs alone

PEEK = f"""
WITH place(queue, priority) AS (VALUES {{places}})
SELECT place.queue, place.priority, (
    SELECT e.wake_at FROM django_workflows_execution e
    WHERE e.queue = place.queue AND e.priority = place.priority AND e.wake_at IS NOT NULL AND e.requested = ''
    AND e.status IN ('pending', 'waiting', 'running') {{suspects}}
    ORDER BY e.wake_at LIMIT 1
), (
    SELECT e.wake_at FROM django_workflows_execution e
    WHERE e.queue = place.queue AND e.priority = place.priority AND e.wake_at > {{now}} AND e.requested = ''
    AND e.status IN ('pending', 'waiting', 'running') {{suspects}}
    ORDER BY e.wake_at LIMIT 1
), (SELECT 1 FROM django_workflows_execution WHERE requested > '' LIMIT 1), (
    SELECT 1 FROM django_workflows_event
    WHERE {UNDISPATCHED} AND deliver_at <= {{now}} LIMIT 1
), (SELECT count(*) FROM (
    SELECT 1 FROM django_workflows_execution WHERE crashes >= {ALONE_AFTER} AND wake_at <= {{now}} LIMIT 8
) AS suspect), (
    SELECT next_at FROM django_workflows_trigger WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
), (
    SELECT 1 FROM django_workflows_trigger
    WHERE type = 'schedule' AND enabled AND retired_at IS NULL AND next_at IS NULL LIMIT 1
), {{now}}
FROM place
"""

CLAIMED = (
    "id, workflow, version, generation, input, state, queue, key, tags, parent_id, claim, inbox, crashes, deadline, "
    "expires_at, created_at, started_at, updated_at"
)

CLAIMED_FOR_JSON = CLAIMED.replace("tags", "tags::text AS tags").replace("updated_at", "updated_at AS claimed_at")

# What this worker holds is its own, even with an expired lease: an outage was longer, and nobody else came.
DUE = """
SELECT id FROM django_workflows_execution
WHERE queue = %s AND priority = %s AND wake_at <= {now} AND requested = '' AND crashes {suspects}
AND (status IN ('pending', 'waiting') OR (status = 'running' AND claimed_by <> %s))
AND workflow || ' ' || CAST(version AS text) {served} {shunned}
ORDER BY wake_at LIMIT %s {lock}
"""

# In one statement, where the database finds what is due before it looks for what to change (`Dialect.finds_first`).
WITH_DUE = "WITH due AS MATERIALIZED ({due}) "

TAKE = """
UPDATE django_workflows_execution SET
    crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
    status = 'running', claim = claim + 1, claimed_by = %s, wake_at = {lease}, awaiting = 0,
    started_at = COALESCE(started_at, {now}), updated_at = {now}
WHERE id {chosen}
RETURNING {columns}
"""

# PostgreSQL hands a batch over as one text: five times in each row cost the driver more than all else of a claim.
TAKE_AS_JSON = ", taken AS (" + TAKE + ") SELECT json_agg(taken)::text FROM taken"

CLAIMED_BY = """
SELECT {columns} FROM django_workflows_execution WHERE claimed_by = %s AND status = 'running'
"""

NEXT_QUEUE = """
SELECT queue FROM django_workflows_execution WHERE wake_at IS NOT NULL AND queue > %s ORDER BY queue LIMIT 1 {look}
"""

CLAIM_STATE = "SELECT id, claim, status FROM django_workflows_execution WHERE id {among}"

CLAIM_ONE = """
UPDATE django_workflows_execution SET
    crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
    status = 'running', claim = claim + 1, claimed_by = %s, wake_at = {lease}, awaiting = 0,
    started_at = COALESCE(started_at, {now}), updated_at = {now}
WHERE id = %s AND wake_at <= {now} AND requested = '' AND status IN ('pending', 'waiting', 'running')
AND workflow || ' ' || CAST(version AS text) {served}
RETURNING {columns}
"""

# Due rows that nobody takes would stand at the head of the queue for ever: what has been due for a while and cannot be
# executed here steps back. No attempt is used, and a worker that knows them takes them when they come round. One that
# is there takes them before that: in a rolling deploy the old workers must not keep them from the new ones.
UNKNOWN = """
SELECT id FROM django_workflows_execution
WHERE queue = %s AND priority = %s AND wake_at <= {untaken} AND requested = ''
AND status IN ('pending', 'waiting', 'running') AND NOT workflow || ' ' || CAST(version AS text) {served}
ORDER BY wake_at LIMIT 1000 {lock}
"""

STEP_BACK = """
UPDATE django_workflows_execution SET
    crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
    claim = claim + CASE WHEN status = 'running' THEN 1 ELSE 0 END, claimed_by = NULL,
    status = CASE WHEN status = 'running' THEN 'pending' ELSE status END, wake_at = {later}
WHERE id {chosen}
"""

DEFER = f"WITH unknown AS MATERIALIZED ({UNKNOWN})" + STEP_BACK

# Which workflows wait at the head of a queue. Bounded: a backlog of others does not make it slower.
HEAD = """
SELECT DISTINCT workflow, version FROM (
    SELECT workflow, version FROM django_workflows_execution
    WHERE queue = %s AND priority = %s AND wake_at <= {now} AND requested = ''
    AND status IN ('pending', 'waiting', 'running')
    ORDER BY wake_at LIMIT 1000
) AS head
"""

HELD_IN_ALL = """
SELECT count(*), COALESCE(sum(claim), 0) FROM django_workflows_execution WHERE claimed_by = %s AND status = 'running'
"""

HELD = "SELECT id, claim FROM django_workflows_execution WHERE claimed_by = %s AND status = 'running'"

GIVE_BACK = """
UPDATE django_workflows_execution SET
    status = 'pending', claim = claim + 1, claimed_by = NULL, wake_at = {now}, updated_at = {now}
WHERE id {chosen}
"""

OWN = "SELECT id FROM django_workflows_execution WHERE id {among} AND claimed_by = %s AND status = 'running' {lock}"

# `{these}` is empty, or a condition on ids: when one of the rows is refused the others are released without it.
RELEASE = """
UPDATE django_workflows_execution SET
    status = 'pending', claim = claim + 1, claimed_by = NULL, wake_at = {now}, updated_at = {now},
    crashes = crashes + %s
WHERE id {chosen}
RETURNING id, crashes
"""

HELD_FREE = "SELECT id FROM django_workflows_execution WHERE claimed_by = %s AND status = 'running' {these} {lock}"

# What a worker is called, if it has a row, and the time.
WORKER = "SELECT (SELECT name FROM django_workflows_worker WHERE id = %s), {now}"

# Locks without waiting, so one user's long transaction cannot let other leases expire; what was skipped is tried again
# with the next round.
ENDING_SOON = """
SELECT id FROM django_workflows_execution
WHERE claimed_by {among} AND status = 'running' AND wake_at < {soon} {these} {lock}
"""

EXTEND = "UPDATE django_workflows_execution SET wake_at = {lease} WHERE id {chosen}"

HELD_BY_ANY = "SELECT id FROM django_workflows_execution WHERE claimed_by {among} AND status = 'running'"
