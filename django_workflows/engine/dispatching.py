"""Published events find the waits that are open for them, and what they start.

`send_event` only stores the event; workers dispatch stored events after the commit, in batches, each once. A wait is
found by its event's name and a hash of the values that must match, so ten thousand open waits cost an event that
matches none of them a few index probes. A delivery is a message in the inbox of the execution, addressed to the wait.

What events start is a higher layer's business: it gets each event once (`triggered_at`), in the same transaction. A
receiver that somebody else has locked leaves an event for the next round, without holding up what it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.engine import statements
from django_workflows.engine.committing import Locked, lock
from django_workflows.engine.database import planning_cursor, transact
from django_workflows.engine.dialects import Dialect, dialect_of, read_uuid, store
from django_workflows.engine.published import MISSING, PUBLISHED, Published, hash_for, read_published
from django_workflows.engine.reaching import receivers
from django_workflows.models import FINISHED

BATCH = 100
MOST_DELIVERIES = 500  # of one event in one transaction
MOST_ROUNDS = 50  # past events whose receivers are all locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """What came of a look at the stored events. False when nothing moved: their receivers are all locked."""

    events: int = 0
    receivers: tuple[UUID, ...] = ()
    started: tuple[UUID, ...] = ()
    queues: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.events or self.receivers or self.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What a batch of events started: ids and queues. Those `left` are for workers with other code."""

    started: Sequence[tuple[UUID, str]] = ()
    left: Collection[UUID] = ()


Triggering = Callable[[CursorWrapper, Sequence[Published]], Triggered]  # inside the transaction


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait that an event matches."""

    execution_id: UUID
    step_id: UUID
    key: str
    queue: str = ""


UNDISPATCHED = f"""
SELECT {PUBLISHED} FROM django_workflows_event
WHERE type = 'event' AND execution_id IS NULL AND dispatched_at IS NULL AND deliver_at <= {{now}} {{after}}
ORDER BY deliver_at, id LIMIT %s {{lock}}
"""

_FIRST = UUID(int=0)

AFTER = "AND deliver_at >= %s AND (deliver_at, id) > (%s, %s)"

DISPATCHED = """
UPDATE django_workflows_event SET dispatched_at = {now}, triggered_at = COALESCE(triggered_at, {now}) WHERE id {among}
"""

TRIGGERED = "UPDATE django_workflows_event SET triggered_at = {now} WHERE id {among}"

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


def dispatch(alias: str, trigger: Triggering | None = None, limit: int = BATCH) -> Dispatched:
    """Dispatch events that are due, in one transaction; further ones only where all receivers are locked."""
    last: Published | None = None
    for _ in range(MOST_ROUNDS):
        round = Round(alias, trigger)
        transact(alias, lambda cursor: round.go(cursor, limit, last), reads_past=True)  # noqa: B023  # called at once
        if round.done or len(round.events) < limit:
            return round.done
        last = round.events[-1]  # a hundred events for one locked execution must not hold up all others
    return Dispatched()


class Round:
    """One transaction of dispatching."""

    def __init__(self, alias: str, trigger: Triggering | None) -> None:
        self._alias, self.dialect, self._trigger = alias, dialect_of(connections[alias]), trigger
        self.events: list[Published] = []
        self.done = Dispatched()

    def go(self, cursor: CursorWrapper, limit: int, last: Published | None) -> None:
        """Take what nobody else has, start what it triggers, deliver it, and note what is complete."""
        self.done = Dispatched()
        self.events = self._take(cursor, limit, last)
        fresh = [event for event in self.events if not event.is_triggered]
        left = self._start(cursor, fresh)
        delivered = [event.id for event in self.events if self._deliver_to_all(cursor, event)]
        complete = {id for id in delivered if id not in left}
        self._mark(cursor, TRIGGERED, {event.id for event in fresh} - complete - set(left))
        self._mark(cursor, DISPATCHED, complete)
        self.done = replace(self.done, events=len(complete))

    def _take(self, cursor: CursorWrapper, limit: int, last: Published | None) -> list[Published]:
        dialect, after = self.dialect, []
        if last is not None:
            moment = store(dialect, last.deliver_at)
            after = [moment, moment, store(dialect, last.id)]
        text = UNDISPATCHED.format(now=dialect.now(), lock=dialect.lock, after=AFTER if after else "")
        cursor.execute(text, [*after, limit])
        return read_published(cursor)

    def _start(self, cursor: CursorWrapper, events: list[Published]) -> Collection[UUID]:
        if self._trigger is None or not events:
            return ()
        done = self._trigger(cursor, events)
        ids, queues = [id for id, _ in done.started], {queue for _, queue in done.started}
        self._note(started=tuple(ids), queues=frozenset(queues))
        return done.left

    def _mark(self, cursor: CursorWrapper, statement: str, ids: Collection[UUID]) -> None:
        if ids:
            among, parameters = self.dialect.among(ids)
            cursor.execute(statement.format(now=self.dialect.now(), among=among), parameters)

    def _deliver_to_all(self, cursor: CursorWrapper, event: Published) -> bool:
        """Deliver to every open wait that matches; False when some are left for the next round."""
        complete = True
        if (data := event.value()) is MISSING:
            return True
        for keys in _known_keys(cursor, event.name):
            if (wanted := hash_for(data, keys)) is not None:
                complete = self._deliver_to(cursor, event, keys, wanted) and complete
        return complete

    def _deliver_to(self, cursor: CursorWrapper, event: Published, keys: str, wanted: str) -> bool:
        """The same for one set of keys. What the event may not reach is passed over, and stays as it is."""
        complete, number, last = True, 0, _FIRST
        while number < MOST_DELIVERIES:
            found = self._find_waits(cursor, event, keys, wanted, last)
            reached = receivers(self._alias, event, {wait.execution_id for wait in found})
            waits = [wait for wait in found if wait.execution_id in reached]
            received, none_locked = deliver(cursor, self.dialect, event, waits)
            self._note(receivers=received, queues=frozenset(wait.queue for wait in waits))
            complete = complete and none_locked
            if len(found) < MOST_DELIVERIES:
                return complete
            number, last = number + len(waits), found[-1].execution_id
        return False

    def _find_waits(
        self, cursor: CursorWrapper, event: Published, keys: str, wanted: str, last: UUID
    ) -> list[OpenWait]:
        ids = [store(self.dialect, id) for id in (last, event.id)]
        with planning_cursor(cursor) as planning:  # most waits may be for one event
            parameters = [event.name, keys, wanted, *ids, MOST_DELIVERIES]
            planning.execute(OPEN_WAITS.format(now=self.dialect.now()), parameters)
            return [
                OpenWait(read_uuid(id), read_uuid(step), key, queue) for id, step, key, queue in planning.fetchall()
            ]

    def _note(
        self, *, receivers: tuple[UUID, ...] = (), started: tuple[UUID, ...] = (), queues: frozenset[str]
    ) -> None:
        done = self.done
        self.done = replace(
            done, receivers=done.receivers + receivers, started=done.started + started, queues=done.queues | queues
        )


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
        statements.run(cursor, dialect, statements.RECEIVE, statements.COUNT_COLUMNS, counts)
        statements.run(cursor, dialect, DELIVER, DELIVERY_COLUMNS, deliveries)
    return tuple(delivery[1] for delivery in deliveries), len(rows) == len(first)


def _receives(row: Locked | None) -> bool:
    return row is not None and row.status not in FINISHED
