"""What a workflow holds of what it has begun: a child, a link for somebody outside."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from django_workflows.authoring import commands

R = TypeVar("R")

Perform = Callable[[commands.Command], Any]


class ChildHandle(Generic[R]):
    """A started child; `result()` waits durably for its output."""

    def __init__(self, perform: Perform, key: str, id: uuid.UUID) -> None:
        self._perform, self._key, self.id = perform, key, id

    def result(self) -> R:
        """The child's output; raises `ExecutionFailed`, `ExecutionCancelled` or `ExecutionTimedOut`."""
        return self._perform(commands.WaitForChild("", self._key))  # type: ignore[no-any-return]  # typed by R


class AsyncChildHandle(Generic[R]):
    """A started child; `await result()` waits durably for its output."""

    def __init__(self, perform: Perform, key: str, id: uuid.UUID) -> None:
        self._perform, self._key, self.id = perform, key, id

    def result(self) -> Awaitable[R]:
        """The child's output; raises `ExecutionFailed`, `ExecutionCancelled` or `ExecutionTimedOut`."""
        return self._perform(commands.WaitForChild("", self._key))  # type: ignore[no-any-return]  # typed by R


class Token:
    """A one-time secret link. `url` is where somebody outside may POST an answer, once."""

    def __init__(self, perform: Perform, key: str, url: str) -> None:
        self._perform, self._key, self.url = perform, key, url

    def wait(self) -> Any:
        """Wait durably for the body posted to the link; None when its time is over."""
        return self._perform(commands.WaitForToken("", self._key))


class AsyncToken:
    """A one-time secret link. `url` is where somebody outside may POST an answer, once."""

    def __init__(self, perform: Perform, key: str, url: str) -> None:
        self._perform, self._key, self.url = perform, key, url

    def wait(self) -> Awaitable[Any]:
        """Wait durably for the body posted to the link; None when its time is over."""
        return self._perform(commands.WaitForToken("", self._key))  # type: ignore[no-any-return]  # by the engine


async def open_later(perform: Perform, opening: Awaitable[tuple[str, str]]) -> AsyncToken:
    return AsyncToken(perform, *(await opening))
