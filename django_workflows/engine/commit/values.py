"""What a turn wants stored: values that the committer turns into rows."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from django_workflows import codec
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry

_TICK = timedelta(microseconds=1)


class NewExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A child to be started, at once unless `wake_at` says when."""

    id: UUID
    workflow: str
    version: int
    input: str
    queue: str
    priority: int
    tags: str | None
    parent_id: UUID
    parent_close: str
    wake_at: datetime | None
    deadline: datetime | None
    expires_at: datetime | None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log: published (no execution) or about an execution. An event with an id goes by `keyed`."""

    id: UUID
    type: str
    name: str
    execution_id: UUID | None
    data: str | None
    created_at: datetime


class NewSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A message to another execution."""

    id: UUID
    execution_id: UUID
    name: str
    data: str | None
    created_at: datetime


class End(enum.Enum):
    """How a turn ends."""

    SUSPEND = "suspend"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    PAUSE = "pause"
    RENEW = "continue as new"
    RELEASE = "release"

    @property
    def is_final(self) -> bool:
        """Whether the execution is finished by it. A cancel is only requested: whoever carries out verbs ends it."""
        return self in {End.COMPLETE, End.FAIL}


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The last write of a turn. `deadline` is when to look again; `needed` of `children` must finish before."""

    end: End
    deadline: datetime | None = None
    children: tuple[UUID, ...] = ()
    needed: int = 0
    only_children: bool = False
    output: str | None = None
    error: str | None = None
    reason: str = ""
    input: str | None = None
    current_step: str = ""

    def unless_taken_back(self, requested: str) -> Ending:
        """A pause without a reason of its own is an operator's, who may have taken it back: then it goes on."""
        is_taken_back = self.end is End.PAUSE and not self.reason and requested != "pause"
        return msgspec.structs.replace(self, end=End.RELEASE) if is_taken_back else self

    def as_told(self, requested: str) -> Ending:
        """What its end is for people: one that only rests for a while is paused when that was requested meanwhile."""
        is_paused = requested == "pause" and self.end in {End.SUSPEND, End.RENEW, End.RELEASE}
        return msgspec.structs.replace(self, end=End.PAUSE) if is_paused else self


class Write(msgspec.Struct, kw_only=True):
    """All that one turn has to store in one commit. `unless_moved` guards entries decided by an inbox's silence."""

    execution_id: UUID
    claim: int
    generation: int
    parent_id: UUID | None
    deadline: datetime | None
    seen_inbox: int
    had_crashes: bool
    entries: dict[UUID, Entry] = msgspec.field(default_factory=dict)
    unless_moved: dict[UUID, Entry] = msgspec.field(default_factory=dict)
    forgotten: list[UUID] = msgspec.field(default_factory=list)
    children: list[NewExecution] = msgspec.field(default_factory=list)
    events: list[NewEvent] = msgspec.field(default_factory=list)
    signals: list[NewSignal] = msgspec.field(default_factory=list)
    consumed: list[UUID] = msgspec.field(default_factory=list)
    cancelled: list[UUID] = msgspec.field(default_factory=list)  # children of branches that lost a race
    state: str | None = None
    ending: Ending | None = None

    def tell_of_pause(self, reason: str, now: datetime) -> None:
        """The turn ends with its execution paused; told after whatever else the turn tells."""
        told = [event.created_at for event in self.events if event.execution_id is not None]
        done = [entry.completed_at for entry in self.entries.values() if entry.completed_at is not None]
        event = NewEvent(
            id=new_id(),
            type="lifecycle",
            name="paused",
            execution_id=self.execution_id,
            data=codec.encode({"reason": reason} if reason else {}),
            created_at=max([now, *told, *done]) + _TICK,
        )
        self.events.append(event)

    @property
    def has_something(self) -> bool:
        """Whether there is anything in it to store."""
        return bool(self.entries or self.consumed) or self.has_more_than_outcomes

    @property
    def has_more_than_outcomes(self) -> bool:
        """Whether there is more in it than rows of the journal and messages that were read."""
        return bool(
            self.ending
            or self.unless_moved
            or self.events
            or self.children
            or self.signals
            or self.forgotten
            or self.cancelled
            or self.state is not None
        )

    def extend(self, later: Write) -> None:
        """Put what was recorded later into this write."""
        self.entries.update(later.entries)
        self.unless_moved.update(later.unless_moved)
        for name in ("forgotten", "children", "events", "signals", "consumed", "cancelled"):
            getattr(self, name).extend(getattr(later, name))
        self.state = later.state if later.state is not None else self.state
        self.ending = later.ending or self.ending

    @property
    def moves_others(self) -> bool:
        """Whether other executions, or those who dispatch events, have something to do after it."""
        if (ending := self.ending) is not None and (self.parent_id is not None or ending.end is End.CANCEL):
            return True
        publishes = self.events and any(event.execution_id is None for event in self.events)
        return bool(self.children or self.signals or self.cancelled or publishes)


class Verdict(enum.Enum):
    """What became of a write."""

    STORED = "stored"
    FENCED = "somebody else has the execution; nothing was stored"
    POSTPONED = "a row was locked; to be tried again"
    REFUSED = "the database refuses a value of it; nothing was stored"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The committer's answer to one write."""

    verdict: Verdict
    inbox: int = 0
    requested: str = ""
    error: Exception | None = None
    before: bool = False  # it was stored before, and nobody had been told
