"""What authors receive from `ctx` and hand back to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A signal or an event that a wait received. Always true, unlike the None of a timeout."""

    name: str
    data: Any
    id: UUID
    sent_at: datetime
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came from outside and started an execution: an event, a webhook delivery or the tick of a schedule.

    A workflow whose first parameter is named `event` gets it, as a dict or, declared as `event: Received`, as this.
    `id` is the sender's, `time` when it was published, delivered or nominally due.
    """

    id: str
    name: str
    data: Any
    source: str = ""
    time: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionInfo:
    """What a workflow may know of its own execution. `attempt` is 1 plus the crashes since its last progress."""

    id: UUID
    workflow: str
    version: int
    generation: int
    key: str | None
    tags: Mapping[str, Any]
    parent: UUID | None
    queue: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Winner(Generic[T]):
    """The outcome of `ctx.race()`: which branch was first, and what it returned."""

    index: int
    value: T


@dataclass(frozen=True, slots=True)
class Continue:
    """Ends an iteration of `ctx.loop()`: the next one gets `state`."""

    state: Any = None


@dataclass(frozen=True, slots=True)
class Break:
    """Ends `ctx.loop()`, which returns `value`."""

    value: Any = None
