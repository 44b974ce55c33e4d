"""Published events start what they trigger: each trigger that matches, once for each event.

`Triggering` is called with the events of one batch inside the engine's transaction, which also notes that it was: a
worker that is killed in the middle leaves nothing behind, and the next one does it all. The idempotency key of each
execution (trigger and event) stands behind that.

In a rolling deploy an old worker may meet a trigger of a workflow that only new code has: it leaves the event to others
for a while.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper

from django_workflows import codec
from django_workflows.client.bulk import Bulk
from django_workflows.clock import database_now
from django_workflows.engine.dialects import dialect_of
from django_workflows.engine.dispatching import Triggered
from django_workflows.engine.faults import is_about_values
from django_workflows.engine.published import MISSING, Published
from django_workflows.exceptions import UnknownWorkflow, WorkflowDisabled
from django_workflows.models import Execution, Trigger, Workflow
from django_workflows.triggers import matching
from django_workflows.triggers.counting import count
from django_workflows.triggers.reaching import reached
from django_workflows.triggers.received import Received
from django_workflows.triggers.starting import Prepared, prepare, record_failure

logger = logging.getLogger("django_workflows")

UNTAKEN = timedelta(seconds=60)  # after so long nobody will come whose code knows the workflow


@dataclass(frozen=True, slots=True)
class Wanted:
    """One trigger that one event starts."""

    trigger: Trigger
    published: Published
    event: Received

    @property
    def idempotency_key(self) -> str:
        return f"trigger:{self.trigger.pk}:{self.published.id}"


class Triggering:
    """Starts what a batch of events triggers; `uncounted` are starts of triggers whose rows somebody has locked."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._counts: Counter[UUID] = Counter()
        self._left: set[UUID] = set()
        self.uncounted: Counter[UUID] = Counter()

    def __call__(self, cursor: CursorWrapper, events: Sequence[Published]) -> Triggered:
        """The new executions, and the events that are left to workers with other code."""
        self._counts, self._left = Counter(), set()  # the transaction may be a second try
        wanted = self._find(cursor, events)
        started = [execution for batch in _by_trigger(wanted) for execution in self._start(cursor, batch)]
        self.uncounted = count(cursor, dialect_of(connections[self._alias]), self._counts)
        return Triggered(started=[(execution.id, execution.queue) for execution in started], left=self._left)

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
        prepared = [(wanted, ready) for wanted in batch if (ready := self._prepare(wanted)) is not None]
        try:
            return self._store(cursor, [ready for _, ready in prepared])
        except (DatabaseError, WorkflowDisabled) as error:
            if isinstance(error, DatabaseError) and not is_about_values(error):
                raise
        return [execution for wanted, ready in prepared for execution in self._store_one(cursor, wanted, ready)]

    def _prepare(self, wanted: Wanted) -> Prepared | None:
        """None when the workflow refuses it: the log says why, and the others go on."""
        try:
            return prepare(wanted.trigger, wanted.event, wanted.idempotency_key)
        except UnknownWorkflow as error:
            if self._is_known_elsewhere(wanted):
                self._left.add(wanted.published.id)
            else:
                record_failure(wanted.trigger, wanted.event, error)
        except Exception as error:  # the constructors of users' types run in there
            record_failure(wanted.trigger, wanted.event, error)
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
