"""An execution as bars in a drawing: from when to when it and each of its steps took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django_workflows import conf
from django_workflows.inspection.attempts import Attempt, attempts_of
from django_workflows.models import Execution, StepResult, StepStatus

MOST = 2_000
WHOLE = "execution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when something took; `end` is None while it lasts. `parent` is the id of the span it lies in."""

    id: str
    parent: str | None
    name: str
    kind: str
    status: str
    start: datetime
    end: datetime | None
    attempts: int = 0
    child: UUID | None = None


def spans(execution: Execution, *, limit: int = MOST) -> tuple[Sequence[Span], bool]:
    """The execution's own span and those of its steps in their order, and whether these are all."""
    rows = (
        StepResult.objects.using(conf.database())
        .filter(execution_id=execution.id)
        .defer("input", "output", "error")
        .order_by("generation", "seq", "created_at")
    )
    steps = list(rows[: limit + 1])
    tried = attempts_of([step for step in steps[:limit] if step.attempts > 1])
    bars = [bar for step in steps[:limit] for bar in (_of(step), *_attempts(step, tried.get(step.id, [])))]
    return [*_whole(execution), *bars], len(steps) <= limit


def _whole(execution: Execution) -> Iterator[Span]:
    yield Span(
        id=WHOLE,
        parent=None,
        name=execution.workflow,
        kind="workflow",
        status=execution.status,
        start=execution.created_at,
        end=execution.completed_at,
    )


def _attempts(step: StepResult, attempts: Sequence[Attempt]) -> Iterator[Span]:
    """Where there was more than one, each is a bar in the step's own, from its beginning to its end."""
    for attempt in attempts:
        if attempt.started_at is not None:
            failed = StepStatus.FAILED if attempt.error is not None else step.outcome
            yield Span(
                id=f"{step.id}:{attempt.number}",
                parent=str(step.id),
                name=step.name or step.kind,
                kind="attempt",
                status="lost" if attempt.lost else failed,
                start=attempt.started_at,
                end=attempt.ended_at,
                attempts=attempt.number,
            )


def _of(step: StepResult) -> Span:
    return Span(
        id=str(step.id),
        parent=WHOLE,
        name=step.name or step.kind,
        kind=step.kind,
        status=step.status,
        start=step.created_at if step.attempts > 1 else step.started_at or step.created_at,
        end=step.completed_at,
        attempts=step.attempts,
        child=step.child_id,
    )
