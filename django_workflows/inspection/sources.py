"""Where the feed of everything reads from: six indexed sources, each beyond a position, in slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.inspection import titles
from django_workflows.inspection.instants import Instant
from django_workflows.inspection.timeline import Position
from django_workflows.models import FINISHED, Event, EventType, Execution, Signal, StepKind, StepResult

SCANNED = 500  # rows that one look reads of each source
WAITS = (StepKind.SLEEP, StepKind.SIGNAL, StepKind.EVENT, StepKind.TOKEN, StepKind.CHILD)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One thing that happened. `id` is the same whenever it is read; `execution` is None for a published event."""

    id: str
    time: datetime
    type: str
    name: str
    title: str
    execution: UUID | None = None
    workflow: str = ""
    step_key: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Found = tuple[Position, FeedItem]


def look(horizon: Position) -> tuple[list[Found], bool]:
    """What lies beyond the horizon, in its order, and whether there is more.

    Where a source was cut, others may hold items beyond the cut that belong behind what was not read.
    """
    found: list[Found] = []
    end: Position | None = None
    for source in (_beginnings, _logged, _messages, _waits, _outcomes, _ends):
        read = list(source(horizon))
        found += read
        if len(read) == SCANNED:
            end = min(end, read[-1][0]) if end is not None else read[-1][0]
    found.sort(key=lambda one: one[0])
    return [one for one in found if end is None or one[0] <= end], end is not None


def _after(rows: QuerySet[Any], time: str, rank: int, horizon: Position) -> QuerySet[Any]:
    """The next rows of a source; the first condition is what its index is entered by."""
    instant = Instant.of(conf.database(), horizon.time)
    later, same = instant.after(time), instant.same(time)
    rows = rows.using(conf.database())
    if rank < horizon.rank:
        rows = rows.filter(later)
    elif rank == horizon.rank:
        rows = rows.filter(**{f"{time}__gte": instant.first}).filter(later | same & Q(id__gt=horizon.id))
    else:
        rows = rows.filter(**{f"{time}__gte": instant.first})
    return rows.order_by(time, "id")[:SCANNED]


def _item(position: Position, type: str, name: str, title: str, **more: Any) -> Found:
    id = f"{position.rank}-{position.id}"
    return position, FeedItem(id=id, time=position.time, type=type, name=name, title=title, **more)


def _beginnings(horizon: Position) -> Iterator[Found]:
    rows = Execution.objects.values_list("id", "created_at")
    for id, time in _after(rows, "created_at", 0, horizon):
        yield _item(Position(time, 0, id), "lifecycle", "created", titles.of_lifecycle("created"), execution=id)


def _ends(horizon: Position) -> Iterator[Found]:
    rows = Execution.objects.values_list("id", "completed_at", "status", "reason", "error", "claim")
    for id, time, status, reason, error, claim in _after(rows, "completed_at", 9, horizon):
        data = {name: value for name, value in (("reason", reason), ("error", error)) if value}
        title = titles.of_lifecycle(status)
        yield _as_end(_item(Position(time, 9, id), "lifecycle", status, title, execution=id, data=data), claim)


def _as_end(found: Found, claim: int) -> Found:
    """With an id that is the same after a retry, when the log tells of this end and the row of another, or of none."""
    position, item = found
    return position, replace(item, id=f"9-{item.execution}-{claim}")


def _logged(horizon: Position) -> Iterator[Found]:
    """What was published, and what the log says of executions and triggers."""
    event: Event
    for event in _after(Event.objects.defer("headers"), "created_at", 2, horizon):
        position = Position(event.created_at, 2, event.id)
        if event.execution_id is None and event.type == EventType.EVENT:
            title = _("Event %(name)s was published") % {"name": event.name}
            data: dict[str, Any] = {"data": event.data, "source": event.source, "event_id": event.event_id}
            yield _item(position, event.type, event.name, title, data=data)
            continue
        data = event.data if isinstance(event.data, dict) else {"data": event.data} if event.data is not None else {}
        title, step = titles.of_event(event.type, event.name, data), data.get("step")
        step_key = step if isinstance(step, str) else ""
        found = _item(
            position, event.type, event.name, title, execution=event.execution_id, data=data, step_key=step_key
        )
        is_end = event.type == EventType.LIFECYCLE and event.name in FINISHED and event.execution_id and "claim" in data
        yield _as_end(found, data["claim"]) if is_end else found


def _messages(horizon: Position) -> Iterator[Found]:
    signal: Signal
    for signal in _after(Signal.objects.all(), "created_at", 3, horizon):
        delivered = signal.event_id is not None
        title = titles.of_message(signal.name, delivered=delivered)
        yield _item(
            Position(signal.created_at, 3, signal.id),
            "event" if delivered else "signal",
            signal.name,
            title,
            execution=signal.execution_id,
            step_key=signal.step_key,
            data={"number": signal.number, "data": signal.data},
        )


def _steps() -> QuerySet[StepResult]:
    return StepResult.objects.defer("input", "output").annotate(answered=Q(output__isnull=False))


def _waits(horizon: Position) -> Iterator[Found]:
    step: Any
    for step in _after(_steps().filter(kind__in=WAITS), "created_at", 4, horizon):
        data = {"kind": step.kind, "status": "started", "child": None if step.child_id is None else str(step.child_id)}
        yield _of_step(Position(step.created_at, 4, step.id), step, titles.of_beginning(step), data)


def _outcomes(horizon: Position) -> Iterator[Found]:
    step: Any
    for step in _after(_steps(), "completed_at", 5, horizon):
        data = {"kind": step.kind, "status": step.status, "attempts": step.attempts, "error": step.error}
        data |= {"started_at": _time_text(step.started_at), "worker": step.worker or None}
        title = titles.of_outcome(step, answered=step.answered)
        yield _of_step(Position(step.completed_at, 5, step.id), step, title, data)


def _of_step(position: Position, step: StepResult, title: str, data: Mapping[str, Any]) -> Found:
    told = {name: value for name, value in data.items() if value is not None}
    return _item(position, "step", step.name, title, execution=step.execution_id, step_key=step.key, data=told)


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
