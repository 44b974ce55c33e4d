"""Which events a worker prepares to start something for, and what becomes of one that cannot be dispatched.

What an event starts is prepared outside of any transaction, since the code of users runs in there. Before that the
event is taken, for a while: its row says so, and how often it was in vain. So one whose preparation hangs, or kills its
worker, is in the hands of one worker at a time, and after some of them it is set aside.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.clock import DatabaseNow
from django_workflows.engine.database.dialects import dialect_of, read_uuid
from django_workflows.engine.database.errors import AmbiguousCommit, is_retryable
from django_workflows.engine.database.isolation import pause_after
from django_workflows.engine.database.transactions import single, transact
from django_workflows.engine.events.published import Published
from django_workflows.engine.history.sql import UNDISPATCHED
from django_workflows.models import Event, EventType

logger = logging.getLogger("django_workflows")

MOST_ATTEMPTS = 3  # that ended with the worker, or with an error of no database
REASON_LENGTH = 1000

# Nobody else may have taken it meanwhile: two that look at once find the same.
TAKE = """
UPDATE django_workflows_event SET attempts = attempts + 1, retry_at = {until}, reason = ''
WHERE dispatched_at IS NULL AND (retry_at IS NULL OR retry_at <= {now}) AND id {among} RETURNING id
"""

GIVE_BACK = """
UPDATE django_workflows_event SET attempts = 0, retry_at = NULL, reason = '' WHERE dispatched_at IS NULL AND id {among}
"""

POSTPONE = """
UPDATE django_workflows_event SET retry_at = {until}, attempts = %s, reason = %s
WHERE dispatched_at IS NULL AND id {among}
"""

# It leaves the index of what is to be dispatched; an operator can have it dispatched again.
SET_ASIDE_RECORD = "event.set_aside"  # the name of the record that says so

SET_ASIDE = """
UPDATE django_workflows_event SET dispatched_at = {now}, set_aside_at = {now}, retry_at = NULL, reason = %s
WHERE dispatched_at IS NULL AND id {among}
"""

REDRIVE = """
UPDATE django_workflows_event SET
    dispatched_at = NULL, set_aside_at = NULL, attempts = 0, retry_at = NULL, reason = ''
WHERE set_aside_at IS NOT NULL AND id {among}
"""

# What the dead had taken is free at once: who has died does not say which.
FREE = f"""
UPDATE django_workflows_event SET retry_at = NULL
WHERE {UNDISPATCHED} AND retry_at IS NOT NULL AND reason = ''
"""


def take(alias: str, events: Sequence[Published]) -> list[Published]:
    """Those that nobody else has taken, to be prepared now. One that was taken in vain is taken alone."""
    hopeless = [event for event in events if event.attempts >= MOST_ATTEMPTS and event.has_vanished]
    for event in hopeless:
        set_aside(
            alias, event, f"Its dispatch was begun {event.attempts} times and never ended: see the workers' logs."
        )
    suspects = [event for event in events if event.attempts and event not in hopeless]
    wanted = suspects[:1] or [event for event in events if event not in hopeless]
    if not wanted:
        return []
    dialect = dialect_of(connections[alias])
    among, parameters = dialect.among([event.id for event in wanted])
    until = dialect.now(2 * conf.hang_timeout())
    text = TAKE.format(now=dialect.now(), until=until, among=among)

    def ask(cursor: CursorWrapper) -> set[UUID]:
        cursor.execute(text, parameters)
        return {read_uuid(row[0]) for row in cursor.fetchall()}

    try:
        taken = single(alias, ask)
    except AmbiguousCommit:
        return []
    return [event for event in wanted if event.id in taken]


def give_back(alias: str, ids: Collection[UUID]) -> None:
    """These were prepared, and are not dispatched yet: that is nobody's fault."""
    if ids:
        _change(alias, GIVE_BACK, ids)


def postpone(alias: str, event: Published, error: Exception) -> None:
    """The dispatch of this event alone has failed: again after a growing pause, or never."""
    reason = f"{type(error).__name__}: {str(error).strip()}"[:REASON_LENGTH]
    retryable = isinstance(error, DatabaseError) and is_retryable(error)
    attempts = event.attempts + 1
    if attempts >= MOST_ATTEMPTS and not retryable:
        set_aside(alias, event, f"Its dispatch has failed {attempts} times: {reason}"[:REASON_LENGTH])
        return
    pause = pause_after(attempts)
    logger.error("The event %s (%s) is dispatched again in %g s: %s", event.id, event.name, pause, reason)
    _change(alias, POSTPONE, [event.id], attempts, reason, seconds=pause)


def set_aside(alias: str, event: Published, reason: str) -> None:
    """Nobody dispatches it any more, until an operator says so; the log of events tells."""
    logger.error("The event %s (%s) is set aside: %s", event.id, event.name, reason)
    dialect = dialect_of(connections[alias])
    among, parameters = dialect.among([event.id])
    text = SET_ASIDE.format(now=dialect.now(), among=among)
    data: Any = {"event": {"id": str(event.id), "name": event.name}, "error": {"type": "SetAside", "message": reason}}

    def work(cursor: CursorWrapper) -> None:
        cursor.execute(text, [reason, *parameters])
        if cursor.rowcount:
            row = Event(type=EventType.ERROR, name=SET_ASIDE_RECORD, data=data, created_at=DatabaseNow())
            row.save(using=alias, force_insert=True)

    transact(alias, work)


def redrive(cursor: CursorWrapper, event: Event, data: Any) -> bool:
    """Let an event that was set aside be dispatched again, and note that; whether it was. What it has started already
    is not started again: `triggered_at` stays, and each start has its key.
    """
    dialect = dialect_of(cursor.db)
    among, parameters = dialect.among([event.pk])
    cursor.execute(REDRIVE.format(among=among), parameters)
    if not cursor.rowcount:
        return False
    row = Event(type=EventType.OPERATOR, name="redrive", data=data, created_at=DatabaseNow())
    row.save(using=cursor.db.alias, force_insert=True)
    return True


_owed: set[UUID] = set()  # taken by this process, and neither dispatched nor given back: the database was away


@contextmanager
def held(alias: str, taken: Collection[UUID]) -> Iterator[set[UUID]]:
    """While these are dispatched. What is not removed from the set is given back, now or when the database answers."""
    left = set(taken)
    _owed.update(left)
    yield left
    give_back(alias, left)
    _owed.difference_update(taken)


def settle(alias: str) -> None:
    """Give back what could not be given back before."""
    if owed := list(_owed):
        give_back(alias, owed)
        _owed.difference_update(owed)


def free(alias: str) -> None:
    """A worker has died: what it had taken is free."""
    single(alias, lambda cursor: cursor.execute(FREE, []))


def _change(alias: str, statement: str, ids: Collection[UUID], *values: int | str, seconds: float = 0.0) -> None:
    dialect = dialect_of(connections[alias])
    among, parameters = dialect.among(ids)
    text = statement.format(now=dialect.now(), until=dialect.now(seconds), among=among)
    single(alias, lambda cursor: cursor.execute(text, [*values, *parameters]))
