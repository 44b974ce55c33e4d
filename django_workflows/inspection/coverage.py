"""What waits for workers that are not there: queues, workflows and versions that nobody serves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Count

from django_workflows import conf
from django_workflows.inspection.invariants import Snapshot
from django_workflows.inspection.situation import gone_after
from django_workflows.inspection.stored import actions_of
from django_workflows.models import Status, Worker

EVERY_QUEUE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Unfinished executions of one version of a workflow in one queue."""

    queue: str
    workflow: str
    version: int
    count: int
    actions: frozenset[str] | None = None  # of a stored definition: the steps that it calls


@dataclass(frozen=True, slots=True)
class Coverage:
    """The workers that are alive: their queues, and in each the workflows and versions."""

    served: frozenset[tuple[str, str, int]]
    queues: frozenset[str]
    known: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()  # of each worker: its queues, names that it knows

    def serves(self, demand: Demand) -> bool:
        """Whether somebody has its code; of a stored definition, all steps that it calls."""
        places = {demand.queue, EVERY_QUEUE}
        if demand.actions is not None:
            return any(places & queues and demand.actions <= names for queues, names in self.known)
        return any((queue, demand.workflow, demand.version) in self.served for queue in places)

    def serves_queue(self, queue: str) -> bool:
        return queue in self.queues or EVERY_QUEUE in self.queues


def covered(snapshot: Snapshot) -> Coverage:
    """Who is alive."""
    seen = snapshot.now - gone_after()
    alive = list(Worker.objects.using(conf.database()).filter(stopped_at__isnull=True, seen_at__gte=seen))
    served = {
        (queue, workflow, version)
        for worker in alive
        for queue in _queues(worker)
        for workflow, versions in worker.workflows.items()
        for version in _versions(versions)
    }
    known = tuple((frozenset(_queues(worker)), frozenset(worker.workflows)) for worker in alive)
    return Coverage(frozenset(served), frozenset(queue for worker in alive for queue in _queues(worker)), known)


def _queues(worker: Worker) -> list[str]:
    """A worker that was given no queue serves all."""
    return worker.queues or [EVERY_QUEUE]


def _versions(versions: Any) -> Iterable[int]:
    return versions if isinstance(versions, list) else [versions]


def demands(snapshot: Snapshot) -> list[Demand]:
    """What unfinished executions need, paused ones aside."""
    waiting = snapshot.executions.filter(
        status__in=(Status.PENDING, Status.WAITING, Status.RUNNING, Status.ROLLING_BACK)
    )
    groups = waiting.order_by("queue", "workflow", "version").values("queue", "workflow", "version")
    found = [Demand(**group) for group in groups.annotate(count=Count("pk"))]
    needed = actions_of((demand.workflow, demand.version) for demand in found)
    return [replace(demand, actions=needed.get((demand.workflow, demand.version))) for demand in found]


def example(snapshot: Snapshot, demand: Demand) -> UUID | None:
    """The oldest execution of a demand."""
    rows = snapshot.executions.filter(queue=demand.queue, workflow=demand.workflow, version=demand.version)
    return rows.exclude(completed_at__isnull=False).order_by("created_at").values_list("pk", flat=True).first()
