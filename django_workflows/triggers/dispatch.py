"""Published events start what they trigger: each trigger that matches, once for each event.

What a batch of events starts is prepared first. Then `Triggering` is called inside the engine's transaction, which also
notes that it was: a worker that is killed in the middle leaves nothing behind, and the next one does it all. The
idempotency key of each execution (trigger and event) stands behind that.

In a rolling deploy an old worker may meet a trigger of a workflow that only new code has: it leaves the event to others
for a while.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper

from django_workflows import codec
from django_workflows.client.bulk import Bulk
from django_workflows.clock import database_now
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, is_about_values
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events.dispatch import Triggered
from django_workflows.engine.events.published import MISSING, Published
from django_workflows.exceptions import UnknownWorkflow, WorkflowDisabled
from django_workflows.models import Execution, Trigger, Workflow
from django_workflows.triggers import matching
from django_workflows.triggers.counting import count
from django_workflows.triggers.payloads import Received
from django_workflows.triggers.reach import reached
from django_workflows.triggers.starting import Prepared, prepare, record_failure

logger = logging.getLogger("django_workflows")

Key = tuple[UUID, int, UUID]

UNTAKEN = timedelta(seconds=60)  # after so long nobody will come whose code knows the workflow


@dataclass(frozen=True, slots=True)
class Wanted:
    """One trigger that one event starts."""

    trigger: Trigger
    published: Published
    event: Received

    @property
    def key(self) -> Key:
        """What is prepared holds for the trigger as it was."""
        return self.trigger.pk, self.trigger.revision, self.published.id

    @property
    def idempotency_key(self) -> str:
        return f"trigger:{self.trigger.pk}:{self.published.id}"


class Triggering:
    """Starts what a batch of events triggers. Made for one batch: what is prepared is as old as that."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._counts: Counter[UUID] = Counter()
        self._left: set[UUID] = set()
        self._wanted: dict[UUID, list[Wanted]] = {}
        self._ready: dict[Key, Prepared | Exception] = {}

    def find(self, events: Sequence[Published]) -> Collection[UUID]:
        """The events that start something, as far as one can tell now."""
        found = transact(self._alias, lambda cursor: self._find(cursor, events))
        self._wanted = {}
        for wanted in found:
            self._wanted.setdefault(wanted.published.id, []).append(wanted)
        return self._wanted.keys()

    def prepare(self, event: Published) -> None:
        """Bind and check the input of what it starts, outside of any transaction. What is refused is told later."""
        for wanted in self._wanted[event.id]:
            try:
                self._ready[wanted.key] = prepare(wanted.trigger, wanted.event, wanted.idempotency_key)
            except (DatabaseError, ConnectionLost, AmbiguousCommit):
                raise  # while the workflow was looked up
            except Exception as error:  # the constructors of users' types run in there
                self._ready[wanted.key] = error

    def __call__(self, cursor: CursorWrapper, events: Sequence[Published]) -> Triggered:
        """The new executions, and the events that are left to workers with other code, or to be prepared again."""
        self._counts, self._left = Counter(), set()  # the transaction may be a second try
        wanted = self._find(cursor, events)
        self._left |= {one.published.id for one in wanted if one.key not in self._ready}  # the trigger has changed
        wanted = [one for one in wanted if one.published.id not in self._left]
        started = [execution for batch in _by_trigger(wanted) for execution in self._start(cursor, batch)]
        uncounted = count(cursor, dialect_of(connections[self._alias]), self._counts)
        pairs = [(execution.id, execution.queue) for execution in started]
        return Triggered(started=pairs, left=self._left, uncounted=uncounted)

    def _find(self, cursor: CursorWrapper, events: Sequence[Published]) -> list[Wanted]:
        """Every enabled trigger that matches, read now: the index may be as old as the last batch."""
        index = matching.current(self._alias, cursor)
        pairs: list[tuple[UUID, Published]] = []
        for event in events:
            if (data := event.value()) is not MISSING:
                pairs += [(trigger_id, event) for trigger_id in index.matching(event.name, data)]
        triggers = _active(self._alias, {trigger_id for trigger_id, _ in pairs}) if pairs else {}
        return [
            Wanted(triggers[trigger_id], event, _received(event))
            for trigger_id, event in reached(pairs, triggers)
            if trigger_id in triggers
        ]

    def _start(self, cursor: CursorWrapper, batch: list[Wanted]) -> list[Execution]:
        """The new executions of one trigger, by one INSERT; one by one when that is refused, to find the guilty."""
        prepared = [(wanted, ready) for wanted in batch if (ready := self._accepted(wanted)) is not None]
        try:
            return self._store(cursor, [ready for _, ready in prepared])
        except (DatabaseError, WorkflowDisabled) as error:
            if isinstance(error, DatabaseError) and not is_about_values(error):
                raise
        return [execution for wanted, ready in prepared for execution in self._store_one(cursor, wanted, ready)]

    def _accepted(self, wanted: Wanted) -> Prepared | None:
        """None when the workflow refuses it: the log says why, and the others go on."""
        ready = self._ready[wanted.key]
        if isinstance(ready, UnknownWorkflow) and self._is_known_elsewhere(wanted):
            self._left.add(wanted.published.id)
        elif isinstance(ready, Exception):
            record_failure(wanted.trigger, wanted.event, ready)
        else:
            return ready
        return None

    def _is_known_elsewhere(self, wanted: Wanted) -> bool:
        """Whether the workflow has a row, so that there may be code of it, and others had no time yet to come by."""
        if database_now(self._alias) - wanted.published.deliver_at > UNTAKEN:
            return False
        return Workflow.objects.using(self._alias).filter(name=wanted.trigger.workflow).exists()

    def _store(self, cursor: CursorWrapper, prepared: Sequence[Prepared]) -> list[Execution]:
        if not prepared:
            return []
        bulk = Bulk(prepared[0].starter, [ready.request for ready in prepared])
        with transaction.atomic(using=self._alias):
            results = bulk.store(cursor)
        new = [execution for execution, is_new in results if is_new]
        self._counts[prepared[0].trigger_id] += len(new)
        return new

    def _store_one(self, cursor: CursorWrapper, wanted: Wanted, prepared: Prepared) -> list[Execution]:
        try:
            return self._store(cursor, [prepared])
        except WorkflowDisabled as error:
            logger.info("%s", error)
        except DatabaseError as error:
            if not is_about_values(error):
                raise
            record_failure(wanted.trigger, wanted.event, error)
        return []


def _active(alias: str, ids: Iterable[UUID]) -> dict[UUID, Trigger]:
    """Those that start something: enabled, and of a workflow that is."""
    triggers = Trigger.objects.using(alias).filter(id__in=ids, enabled=True, retired_at=None)
    off = Workflow.objects.using(alias).filter(enabled=False).values("name")
    return {trigger.pk: trigger for trigger in triggers.exclude(workflow__in=off)}


def _by_trigger(wanted: Iterable[Wanted]) -> list[list[Wanted]]:
    batches: dict[UUID, list[Wanted]] = {}
    for one in wanted:
        batches.setdefault(one.trigger.pk, []).append(one)
    return list(batches.values())


def _received(event: Published) -> Received:
    return Received(
        id=event.event_id or str(event.id),
        name=event.name,
        data=event.value(),
        source=event.source,
        time=event.created_at,
        headers=codec.decode(event.headers) if event.headers else {},
    )
