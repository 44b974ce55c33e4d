"""What comes back: frozen values. What may be hidden from this user, or is unknown to an older server, is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

T = TypeVar("T")

FINISHED = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of many; `cursor` asks for the next page, None says that this is the last."""

    results: list[T]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What can be started."""

    id: UUID
    name: str
    description: str = ""
    tags: list[str] = field(default_factory=list)
    version: int = 1
    kind: str | None = None
    definition: Mapping[str, Any] | None = None
    queue: str = ""
    timeout: timedelta | None = None
    on_error: str = ""
    enabled: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution. `input`, `output`, `state` and `reason` need the permission to see payloads; lists omit them."""

    id: UUID
    workflow: str
    status: str
    created_at: datetime
    version: int = 1
    requested: str = ""
    key: str | None = None
    idempotency_key: str | None = None
    tags: Mapping[str, Any] | None = None
    queue: str = ""
    priority: int = 0
    current_step: str = ""
    generation: int = 0
    parent: UUID | None = None
    trigger: UUID | None = None
    wake_at: datetime | None = None
    deadline: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    allowed: list[str] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    reason: str | None = None
    input: Any = None
    output: Any = None
    state: Any = None
    why: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that was published."""

    id: UUID
    name: str
    event_id: str | None = None
    source: str = ""
    deliver_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What starts a workflow from outside."""

    id: UUID
    workflow: str
    type: str
    pattern: str
    config: Any = None
    origin: str = ""
    enabled: bool = True
    note: str = ""
    retired_at: datetime | None = None
    last_triggered_at: datetime | None = None
    trigger_count: int = 0
    next_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One thing that happened to an execution."""

    time: datetime
    type: str
    name: str
    title: str = ""
    step_key: str = ""
    position: str = ""
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Executions of one workflow in one status; with `at_least` there are older ones that were not counted."""

    workflow: str
    status: str
    count: int
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Executions per second over the window."""

    window: timedelta
    started: float
    completed: float
    failed: float
    cancelled: float
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Out of `count` samples."""

    p50: timedelta | None
    p90: timedelta | None
    p99: timedelta | None
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is due in one queue, and for how long the oldest has been."""

    queue: str
    due: int
    age: timedelta
    at_least: bool = False
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How it goes. `wait` is the time to the first worker, `duration` that to the end."""

    time: datetime
    workflow: str
    counts: list[Count]
    rates: Rates
    wait: Percentiles
    duration: Percentiles
    backlogs: list[Backlog]
