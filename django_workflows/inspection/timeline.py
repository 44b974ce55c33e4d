"""What happened to one execution: its journal merged with its log and its inbox, by time.

Nothing is written twice: the beginning and the end come from the execution's own columns, steps from the journal. The
five sources are read in slices, so that a page of a long history costs no more than one of a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Max, Q, QuerySet

from django_workflows import codec, conf
from django_workflows.exceptions import ExecutionNotFound, WorkflowsError
from django_workflows.inspection import titles
from django_workflows.inspection.sizes import how_many, size_of
from django_workflows.models import OPEN_STEPS, Event, EventType, Execution, Signal, StepKind, StepResult, StepStatus

# `history()` without a limit gives at most so many; an execution has at most MAX_STEPS journal rows in a generation.
MOST = 10_000

# On SQLite the times of one instant may be stored with three or six digits, and compare unequal as texts.
_SLACK = timedelta(milliseconds=1)
_SPARE = 50
LARGE = 3  # sources that may be large: events, signals, and errors of steps
_AHEAD = timedelta(seconds=1)


class InvalidPosition(WorkflowsError, ValueError):
    """A position that no history item has; use the `position` of one."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an item stands: by time; at one instant the beginning before steps, and these before the end."""

    time: datetime
    rank: int
    id: UUID

    def __str__(self) -> str:
        return f"{self.time.isoformat()}~{self.rank}~{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that was written as `text`. Raises `InvalidPosition`."""
        try:
            time, rank, id = text.split("~")
            position = cls(datetime.fromisoformat(time), int(rank), UUID(id))
        except ValueError:
            raise InvalidPosition(
                f"{text[:100]!r} is no position in a history; use the `position` of an item."
            ) from None
        if position.time.tzinfo is None or not 1970 <= position.time.year < 9999:
            raise InvalidPosition("The time of a position has a time zone; use the `position` of an item.")
        return position


Placed = tuple[Position, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One thing that happened. `type` is lifecycle, step, error, signal, event, schedule or operator.

    `title` is a sentence in the active language without any payload; `data` holds what there is to know, errors with
    their messages included. `step_key` is the position of the step it belongs to, or empty. `position` can be given as
    `after` or `before`.
    """

    time: datetime
    type: str
    name: str
    title: str
    data: Mapping[str, Any]
    step_key: str = ""
    position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which items are wanted: after one, before one, the first or the last `limit`, and of how many bytes.

    `cuts` are the last positions that were read of sources which have more than these bytes.
    """

    limit: int
    after: Position | None = None
    before: Position | None = None
    newest: bool = False
    most_bytes: int | None = None
    cuts: list[Position] = field(default_factory=list)

    def wants(self, position: Position) -> bool:
        too_early = self.after is not None and position <= self.after
        return not too_early and (self.before is None or position < self.before)

    def reached(self, position: Position) -> bool:
        """Whether nothing that was not read stands before this one."""
        return all(position >= cut if self.newest else position <= cut for cut in self.cuts)

    def take(self, rows: QuerySet[Any], time: str, rank: int, large: Sequence[str] = ()) -> Iterator[Placed]:
        """At most `limit` wanted rows, the first or the last ones by their `time`; fewer where they are `large`."""
        if self.after is not None:
            rows = rows.filter(**{f"{time}__gte": self.after.time - _SLACK})
        if self.before is not None:
            rows = rows.filter(**{f"{time}__lte": self.before.time + _SLACK})
        sign = "-" if self.newest else ""
        rows = rows.order_by(f"{sign}{time}", f"{sign}id")
        if self.most_bytes is not None and large:
            rows = self._affordable(rows, time, rank, large, self.most_bytes)
        return self._wanted(rows, lambda row: Position(getattr(row, time), rank, row.id))

    def _affordable(self, rows: QuerySet[Any], time: str, rank: int, large: Sequence[str], most: int) -> QuerySet[Any]:
        """Those of the wanted rows that the bytes allow."""
        places = rows.annotate(_bytes=size_of(large)).values_list("id", time, "_bytes")
        wanted = list(self._wanted(places, lambda place: Position(place[1], rank, place[0])))
        number = how_many([size for _, (_, _, size) in wanted], most)
        if number < len(wanted):
            self.cuts.append(wanted[number - 1][0])
        return rows.filter(id__in=[position.id for position, _ in wanted[:number]])

    def _wanted(self, rows: QuerySet[Any], place: Callable[[Any], Position]) -> Iterator[Placed]:
        """The first `limit` that are wanted, in slices."""
        size, found = self.limit + _SPARE, 0
        for start in range(0, MOST * 100, size):
            chunk = list(rows[start : start + size])
            for row in chunk:
                if found < self.limit and self.wants(position := place(row)):
                    found += 1
                    yield position, row
            if len(chunk) < size or found >= self.limit:
                return


def history(execution: Any, *, limit: int = MOST, after: str = "") -> list[Mapping[str, Any]]:
    """Everything that happened to an execution, oldest first: the items of `timeline()` as dicts."""
    return [asdict(item) for item in timeline(execution, limit=limit, after=after)]


def timeline(execution: Any, *, limit: int = MOST, after: str = "") -> list[HistoryItem]:
    """At most `limit` things that happened to an execution, oldest first, after the item with the position `after`.

    Raises `ExecutionNotFound` and `InvalidPosition`.
    """
    return _read(execution, Page(limit=limit, after=Position.parse(after) if after else None))


def timeline_page(execution: Any, *, limit: int, after: str, most_bytes: int) -> tuple[list[HistoryItem], bool]:
    """The same, but no more than about so many bytes of data at once, and at least one item; whether others follow."""
    page = Page(limit=limit + 1, after=Position.parse(after) if after else None, most_bytes=most_bytes // LARGE)
    items = _read(execution, page)
    return items[:limit], len(items) > limit or bool(page.cuts)


def recent(execution: Any, *, limit: int = 100, before: str = "") -> list[HistoryItem]:
    """The last `limit` things that happened, before the item with the position `before`; the oldest of them first."""
    return _read(execution, Page(limit=limit, before=Position.parse(before) if before else None, newest=True))


class Door:
    """Fulfils `models.ports.Inspection`."""

    history = staticmethod(history)


door = Door()

Found = tuple[Position, HistoryItem]


def _read(execution: Any, page: Page) -> list[HistoryItem]:
    id = getattr(execution, "id", execution)
    sources = (_own, _events, _signals, _beginnings, _outcomes)
    found = sorted((found for source in sources for found in source(id, page)), key=lambda found: found[0])
    found = [one for one in found if page.reached(one[0])]
    chosen = found[-page.limit :] if page.newest else found[: page.limit]
    return [replace(item, data=codec.redact(item.data)) for _, item in chosen] if page.limit > 0 else []


def _item(position: Position, type: str, name: str, title: str, data: Mapping[str, Any], step_key: str = "") -> Found:
    item = HistoryItem(
        time=position.time,
        type=type,
        name=name,
        title=title,
        data=data,
        step_key=step_key,
        position=str(position),
    )
    return position, item


def _own(id: UUID, page: Page) -> Iterator[Found]:
    """What the execution's own columns tell: created, started, and how it ended."""
    columns = ("id", "created_at", "started_at", "completed_at", "status", "reason", "error")
    row = Execution.objects.using(conf.database()).filter(pk=id).values(*columns).first()
    if row is None:
        raise ExecutionNotFound(f"There is no execution {id}.")
    ending = {"reason": row["reason"], "error": row["error"]}
    moments: tuple[tuple[datetime | None, int, str, dict[str, Any]], ...] = (
        (row["created_at"], 0, "created", {}),
        (row["started_at"], 1, "started", {}),
        (_end(id, row["completed_at"]), 9, row["status"], {name: value for name, value in ending.items() if value}),
    )
    for time, rank, name, data in moments:
        if time is not None and page.wants(position := Position(time, rank, row["id"])):
            yield _item(position, "lifecycle", name, titles.of_lifecycle(name), data)


def _end(id: UUID, completed_at: datetime | None) -> datetime | None:
    """When it ended, and not before what its last turn recorded.

    The end is timed by the commit: the clocks of a cluster differ from node to node, and SQLite's knows milliseconds.
    """
    if completed_at is None:
        return None
    steps = StepResult.objects.using(conf.database()).filter(execution_id=id, completed_at__gt=completed_at)
    errors = Event.objects.using(conf.database()).filter(
        execution_id=id, created_at__gt=completed_at, type=EventType.ERROR
    )
    late = (
        steps.filter(completed_at__lt=completed_at + _AHEAD).aggregate(last=Max("completed_at"))["last"],
        errors.filter(created_at__lt=completed_at + _AHEAD).aggregate(last=Max("created_at"))["last"],
    )
    return max((moment for moment in late if moment is not None), default=completed_at)


def _events(id: UUID, page: Page) -> Iterator[Found]:
    rows = Event.objects.using(conf.database()).filter(execution_id=id)
    for position, event in page.take(rows, "created_at", 2, ("data",)):
        data = event.data if isinstance(event.data, dict) else {} if event.data is None else {"data": event.data}
        title, step = titles.of_event(event.type, event.name, data), data.get("step")
        yield _item(position, event.type, event.name, title, data, step if isinstance(step, str) else "")


def _signals(id: UUID, page: Page) -> Iterator[Found]:
    rows = Signal.objects.using(conf.database()).filter(execution_id=id)
    for position, signal in page.take(rows, "created_at", 3, ("data",)):
        delivered = signal.event_id is not None
        data = {"number": signal.number, "data": signal.data, "consumed_at": _text(signal.consumed_at)}
        type, title = "event" if delivered else "signal", titles.of_message(signal.name, delivered=delivered)
        yield _item(position, type, signal.name, title, data, signal.step_key)


def _steps(id: UUID) -> QuerySet[StepResult]:
    """The journal without what may be large; an error is told, an output is not."""
    rows = StepResult.objects.using(conf.database()).filter(execution_id=id)
    return rows.defer("input", "output").annotate(answered=Q(output__isnull=False))


def _beginnings(id: UUID, page: Page) -> Iterator[Found]:
    """Where a step or a wait began, unless it had its outcome at once."""
    instant = Q(completed_at__isnull=False, created_at=F("completed_at"))
    rows = _steps(id).exclude(instant).filter(kind__in=_LASTING).defer("error")
    for position, step in page.take(rows, "created_at", 4):
        data = _without_nothing(
            {"kind": step.kind, "status": "started", "deadline": _text(step.deadline), "child": _text(step.child_id)}
        )
        yield _item(position, "step", step.name, titles.of_beginning(step), data, step.key)


_LASTING = (StepKind.STEP, StepKind.SLEEP, StepKind.SIGNAL, StepKind.EVENT, StepKind.TOKEN, StepKind.CHILD)


def _outcomes(id: UUID, page: Page) -> Iterator[Found]:
    rows = _steps(id).filter(completed_at__isnull=False).exclude(status__in=OPEN_STEPS)
    for position, step in page.take(rows, "completed_at", 5, ("error",)):
        data = {
            "kind": step.kind,
            "status": step.status,
            "former_status": step.former_status or None,
            "attempts": step.attempts,
            "lost": step.lost or None,
            "started_at": _text(step.started_at),
            "worker": step.worker or None,
            "error": step.error if step.outcome != StepStatus.SUCCEEDED else None,
            "child": _text(step.child_id),
        }
        title = titles.of_outcome(step, answered=step.answered)
        yield _item(position, "step", step.name, title, _without_nothing(data), step.key)


def _without_nothing(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}


def _text(value: datetime | UUID | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else None if value is None else str(value)
