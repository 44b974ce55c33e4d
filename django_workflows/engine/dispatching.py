"""Published events find the waits that are open for them.

`send_event` only stores the event; workers dispatch stored events after the commit, in batches, each once. A wait is
found by its event's name and a hash of the values that must match, so ten thousand open waits cost an event that
matches none of them a few index probes. A delivery is a message in the inbox of the execution, addressed to the wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import clock, codec
from django_workflows.engine import statements
from django_workflows.engine.committing import Locked, lock
from django_workflows.engine.database import Dialect, dialect_of, read_uuid, store, transact
from django_workflows.engine.loading import Unread, read_unread
from django_workflows.models import FINISHED

logger = logging.getLogger("django_workflows")

MOST_DELIVERIES = 500  # of one event in one transaction
MISSING = object()


@dataclass(frozen=True, slots=True)
class Published:
    """An event to be dispatched."""

    id: UUID
    name: str
    data: str | None
    created_at: datetime

    def value(self) -> Any:
        """Its data, or `MISSING` when nobody can read what is stored."""
        try:
            return None if self.data is None else codec.decode(self.data)
        except ValueError:
            logger.error("The data of event %s (%s) cannot be read; nobody gets it.", self.id, self.name)
            return MISSING


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait that an event matches."""

    execution_id: UUID
    step_id: UUID
    key: str


UNDISPATCHED = """
SELECT id, name, data, created_at FROM django_workflows_event
WHERE type = 'event' AND execution_id IS NULL AND dispatched_at IS NULL AND deliver_at <= {now}
ORDER BY deliver_at LIMIT %s {lock}
"""

DISPATCHED = "UPDATE django_workflows_event SET dispatched_at = {now} WHERE id {among}"

NEXT_KEYS = """
SELECT match_keys FROM django_workflows_stepresult
WHERE kind = 'event' AND status = 'scheduled' AND name = %s AND match_keys > %s ORDER BY match_keys LIMIT 1
"""

OPEN_WAITS = """
SELECT s.execution_id, s.id, s.key FROM django_workflows_stepresult s
JOIN django_workflows_execution e ON e.id = s.execution_id AND e.generation = s.generation
WHERE s.kind = 'event' AND s.status = 'scheduled' AND s.superseded = 0 AND s.name = %s AND s.match_keys = %s
AND s.match_hash = %s AND (s.deadline IS NULL OR s.deadline > {now}) AND e.completed_at IS NULL
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

WAIT_AT = """
SELECT id FROM django_workflows_stepresult
WHERE execution_id {among} AND key = %s AND superseded = 0 AND status = 'scheduled'
"""

DELIVERY_COLUMNS = statements.columns(
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

PUBLISHED_BETWEEN = """
SELECT id, name, data, created_at FROM django_workflows_event
WHERE type = 'event' AND execution_id IS NULL AND name = %s AND created_at BETWEEN %s AND %s AND deliver_at <= {now}
AND (created_at, id) > (%s, %s) ORDER BY created_at, id LIMIT 1000
"""

DELIVERED = "SELECT 1 FROM django_workflows_signal WHERE execution_id {among} AND event_id = %s"


def keys_of(match: Mapping[str, Any]) -> str:
    """The (dotted) keys of a match in one text."""
    return ",".join(sorted(match))


def value_at(data: Any, path: str) -> Any:
    """The value under a dotted key, or `MISSING`. A key that holds a dot itself wins."""
    if isinstance(data, Mapping) and path in data:
        return data[path]
    head, dot, rest = path.partition(".")
    if not dot or not isinstance(data, Mapping) or head not in data:
        return MISSING
    return value_at(data[head], rest)


def hash_for(data: Any, keys: str) -> str | None:
    """The hash that a wait for these keys has when the event matches it; None when the event lacks one of them."""
    values = {path: value_at(data, path) for path in keys.split(",")} if keys else {}
    return None if MISSING in values.values() else codec.match_hash(values)


def dispatch(alias: str, limit: int = 100) -> int:
    """Dispatch events that are due, in one transaction; how many were looked at."""
    dialect = dialect_of(connections[alias])
    return transact(alias, lambda cursor: _dispatch(cursor, dialect, limit))


def _dispatch(cursor: CursorWrapper, dialect: Dialect, limit: int) -> int:
    cursor.execute(UNDISPATCHED.format(now=dialect.now(), lock=dialect.lock), [limit])
    events = _published(cursor)
    done = [event.id for event in events if _deliver_to_all(cursor, dialect, event)]
    if done:
        among, parameters = dialect.among(done)
        cursor.execute(DISPATCHED.format(now=dialect.now(), among=among), parameters)
    return len(events)


def _published(cursor: CursorWrapper) -> list[Published]:
    events = []
    for id, name, data, created_at in cursor.fetchall():
        events.append(Published(read_uuid(id), name, data, clock.parse_sql_time(created_at)))
    return events


def _deliver_to_all(cursor: CursorWrapper, dialect: Dialect, event: Published) -> bool:
    """Deliver to every open wait that matches; False when some are left for the next round."""
    complete = True
    if (data := event.value()) is MISSING:
        return True
    for keys in _known_keys(cursor, event.name):
        if (wanted := hash_for(data, keys)) is None:
            continue
        parameters = [event.name, keys, wanted, store(dialect, event.id), MOST_DELIVERIES]
        cursor.execute(OPEN_WAITS.format(now=dialect.now()), parameters)
        waits = [OpenWait(read_uuid(execution), read_uuid(step), key) for execution, step, key in cursor.fetchall()]
        delivered = _deliver(cursor, dialect, event, waits)
        complete = complete and len(waits) < MOST_DELIVERIES and delivered
    return complete


def _known_keys(cursor: CursorWrapper, name: str) -> Iterable[str]:
    """The sets of keys that open waits for this event name ask for: one index probe for each."""
    keys, last = [], None
    cursor.execute(NEXT_KEYS.replace("match_keys > %s", "match_keys >= %s"), [name, ""])
    while (row := cursor.fetchone()) is not None and row[0] != last:
        last = row[0]
        keys.append(last)
        cursor.execute(NEXT_KEYS, [name, last])
    return keys


def _deliver(
    cursor: CursorWrapper,
    dialect: Dialect,
    event: Published,
    waits: Sequence[OpenWait],
    arrived_at: datetime | None = None,
) -> bool:
    """Put the event into the inboxes of executions that can be locked now; False when one could not."""
    first = {wait.execution_id: wait for wait in reversed(waits)}
    if not first:
        return True
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
        statements.run(cursor, dialect, statements.RECEIVE, statements.COUNT_COLUMNS, counts)
        statements.run(cursor, dialect, DELIVER, DELIVERY_COLUMNS, deliveries)
    return len(rows) == len(first)


def _receives(row: Locked | None) -> bool:
    return row is not None and row.status not in FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookback:
    """Delivers to a wait the oldest event of a span that matches and that its execution has not had yet.

    It counts as having arrived when it was published, so that a wait whose time is up at once finds it too.
    """

    alias: str
    execution_id: UUID
    key: str
    name: str
    match: Mapping[str, Any]
    since: datetime
    until: datetime

    def __call__(self) -> Unread | None:
        dialect = dialect_of(connections[self.alias])
        return transact(self.alias, lambda cursor: self._search(cursor, dialect))

    def _search(self, cursor: CursorWrapper, dialect: Dialect) -> Unread | None:
        keys, wanted = keys_of(self.match), codec.match_hash(dict(self.match))
        for event in self._events(cursor, dialect):
            data = event.value()
            if data is not MISSING and hash_for(data, keys) == wanted and self._is_new(cursor, dialect, event):
                self._deliver(cursor, dialect, event)
                break
        unread = (unread for _, unread in read_unread(cursor, dialect, [self.execution_id]))
        return next((message for message in unread if message.step_key == self.key), None)

    def _events(self, cursor: CursorWrapper, dialect: Dialect) -> Iterator[Published]:
        """Oldest first, in batches: most of them may be for others."""
        since, last = self.since, UUID(int=0)
        text = PUBLISHED_BETWEEN.format(now=dialect.now())
        while True:
            moments = [store(dialect, since), store(dialect, self.until), store(dialect, since)]
            cursor.execute(text, [self.name, *moments, store(dialect, last)])
            if not (events := _published(cursor)):
                return
            yield from events
            since, last = events[-1].created_at, events[-1].id

    def _is_new(self, cursor: CursorWrapper, dialect: Dialect, event: Published) -> bool:
        among, parameters = dialect.among([self.execution_id])
        cursor.execute(DELIVERED.format(among=among), [*parameters, store(dialect, event.id)])
        return cursor.fetchone() is None

    def _deliver(self, cursor: CursorWrapper, dialect: Dialect, event: Published) -> None:
        among, parameters = dialect.among([self.execution_id])
        cursor.execute(WAIT_AT.format(among=among), [*parameters, self.key])
        if (row := cursor.fetchone()) is not None:
            wait = OpenWait(self.execution_id, read_uuid(row[0]), self.key)
            _deliver(cursor, dialect, event, [wait], event.created_at)
