"""Statements that write rows of the history: `{table}` is a table of values, `{now}` the database's clock."""

from __future__ import annotations

from django_workflows.engine.database.tables import columns

# A published event that nobody has handed to who waits for it; the partial index has this condition.
UNDISPATCHED = "type = 'event' AND execution_id IS NULL AND dispatched_at IS NULL"

EVENT_COLUMNS = columns(
    id="uuid",
    type="text",
    name="text",
    execution_id="uuid",
    data="text",
    deliver_at="timestamptz",
    created_at="timestamptz",
)

INSERT_EVENTS = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_event ({columns}, source)
SELECT {columns}, '' FROM r WHERE true
ON CONFLICT DO NOTHING
"""

LOG_COLUMNS = columns(id="uuid", type="text", name="text", execution_id="uuid", data="text")

LOG = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_event ({columns}, source, created_at) SELECT {columns}, '', {now} FROM r WHERE true
"""
