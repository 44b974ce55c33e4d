"""What a step body may know of its execution."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_workflows.exceptions import ContextMisuse


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentStep:
    """The attempt that is being made.

    `idempotency_key` is the same on every attempt: hand it to payment providers. `attempt` counts from 1, attempts lost
    with their worker included. `last_progress` is what the previous attempt handed to `heartbeat()`.
    """

    execution_id: UUID
    workflow: str
    key: str
    name: str
    attempt: int
    idempotency_key: str
    last_progress: Any
    report: Callable[[Any], None]

    def heartbeat(self, progress: Any = None) -> None:
        """Publish progress: people see it, and the next attempt can read it. Cheap; the latest value wins."""
        self.report(progress)


_current: ContextVar[CurrentStep | None] = ContextVar("django_workflows_step", default=None)
entered = _current  # the engine sets it around a body


def current_step() -> CurrentStep:
    """The step that is running here. Raises `ContextMisuse` outside of a step of an execution."""
    if (current := _current.get()) is None:
        raise ContextMisuse("current_step() works inside a step that an execution runs, not in a plain call.")
    return current
