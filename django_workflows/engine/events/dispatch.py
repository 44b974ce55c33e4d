"""Published events find the waits that are open for them, and what they start.

`send_event` only stores the event; workers dispatch stored events after the commit, in batches, each once. A wait is
found by its event's name and a hash of the values that must match, so ten thousand open waits cost an event that
matches none of them a few index probes. A delivery is a message in the inbox of the execution, addressed to the wait.

What events start is a higher layer's business: it gets each event once (`triggered_at`), in the same transaction. A
receiver that somebody else has locked leaves an event for the next round, without holding up what it starts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.clock import monotonic
from django_workflows.engine.database.dialects import dialect_of, read_uuid, store
from django_workflows.engine.database.isolation import by_halves
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.events import take
from django_workflows.engine.events.deliver import deliver_to_all
from django_workflows.engine.events.published import PUBLISHED, Published, read_published
from django_workflows.engine.history import sql as history_sql

PREPARING_SECONDS = 0.5
BATCH = 100
MOST_ROUNDS = 50  # past events whose receivers are all locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """What came of a look at the stored events. False when nothing moved: their receivers are all locked."""

    events: int = 0
    receivers: tuple[UUID, ...] = ()
    started: tuple[UUID, ...] = ()
    queues: frozenset[str] = frozenset()
    uncounted: Mapping[UUID, int] = field(default_factory=dict)  # starts, by trigger, whose row somebody has locked

    def __bool__(self) -> bool:
        return bool(self.events or self.receivers or self.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What a batch of events started: ids and queues. Those `left` are for other workers, or for another round."""

    started: Sequence[tuple[UUID, str]] = ()
    left: Collection[UUID] = ()
    uncounted: Mapping[UUID, int] = field(default_factory=dict)


class Triggering(Protocol):
    """Starts what events trigger: first it prepares that, then it stores it in the transaction that dispatches them."""

    def find(self, events: Sequence[Published]) -> Collection[UUID]:
        """The events that start something, as far as one can tell now."""

    def prepare(self, event: Published) -> None:
        """Make ready what it starts; the code of users may run in there."""

    def __call__(self, cursor: CursorWrapper, events: Sequence[Published]) -> Triggered:
        """Store what was prepared."""


UNDISPATCHED = f"""
SELECT {PUBLISHED} FROM django_workflows_event
WHERE {history_sql.UNDISPATCHED} AND deliver_at <= {{now}}
AND (retry_at IS NULL OR retry_at <= {{now}}) {{after}}
ORDER BY deliver_at, id LIMIT %s
"""

AFTER = "AND deliver_at >= %s AND (deliver_at, id) > (%s, %s)"

LOCK = """
SELECT id, triggered_at FROM django_workflows_event WHERE id {among} AND dispatched_at IS NULL
ORDER BY deliver_at, id {lock}
"""

DISPATCHED = """
UPDATE django_workflows_event SET
    dispatched_at = {now}, triggered_at = COALESCE(triggered_at, {now}), attempts = 0, retry_at = NULL, reason = ''
WHERE id {among}
"""

TRIGGERED = "UPDATE django_workflows_event SET triggered_at = {now} WHERE id {among}"


def dispatch(alias: str, trigger: Triggering | None = None, limit: int = BATCH) -> Dispatched:
    """Dispatch events that are due; further ones only where all receivers are locked."""
    take.settle(alias)
    last: Published | None = None
    for _ in range(MOST_ROUNDS):
        events = _look(alias, limit, last)
        done = _dispatch(alias, trigger, events)
        if done or len(events) < limit:
            return done
        last = events[-1]  # a hundred events for one locked execution must not hold up all others
    return Dispatched()


def _look(alias: str, limit: int, last: Published | None) -> list[Published]:
    """What is due. Others may look at the same: who locks an event dispatches it."""
    dialect, after = dialect_of(connections[alias]), list[Any]()
    if last is not None:
        moment = store(dialect, last.deliver_at)
        after = [moment, moment, store(dialect, last.id)]
    text = UNDISPATCHED.format(now=dialect.now(), after=AFTER if after else "")

    def ask(cursor: CursorWrapper) -> list[Published]:
        cursor.execute(text, [*after, limit])
        return read_published(cursor)

    return reading(alias, ask)


def _dispatch(alias: str, trigger: Triggering | None, events: Sequence[Published]) -> Dispatched:
    """Prepare what they start, then store it and deliver them, in one transaction; apart when that is refused."""
    fresh = [event for event in events if not event.is_triggered]
    wanted = set(trigger.find(fresh)) if trigger is not None and fresh else set()
    taken = take.take(alias, [event for event in fresh if event.id in wanted]) if wanted else []
    round = Round(alias, trigger)
    with take.held(alias, [event.id for event in taken]) as left:
        ready = set(_prepare(trigger, taken)) if trigger is not None else set()
        some = [event for event in events if event.id not in wanted or event.id in ready]
        for event, error in by_halves(alias, some, round.go, round.collect, reads_past=True):
            take.postpone(alias, event, error)
            left.discard(event.id)
        left -= round.complete
    return round.done


def _prepare(trigger: Triggering, events: Sequence[Published]) -> Iterator[UUID]:
    """As many as there is time for: other chores wait."""
    until = monotonic() + PREPARING_SECONDS
    for event in events:
        trigger.prepare(event)
        yield event.id
        if monotonic() > until:
            break


class Round:
    """The transactions in which some events are dispatched: one, unless it is refused."""

    def __init__(self, alias: str, trigger: Triggering | None) -> None:
        self.dialect, self._trigger = dialect_of(connections[alias]), trigger
        self.done = Dispatched()
        self.complete: set[UUID] = set()

    def go(self, cursor: CursorWrapper, events: Sequence[Published]) -> tuple[Dispatched, set[UUID]]:
        """Take what nobody else has, start what it triggers, deliver it, and note what is complete."""
        events = self._lock(cursor, events)
        fresh = [event for event in events if not event.is_triggered]
        triggered = self._trigger(cursor, fresh) if self._trigger is not None and fresh else Triggered()
        delivered = {event.id: deliver_to_all(cursor, self.dialect, event) for event in events}
        complete = {id for id, delivery in delivered.items() if delivery.complete and id not in triggered.left}
        self._mark(cursor, TRIGGERED, {event.id for event in fresh} - complete - set(triggered.left))
        self._mark(cursor, DISPATCHED, complete)
        queues = frozenset(queue for _, queue in triggered.started).union(*(one.queues for one in delivered.values()))
        done = Dispatched(
            events=len(complete),
            receivers=tuple(id for delivery in delivered.values() for id in delivery.receivers),
            started=tuple(id for id, _ in triggered.started),
            queues=queues,
            uncounted=triggered.uncounted,
        )
        return done, complete

    def collect(self, what: tuple[Dispatched, set[UUID]]) -> None:
        """It is committed."""
        (more, complete), done = what, self.done
        self.complete |= complete
        self.done = Dispatched(
            events=done.events + more.events,
            receivers=done.receivers + more.receivers,
            started=done.started + more.started,
            queues=done.queues | more.queues,
            uncounted={**done.uncounted, **more.uncounted},
        )

    def _lock(self, cursor: CursorWrapper, events: Sequence[Published]) -> list[Published]:
        among, parameters = self.dialect.among([event.id for event in events])
        cursor.execute(LOCK.format(among=among, lock=self.dialect.lock), parameters)
        free = {read_uuid(id): triggered_at is not None for id, triggered_at in cursor.fetchall()}
        return [replace(event, is_triggered=free[event.id]) for event in events if event.id in free]

    def _mark(self, cursor: CursorWrapper, statement: str, ids: Collection[UUID]) -> None:
        if ids:
            among, parameters = self.dialect.among(ids)
            cursor.execute(statement.format(now=self.dialect.now(), among=among), parameters)
