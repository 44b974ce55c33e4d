"""What a procedure asks of its runner: procedures decide without I/O, runners act in threads or on a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from django_workflows.authoring.current import CurrentStep
from django_workflows.authoring.definitions import StepDefinition
from django_workflows.engine.history.journal import Entry


class Effect(msgspec.Struct, frozen=True):
    """Base; a procedure yields effects and is sent their answers."""


class Barrier(Effect, frozen=True):
    """Everything recorded so far is stored before what comes next; nothing new starts while pausing.

    With `but_certain`, what a replay is bound to find out again need not have been stored yet.
    """

    but_certain: bool = False


class Confirm(Effect, frozen=True):
    """A barrier after an entry that only counts `unless_moved`; answers whether it was stored."""

    entry_id: UUID


class Invoke(Effect, frozen=True):
    """Run a step's body; answers an `Outcome`. `entry` is the row as it will be while running."""

    step: StepDefinition[..., Any]
    args: Sequence[Any]
    kwargs: Any
    current: CurrentStep
    entry: Entry


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a body: a value and its text, or an error. `stored`: its row is in the database already."""

    value: Any = None
    text: str | None = None
    error: BaseException | None = None
    stored: Entry | None = None


class Deliver(Effect, frozen=True):
    """Hand on the outcome number `seq` in its turn; outcomes are seen in the order they were recorded."""

    seq: int


class Query(Effect, frozen=True):
    """Call a function that may use the database, in a thread where that is allowed."""

    fn: Callable[[], Any]


class Branches(Effect, frozen=True):
    """Run branches in parallel, each in its own scope; answers their results in order.

    A race answers (index, result) of the branch that finished first; with `only`, just that branch is run again.
    """

    key: str
    branches: Sequence[Any]
    concurrency: int | None
    race: bool = False
    only: int | None = None


class Iterate(Effect, frozen=True):
    """Call `body(ctx, *args)` in the scope `prefix`; answers what it returns."""

    prefix: str
    body: Callable[..., Any]
    args: Sequence[Any]


class Wait(Effect, frozen=True):
    """Wait until `deadline`, or for what a subclass waits for; the execution parks when nothing else goes on."""

    key: str
    deadline: datetime | None


class TimerWait(Wait, frozen=True):
    """Only for the deadline."""


class MessageWait(Wait, frozen=True):
    """For an unread message: a signal called `name`, or an event delivered to this wait.

    An event with these values (`match`) that was delivered to a branch which has lost a race will do as well, and one
    that was published before, if it `looks_back`.
    """

    name: str
    is_event: bool
    match: tuple[tuple[str, Any], ...] = ()
    looks_back: bool = False


class ChildWait(Wait, frozen=True):
    """Until `needed` of these children have ended."""

    children: tuple[UUID, ...]
    needed: int


class Stop(Wait, frozen=True):
    """For nothing: this branch goes no further in this turn."""
