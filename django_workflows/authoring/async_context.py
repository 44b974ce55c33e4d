"""`ctx` of `async def` workflows: each call becomes a command for the engine, and is awaited."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn, ParamSpec, TypeVar, overload

from django_workflows.authoring import building, commands
from django_workflows.authoring.base_context import NOW, RANDOM, UUID4, BaseContext, Data, Startable
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.handles import AsyncChildHandle, AsyncToken, open_later
from django_workflows.authoring.ports import Duration
from django_workflows.authoring.values import Break, Continue, Message, Winner

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncContext(BaseContext):
    """The context of an `async def` workflow: the same calls, awaited. See `Context`."""

    @overload
    def do(self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...
    @overload
    def do(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...
    @overload
    def do(
        self, label: str, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...
    @overload
    def do(self, label: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...
    @overload
    def do(self, name: str, /, *args: Data, **kwargs: Any) -> Awaitable[Any]: ...
    def do(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See `Context.do`."""
        return self._perform(building.do(fn, args, kwargs))

    @overload
    def sleep(self, duration: Duration, /) -> Awaitable[None]: ...
    @overload
    def sleep(self, label: str, duration: Duration, /) -> Awaitable[None]: ...
    def sleep(self, *args: Any) -> Any:
        """See `Context.sleep`."""
        return self._perform(building.sleep(args))

    @overload
    def sleep_until(self, when: datetime, /) -> Awaitable[None]: ...
    @overload
    def sleep_until(self, label: str, when: datetime, /) -> Awaitable[None]: ...
    def sleep_until(self, *args: Any) -> Any:
        """See `Context.sleep_until`."""
        return self._perform(building.sleep_until(args))

    def wait_for_signal(self, *name: str, timeout: Duration | None = None) -> Awaitable[Message | None]:
        """See `Context.wait_for_signal`."""
        return self._perform(building.wait_for_signal(name, timeout))  # type: ignore[no-any-return]  # by the engine

    def wait_for_event(
        self,
        *name: str,
        match: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        lookback: Duration | None = None,
    ) -> Awaitable[Message | None]:
        """See `Context.wait_for_event`."""
        return self._perform(building.wait_for_event(name, match, timeout, lookback))  # type: ignore[no-any-return]  # by the engine

    def token(self, *label: str, timeout: Duration | None = None) -> Awaitable[AsyncToken]:
        """See `Context.token`."""
        # the place in the journal is fixed by the call, not when it is awaited
        return open_later(self._perform, self._perform(building.token(label, timeout)))

    @overload
    def run(
        self, child: Startable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def run(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]: ...
    @overload
    def run(self, child: str, /, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...
    def run(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See `Context.run`."""
        return self._perform(building.child(child, args, kwargs, wait=True))

    @overload
    def start(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[AsyncChildHandle[R]]: ...
    @overload
    def start(self, child: str, /, *args: Any, **kwargs: Any) -> Awaitable[AsyncChildHandle[Any]]: ...
    def start(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See `Context.start`."""
        return self._perform(building.child(child, args, kwargs, wait=False))

    @overload
    def map(
        self, fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], *, concurrency: int | None = None
    ) -> Awaitable[list[R]]: ...
    @overload
    def map(
        self, fn: Callable[[T], R] | WorkflowDefinition[[T], R], items: Iterable[T], *, concurrency: int | None = None
    ) -> Awaitable[list[R]]: ...
    def map(self, fn: Any, items: Iterable[Any], *, concurrency: int | None = None) -> Awaitable[list[Any]]:
        """See `Context.map`."""
        return self._perform(building.map_over(fn, items, concurrency))  # type: ignore[no-any-return]  # by the engine

    def gather(
        self, *branches: Awaitable[Any] | Callable[[AsyncContext], Awaitable[Any]] | AsyncToken
    ) -> Awaitable[list[Any]]:
        """See `Context.gather`; a branch may also be an awaitable."""
        return self._perform(building.gather(branches))  # type: ignore[no-any-return]  # by the engine

    def race(
        self, *branches: Awaitable[Any] | Callable[[AsyncContext], Awaitable[Any]] | AsyncToken
    ) -> Awaitable[Winner[Any]]:
        """See `Context.race`; a branch may also be an awaitable."""
        return self._perform(building.race(branches))  # type: ignore[no-any-return]  # by the engine

    def loop(self, body: Callable[[AsyncContext, Any], Awaitable[Continue | Break]], state: Any = None) -> Any:
        """See `Context.loop`."""
        return self._perform(commands.Loop("loop", body, state))

    def now(self) -> Awaitable[datetime]:
        """See `Context.now`."""
        return self._perform(NOW)  # type: ignore[no-any-return]  # typed by the command's hint

    def uuid(self) -> Awaitable[uuid.UUID]:
        """See `Context.uuid`."""
        return self._perform(UUID4)  # type: ignore[no-any-return]  # as above

    def random(self) -> Awaitable[float]:
        """See `Context.random`."""
        return self._perform(RANDOM)  # type: ignore[no-any-return]  # as above

    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> Awaitable[None]:
        """See `Context.send_event`."""
        return self._perform(building.send_event(name, data, id))  # type: ignore[no-any-return]  # by the engine

    def signal(self, execution: Any, name: str, data: Any = None) -> Awaitable[None]:
        """See `Context.signal`."""
        return self._perform(building.signal(execution, name, data))  # type: ignore[no-any-return]  # by the engine

    def cancel(self, reason: str = "") -> Awaitable[NoReturn]:
        """See `Context.cancel`."""
        return self._perform(building.end("cancel", reason))  # type: ignore[no-any-return]  # by the engine

    def pause(self, reason: str = "") -> Awaitable[None]:
        """See `Context.pause`."""
        return self._perform(building.end("pause", reason))  # type: ignore[no-any-return]  # by the engine

    def continue_as_new(self, *args: Any, **kwargs: Any) -> Awaitable[NoReturn]:
        """See `Context.continue_as_new`."""
        command = building.end("continue_as_new", "", args, kwargs)
        return self._perform(command)  # type: ignore[no-any-return]  # by the engine
