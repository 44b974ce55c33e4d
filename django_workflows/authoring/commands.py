"""What a workflow asks for: one frozen value per call of `ctx`. The engine knows what to do with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition


@dataclass(frozen=True, slots=True)
class Command:
    """`kind` is the journal's word for it; commands without one leave no row."""

    kind: ClassVar[str] = ""
    name: str


@dataclass(frozen=True, slots=True)
class DoStep(Command):
    kind: ClassVar[str] = "step"
    step: StepDefinition[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sleep(Command):
    kind: ClassVar[str] = "sleep"
    duration: timedelta | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class WaitForSignal(Command):
    kind: ClassVar[str] = "signal"
    label: str
    timeout: timedelta | None


@dataclass(frozen=True, slots=True)
class WaitForEvent(Command):
    kind: ClassVar[str] = "event"
    label: str
    match: Mapping[str, Any]
    timeout: timedelta | None
    lookback: timedelta | None


@dataclass(frozen=True, slots=True)
class OpenToken(Command):
    """Make a one-time link; answers where it stands in the journal, and its address."""

    kind: ClassVar[str] = "token"
    timeout: timedelta | None


@dataclass(frozen=True, slots=True)
class WaitForToken(Command):
    """Wait for the answer to the link that was made under `key`."""

    kind: ClassVar[str] = ""
    key: str


@dataclass(frozen=True, slots=True)
class StartChild(Command):
    """Start a child; `wait` also waits for its output."""

    kind: ClassVar[str] = "child"
    definition: WorkflowDefinition[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    wait: bool


@dataclass(frozen=True, slots=True)
class WaitForChild(Command):
    """Wait for a child that was started under `key`."""

    kind: ClassVar[str] = ""
    key: str


@dataclass(frozen=True, slots=True)
class MapChildren(Command):
    """One child per item, at most `concurrency` unfinished at once, as one wait."""

    kind: ClassVar[str] = ""
    definition: WorkflowDefinition[..., Any]
    items: Sequence[Any]
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class Gather(Command):
    """Parallel branches, each in a scope of its own."""

    kind: ClassVar[str] = ""
    branches: Sequence[Any]
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class Race(Command):
    kind: ClassVar[str] = "race"
    branches: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Loop(Command):
    kind: ClassVar[str] = "loop"
    body: Callable[..., Any]
    state: Any


@dataclass(frozen=True, slots=True)
class Record(Command):
    """A value made once and remembered: the time, a uuid, a random number."""

    kind: ClassVar[str] = "value"
    make: Callable[[], Any] | None  # None: the database's present time
    hint: Any


@dataclass(frozen=True, slots=True)
class Send(Command):
    """Publish an event (no target) or send a signal, once."""

    kind: ClassVar[str] = "send"
    target: Any
    data: Any
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class End(Command):
    """End, park or renew this execution from inside: `verb` is cancel, pause or continue_as_new."""

    kind: ClassVar[str] = "pause"
    verb: str
    reason: str = ""
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
