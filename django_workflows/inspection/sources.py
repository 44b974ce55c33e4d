"""Where the feed of everything reads from: six indexed sources, each beyond a position, in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.inspection import titles
from django_workflows.inspection.instants import Instant
from django_workflows.inspection.sizes import how_many, size_of
from django_workflows.inspection.timeline import Position
from django_workflows.models import FINISHED, Event, EventType, Execution, Signal, StepKind, StepResult

SCANNED = 500  # rows that one look reads of each source
LARGE = 4  # sources that may be large: events, signals, and errors of steps and executions
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


def _nothing(id: str) -> bool:
    return False


@dataclass(slots=True)
class Look:
    """A look at one source beyond the horizon. What the reader `has` already is not read again, only passed."""

    horizon: Position
    most_bytes: int | None
    has: Callable[[str], bool]
    passed: list[Found] = field(default_factory=list)
    was_cut: bool = False

    def beyond(self, rows: QuerySet[Any], time: str, rank: int, large: Sequence[str] = ()) -> list[Any]:
        """The next rows: as many as are scanned at once, or as the bytes of their `large` columns allow."""
        rows = _after(rows, time, rank, self.horizon)
        if self.most_bytes is None or not large:
            read = list(rows[:SCANNED])
            self.was_cut = len(read) == SCANNED
            return read
        sized = rows.annotate(_bytes=size_of(large)).values_list("pk", time, "_bytes")[: SCANNED + 1]
        places = [(Position(moment, rank, id), size) for id, moment, size in sized]
        known = {place for place, _ in places if self.has(_id(place))}
        number = how_many([0 if place in known else size for place, size in places[:SCANNED]], self.most_bytes)
        self.was_cut = number < len(places)
        self.passed = [_item(place, "", "", "") for place, _ in places[:number] if place in known]
        return list(rows.filter(pk__in=[place.id for place, _ in places[:number] if place not in known]))


def look(
    horizon: Position, most_bytes: int | None = None, has: Callable[[str], bool] = _nothing
) -> tuple[list[Found], bool]:
    """What lies beyond the horizon, in its order, and whether there is more; no more than about so many bytes of data.

    Where a source was cut, others may hold items beyond the cut that belong behind what was not read. Of what the
    reader has there may be nothing but the id.
    """
    found: list[Found] = []
    end: Position | None = None
    for source in (_beginnings, _logged, _messages, _waits, _outcomes, _ends):
        one = Look(horizon, None if most_bytes is None else most_bytes // LARGE, has)
        read = [*source(one), *one.passed]
        found += read
        if one.was_cut and read:
            last = max(position for position, _ in read)
            end = last if end is None else min(end, last)
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
    return rows.order_by(time, "id")


def _id(position: Position) -> str:
    return f"{position.rank}-{position.id}"


def _item(position: Position, type: str, name: str, title: str, **more: Any) -> Found:
    return position, FeedItem(id=_id(position), time=position.time, type=type, name=name, title=title, **more)


def _beginnings(look: Look) -> Iterator[Found]:
    rows = Execution.objects.values_list("id", "created_at")
    for id, time in look.beyond(rows, "created_at", 0):
        yield _item(Position(time, 0, id), "lifecycle", "created", titles.of_lifecycle("created"), execution=id)


def _ends(look: Look) -> Iterator[Found]:
    rows = Execution.objects.values_list("id", "completed_at", "status", "reason", "error", "claim")
    for id, time, status, reason, error, claim in look.beyond(rows, "completed_at", 9, ("reason", "error")):
        data = {name: value for name, value in (("reason", reason), ("error", error)) if value}
        title = titles.of_lifecycle(status)
        yield _as_end(_item(Position(time, 9, id), "lifecycle", status, title, execution=id, data=data), claim)


def _as_end(found: Found, claim: int) -> Found:
    """With an id that is the same after a retry, when the log tells of this end and the row of another, or of none."""
    position, item = found
    return position, replace(item, id=f"9-{item.execution}-{claim}")


def _logged(look: Look) -> Iterator[Found]:
    """What was published, and what the log says of executions and triggers."""
    event: Event
    for event in look.beyond(Event.objects.defer("headers"), "created_at", 2, ("data",)):
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


def _messages(look: Look) -> Iterator[Found]:
    signal: Signal
    for signal in look.beyond(Signal.objects.all(), "created_at", 3, ("data",)):
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


def _waits(look: Look) -> Iterator[Found]:
    step: Any
    for step in look.beyond(_steps().filter(kind__in=WAITS).defer("error"), "created_at", 4):
        data = {"kind": step.kind, "status": "started", "child": None if step.child_id is None else str(step.child_id)}
        yield _of_step(Position(step.created_at, 4, step.id), step, titles.of_beginning(step), data)


def _outcomes(look: Look) -> Iterator[Found]:
    step: Any
    for step in look.beyond(_steps(), "completed_at", 5, ("error",)):
        data = {"kind": step.kind, "status": step.status, "attempts": step.attempts, "error": step.error}
        data |= {"started_at": _time_text(step.started_at), "worker": step.worker or None}
        title = titles.of_outcome(step, answered=step.answered)
        yield _of_step(Position(step.completed_at, 5, step.id), step, title, data)


def _of_step(position: Position, step: StepResult, title: str, data: Mapping[str, Any]) -> Found:
    told = {name: value for name, value in data.items() if value is not None}
    return _item(position, "step", step.name, title, execution=step.execution_id, step_key=step.key, data=told)


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
