"""Which loops a worker runs beside commits and claims: the composition root of `runworkflows`."""

from __future__ import annotations

import logging
from collections import Counter

from django.db import connections

from django_workflows.clock import monotonic
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.database import notify
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events import dispatch as dispatching
from django_workflows.engine.events.dispatch import Dispatched
from django_workflows.engine.verbs import apply
from django_workflows.engine.verbs.sweep import Sweep
from django_workflows.engine.worker import workflow_rows
from django_workflows.engine.worker.chores import Chore
from django_workflows.triggers import counting, scheduling, syncing
from django_workflows.triggers.dispatch import Triggering

logger = logging.getLogger("django_workflows")

STRANGE_SECONDS = 10.0  # a schedule whose workflow is not known here is looked at again after so long


def publish(alias: str, *, only_missing: bool) -> None:
    """Write the workflows of the code and their triggers into the tables; `only_missing` changes nothing there is."""
    workflow_rows.publish(alias, only_missing=only_missing)
    syncing.sync(alias, only_missing=only_missing)


class Verbs:
    """The chore: carries out what operators requested, through `operations` or by SQL; whether anything changed."""

    def __init__(self) -> None:
        self._sweep = Sweep()

    def __call__(self, alias: str, peek: Peek) -> bool:
        changes = self._sweep.go(alias) if peek.requested else []
        apply.announce(alias, changes, apart=True)
        return bool(changes)


def dispatch(alias: str) -> Dispatched:
    """Hand published events to the waits that are open for them, and start what they trigger; tells other workers."""
    done = dispatching.dispatch(alias, Triggering(alias))
    counting.backlog.put(Counter(done.uncounted))
    for queue in done.queues:
        notify.notify(queue, alias)
    return done


def _count_triggers(alias: str) -> None:
    """What could not be counted with the starts, because somebody had the trigger locked."""
    counts, dialect = counting.backlog.take(), dialect_of(connections[alias])
    try:
        left = transact(alias, lambda cursor: counting.count(cursor, dialect, counts), reads_past=True)
    except Exception:
        counting.backlog.put(counts)
        raise
    counting.backlog.put(left)


class EventDispatch:
    """The chore: dispatches what is stored, and looks again soon, once, when all that is left is locked."""

    def __init__(self) -> None:
        self._was_locked = False

    def __call__(self, alias: str, peek: Peek) -> bool:
        if counting.backlog:
            _count_triggers(alias)
        if not peek.undispatched:
            self._was_locked = False
            return False
        moved = bool(dispatch(alias))
        look_again = moved or not self._was_locked
        self._was_locked = not moved
        return look_again


class ScheduleFiring:
    """The chore: fires what is due. Schedules of workflows whose code is elsewhere are left to others for a while."""

    def __init__(self) -> None:
        self._strange: dict[str, float] = {}
        self._told: set[str] = set()

    def __call__(self, alias: str, peek: Peek) -> bool:
        if not peek.schedules_due:
            return False
        now = monotonic()
        self._strange = {name: until for name, until in self._strange.items() if until > now}
        fired = scheduling.fire_due(alias, strange=self._strange)
        for name in fired.strange - self._told:
            logger.warning("A schedule of %s is due, whose code is not here: it is left to other workers.", name)
        self._told |= fired.strange
        self._strange |= dict.fromkeys(fired.strange, now + STRANGE_SECONDS)
        for queue in sorted({execution.queue for execution in fired.started}):
            notify.notify(queue, alias)
        return fired.looked_at > 0


CHORES: tuple[Chore, ...] = (Verbs(), EventDispatch(), ScheduleFiring())
