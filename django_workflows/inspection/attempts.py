"""Each attempt of a step: from when to when, on which worker, and what it failed of.

The row of a step tells of its last attempt; those before stand in the log, by the row's id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django_workflows import conf
from django_workflows.models import Event, EventType, StepKind, StepResult

MOST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of a step's body. `error` is None when it succeeded, goes on, or was lost with its worker.

    Of an attempt that was lost `ended_at` is the moment at which that was found.
    """

    number: int
    started_at: datetime | None
    ended_at: datetime | None
    worker: str = ""
    lost: bool = False
    error: Mapping[str, Any] | None = None


def attempts_of(steps: Sequence[StepResult], *, limit: int = MOST) -> dict[UUID, list[Attempt]]:
    """The attempts of steps by the id of their row, oldest first."""
    tried = {step.id: step for step in steps if step.kind == StepKind.STEP and step.attempts}
    if not tried:
        return {}
    logged = _logged({step.execution_id for step in tried.values()}, tried.keys(), limit)
    return {id: [*logged[id].values(), *_last(step, logged[id])] for id, step in tried.items()}


def _logged(executions: set[UUID], rows: Collection[UUID], limit: int) -> defaultdict[UUID, dict[int, Attempt]]:
    found: defaultdict[UUID, dict[int, Attempt]] = defaultdict(dict)
    events = Event.objects.using(conf.database()).filter(execution_id__in=executions, type=EventType.ERROR)
    for event in events.order_by("created_at", "id")[:limit]:
        data = event.data if isinstance(event.data, dict) else {}
        id, number = _row_of(data), data.get("attempt")
        if id is not None and id in rows and isinstance(number, int):
            found[id][number] = _read(number, event.created_at, data)
    return found


def _row_of(data: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(data.get("row")))
    except ValueError:
        return None


def _read(number: int, ended_at: datetime, data: Mapping[str, Any]) -> Attempt:
    started, error = data.get("started_at"), data.get("error")
    return Attempt(
        number=number,
        started_at=datetime.fromisoformat(started) if isinstance(started, str) else None,
        ended_at=ended_at,
        worker=str(data.get("worker") or ""),
        lost=bool(data.get("lost")),
        error=error if isinstance(error, Mapping) else None,
    )


def _last(step: StepResult, logged: Mapping[int, Attempt]) -> list[Attempt]:
    """The one that the row itself tells of, unless it is among those that failed."""
    if step.attempts in logged:
        return []
    last = Attempt(number=step.attempts, started_at=step.started_at, ended_at=step.completed_at, worker=step.worker)
    return [last]
