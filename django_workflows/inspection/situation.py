"""What an execution's situation depends on beside its own row: the time, its open steps, the workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber

from django_workflows import clock, conf
from django_workflows.inspection.stored import Pair, actions_of
from django_workflows.models import OPEN_STEPS, Execution, Status, StepResult, Worker

# A worker that has not been seen for so many leases is taken for gone.
_LEASES = 3
_MOST_WORKERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSteps:
    """The open step that is to move first, and how many more there are, of its kind and in all."""

    step: StepResult
    of_kind: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The time, the open steps by execution, the workers that are there; `reveal` allows to quote reasons."""

    now: datetime
    steps: dict[UUID, OpenSteps] = field(default_factory=dict)
    workers: Sequence[Worker] = ()
    actions: Mapping[Pair, frozenset[str]] = field(default_factory=dict)  # of stored definitions, what they call
    reveal: bool = True


def situation_of(executions: Sequence[Execution], steps: dict[UUID, OpenSteps], *, reveal: bool = True) -> Situation:
    """What is needed to explain these executions, in a few queries however many they are."""
    workers = _workers(executions)
    known = {name for worker in workers for name in worker.workflows}
    others = {(one.workflow, one.version) for one in executions if one.workflow not in known} if workers else set()
    return Situation(now=clock.database_now(), steps=steps, workers=workers, actions=actions_of(others), reveal=reveal)


def first_of(execution: Execution, steps: Iterable[StepResult]) -> dict[UUID, OpenSteps]:
    """The same as `open_steps()`, from rows that the caller has."""
    rows = [step for step in steps if step.status in OPEN_STEPS and step.generation == execution.generation]
    if not rows:
        return {}
    first = min(rows, key=lambda step: (step.deadline is None, step.deadline or step.created_at, step.seq))
    of_kind = sum(step.kind == first.kind for step in rows)
    return {execution.id: OpenSteps(step=first, of_kind=of_kind, total=len(rows))}


def open_steps(executions: Sequence[Execution]) -> dict[UUID, OpenSteps]:
    """For each execution the open step whose deadline comes first, with how many there are: one query."""
    generations = {e.id: e.generation for e in executions if e.status in (Status.WAITING, Status.RUNNING)}
    if not generations:
        return {}
    steps = (
        StepResult.objects.using(conf.database())
        .filter(execution_id__in=generations, status__in=OPEN_STEPS, superseded=0)
        .filter(generation=F("execution__generation"))
        .defer("input", "output", "error")
        .annotate(
            place=Window(
                RowNumber(), partition_by=[F("execution_id")], order_by=[F("deadline").asc(nulls_last=True), F("seq")]
            ),
            of_kind=Window(Count("id"), partition_by=[F("execution_id"), F("kind")]),
            total=Window(Count("id"), partition_by=[F("execution_id")]),
        )
        .filter(place=1)
    )
    return {row.execution_id: OpenSteps(step=row, of_kind=row.of_kind, total=row.total) for row in steps}


def _workers(executions: Sequence[Execution]) -> Sequence[Worker]:
    """The workers that have been seen lately, if anything could be for them to take."""
    if not any(execution.status in (Status.PENDING, Status.WAITING) for execution in executions):
        return ()
    seen = clock.DatabaseNow() - gone_after()
    alive = Worker.objects.using(conf.database()).filter(stopped_at__isnull=True, seen_at__gte=seen)
    return list(alive.order_by("-seen_at")[:_MOST_WORKERS])


def gone_after() -> timedelta:
    """After how long without a sign of life a worker is taken for gone."""
    return timedelta(seconds=max(_LEASES * conf.lease(), 10))
