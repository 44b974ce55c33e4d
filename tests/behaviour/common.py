"""A few words that all behavioural tests share."""

from __future__ import annotations

import asyncio
from typing import Any

from django_workflows import Retry, current_step
from django_workflows.models import Execution

ONCE = Retry(max_attempts=1)


def double(n: int) -> int:
    return 2 * n


def of(handle: Any) -> Execution:
    """The row of an execution as it is now."""
    return Execution.objects.get(pk=handle.id)


def unwrapped(ctx: Any) -> Any:
    """The engine's context, behind the one that lets a body be of either colour."""
    return getattr(ctx, "_target", ctx)


class Counter:
    """Something outside that remembers what was done to it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def count(self, value: Any = None) -> int:
        self.calls.append(value)
        return len(self.calls)

    def __len__(self) -> int:
        return len(self.calls)


class Provider:
    """Fails so many times, then answers; remembers which attempts it saw."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.failures, self.error = failures, error or ConnectionError("down")
        self.attempts: list[int] = []

    def charge(self) -> str:
        self.attempts.append(current_step().attempt)
        if len(self.attempts) <= self.failures:
            raise self.error
        return "paid"

    async def acharge(self) -> str:
        await asyncio.sleep(0)
        return self.charge()
