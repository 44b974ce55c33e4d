"""A published event reaches the waits that are open for it: a message in the inbox of each execution that matches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from django.db.backends.utils import CursorWrapper

from django_workflows.engine.commit import sql
from django_workflows.engine.commit.transaction import Locked, lock
from django_workflows.engine.database.dialects import Dialect, read_uuid, store
from django_workflows.engine.database.tables import columns, run
from django_workflows.engine.database.transactions import planning_cursor
from django_workflows.engine.events.published import MISSING, Published, hash_for
from django_workflows.engine.events.reach import receivers
from django_workflows.models import FINISHED

MOST_DELIVERIES = 500  # of one event in one transaction

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait that an event matches."""

    execution_id: UUID
    step_id: UUID
    key: str
    queue: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Who received an event, on which queues; complete when nobody is left for the next round."""

    receivers: tuple[UUID, ...] = ()
    queues: frozenset[str] = frozenset()
    complete: bool = True


NEXT_KEYS = """
SELECT match_keys FROM django_workflows_stepresult
WHERE kind = 'event' AND status = 'scheduled' AND name = %s AND match_keys > %s ORDER BY match_keys LIMIT 1
"""

OPEN_WAITS = """
SELECT s.execution_id, s.id, s.key, e.queue FROM django_workflows_stepresult s
JOIN django_workflows_execution e ON e.id = s.execution_id AND e.generation = s.generation
WHERE s.kind = 'event' AND s.status = 'scheduled' AND s.superseded = 0 AND s.name = %s AND s.match_keys = %s
AND s.match_hash = %s AND s.execution_id > %s AND (s.deadline IS NULL OR s.deadline > {now}) AND e.completed_at IS NULL
AND NOT EXISTS (
    SELECT 1 FROM django_workflows_signal g WHERE g.execution_id = s.execution_id AND g.event_id = %s
)
AND NOT EXISTS (
    SELECT 1 FROM django_workflows_signal g
    WHERE g.execution_id = s.execution_id AND g.consumed_at IS NULL AND g.step_key = s.key
)
ORDER BY s.execution_id, s.seq LIMIT %s
"""

STILL_OPEN = "SELECT id FROM django_workflows_stepresult WHERE status = 'scheduled' AND id {among}"

DELIVERY_COLUMNS = columns(
    id="uuid",
    execution_id="uuid",
    number="int",
    name="text",
    data="text",
    event_id="uuid",
    step_key="text",
    created_at="timestamptz",
)

DELIVER = """
WITH r({columns}) AS ({table})
INSERT INTO django_workflows_signal ({columns})
SELECT {columns} FROM r WHERE true
ON CONFLICT DO NOTHING
"""


def deliver_to_all(cursor: CursorWrapper, dialect: Dialect, event: Published) -> Delivered:
    """Deliver to every open wait that matches."""
    done = Delivered()
    if (data := event.value()) is MISSING:
        return done
    for keys in _known_keys(cursor, event.name):
        if (wanted := hash_for(data, keys)) is not None:
            done = _both(done, _deliver_to(cursor, dialect, event, (keys, wanted)))
    return done


def _both(one: Delivered, other: Delivered) -> Delivered:
    return Delivered(
        receivers=one.receivers + other.receivers,
        queues=one.queues | other.queues,
        complete=one.complete and other.complete,
    )


def _deliver_to(cursor: CursorWrapper, dialect: Dialect, event: Published, match: tuple[str, str]) -> Delivered:
    """The same for one set of keys. What the event may not reach is passed over, and stays as it is."""
    done, number, last = Delivered(), 0, _FIRST
    while number < MOST_DELIVERIES:
        found = _find_waits(cursor, dialect, event, match, last)
        reached = receivers(cursor.db.alias, event, {wait.execution_id for wait in found})
        waits = [wait for wait in found if wait.execution_id in reached]
        received, none_locked = deliver(cursor, dialect, event, waits)
        queues = frozenset(wait.queue for wait in waits)
        done = _both(done, Delivered(receivers=received, queues=queues, complete=none_locked))
        if len(found) < MOST_DELIVERIES:
            return done
        number, last = number + len(waits), found[-1].execution_id
    return replace(done, complete=False)


def _find_waits(
    cursor: CursorWrapper, dialect: Dialect, event: Published, match: tuple[str, str], last: UUID
) -> list[OpenWait]:
    ids = [store(dialect, id) for id in (last, event.id)]
    with planning_cursor(cursor) as planning:  # most waits may be for one event
        planning.execute(OPEN_WAITS.format(now=dialect.now()), [event.name, *match, *ids, MOST_DELIVERIES])
        return [OpenWait(read_uuid(id), read_uuid(step), key, queue) for id, step, key, queue in planning.fetchall()]


def _known_keys(cursor: CursorWrapper, name: str) -> Iterable[str]:
    """The sets of keys that open waits for this event name ask for: one index probe for each."""
    keys, last = [], None
    cursor.execute(NEXT_KEYS.replace("match_keys > %s", "match_keys >= %s"), [name, ""])
    while (row := cursor.fetchone()) is not None and row[0] != last:
        last = row[0]
        keys.append(last)
        cursor.execute(NEXT_KEYS, [name, last])
    return keys


def deliver(
    cursor: CursorWrapper,
    dialect: Dialect,
    event: Published,
    waits: Sequence[OpenWait],
    arrived_at: datetime | None = None,
) -> tuple[tuple[UUID, ...], bool]:
    """Put the event into the inboxes of executions that can be locked now: which, and whether all could be."""
    first = {wait.execution_id: wait for wait in reversed(waits)}
    if not first:
        return (), True
    rows, now = lock(cursor, dialect, sorted(first))
    among, parameters = dialect.among([wait.step_id for wait in first.values()])
    cursor.execute(STILL_OPEN.format(among=among), parameters)
    still_open = {read_uuid(row[0]) for row in cursor.fetchall()}
    deliveries = [
        (uuid4(), id, rows[id].inbox + 1, event.name, event.data, event.id, wait.key, arrived_at or now)
        for id, wait in first.items()
        if _receives(rows.get(id)) and wait.step_id in still_open
    ]
    if deliveries:
        counts = [(delivery[1], 1) for delivery in deliveries]
        run(cursor, dialect, sql.RECEIVE, sql.COUNT_COLUMNS, counts)
        run(cursor, dialect, DELIVER, DELIVERY_COLUMNS, deliveries)
    return tuple(delivery[1] for delivery in deliveries), len(rows) == len(first)


def _receives(row: Locked | None) -> bool:
    return row is not None and row.status not in FINISHED
