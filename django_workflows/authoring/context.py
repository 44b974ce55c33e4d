"""What `ctx` offers: `Context` for `def` workflows, `AsyncContext` for `async def` ones.

Both only turn a call into a command and hand it to the engine; they differ in what they return.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Generic, NoReturn, ParamSpec, Protocol, TypeVar, overload
from uuid import UUID

from msgspec import Struct

from django_workflows.authoring import building, commands
from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.doors import Duration
from django_workflows.authoring.values import Break, Continue, ExecutionInfo, Message, Winner

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Pydantic(Protocol):
    def model_dump(self) -> Any: ...


# What may follow the name of a step: no function, so that one after a label is held to its signature.
Scalar = bool | int | float | str | bytes | Decimal | UUID | Enum | date | time | timedelta | None
Data = Scalar | Mapping[Any, Any] | Sequence[Any] | Set[Any] | Struct | _Dataclass | _Pydantic

Perform = Callable[[commands.Command], Any]
Startable = WorkflowDefinition[P, R] | StepDefinition[P, R]

_now = commands.Record("now", None, datetime)
_uuid = commands.Record("uuid", uuid.uuid4, uuid.UUID)
_random = commands.Record("random", random.random, float)


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


async def _async_token(perform: Perform, opening: Awaitable[tuple[str, str]]) -> AsyncToken:
    return AsyncToken(perform, *(await opening))


class BaseContext:
    """What both colours share: `execution`, the published `state`, and the ends."""

    def __init__(self, perform: Perform, execution: ExecutionInfo, state: dict[str, Any]) -> None:
        self._perform, self.execution, self.state = perform, execution, state

    def __reduce__(self) -> NoReturn:
        raise TypeError("The context cannot be stored or sent; pass the values that a step needs.")


class Context(BaseContext):
    """The context of a `def` workflow. Every call is remembered; a replay gets the same results."""

    @overload
    def do(self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, label: str, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, label: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def do(self, name: str, /, *args: Data, **kwargs: Any) -> Any: ...
    def do(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a step once and remember its result. An optional first text is a label, or a registered step's name."""
        return self._perform(building.do(fn, args, kwargs))

    @overload
    def sleep(self, duration: Duration, /) -> None: ...
    @overload
    def sleep(self, label: str, duration: Duration, /) -> None: ...
    def sleep(self, *args: Any) -> None:
        """A durable timer. The deadline is fixed when first reached; zero or less is a no-op."""
        self._perform(building.sleep(args))

    @overload
    def sleep_until(self, when: datetime, /) -> None: ...
    @overload
    def sleep_until(self, label: str, when: datetime, /) -> None: ...
    def sleep_until(self, *args: Any) -> None:
        """A durable timer until a moment; a naive datetime is read in the project's time zone."""
        self._perform(building.sleep_until(args))

    def wait_for_signal(self, *name: str, timeout: Duration | None = None) -> Message | None:
        """The next message addressed to this execution; None on timeout. A first text of two is a label."""
        return self._perform(building.wait_for_signal(name, timeout))  # type: ignore[no-any-return]  # by the engine

    def wait_for_event(
        self,
        *name: str,
        match: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        lookback: Duration | None = None,
    ) -> Message | None:
        """The next published event with these (dotted) keys in its data; None on timeout.

        `lookback` also accepts one that was published up to that long before.
        """
        return self._perform(building.wait_for_event(name, match, timeout, lookback))  # type: ignore[no-any-return]  # by the engine

    def token(self, *label: str, timeout: Duration | None = None) -> Token:
        """A one-time link for somebody outside: `token.url`, and `token.wait()` for the body posted to it.

        The address is the permission: who has it may answer, once, until `timeout` has passed. The database holds only
        a hash of it. It begins with `WORKFLOWS["PUBLIC_URL"]`.
        """
        return Token(self._perform, *self._perform(building.token(label, timeout)))

    @overload
    def run(self, child: Startable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, child: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def run(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Start a child workflow and wait for its output."""
        return self._perform(building.child(child, args, kwargs, wait=True))

    @overload
    def start(self, child: Startable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> ChildHandle[R]: ...
    @overload
    def start(self, child: str, /, *args: Any, **kwargs: Any) -> ChildHandle[Any]: ...
    def start(self, child: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Start a child workflow; its handle's `result()` waits for it, or leave it alone."""
        return self._perform(building.child(child, args, kwargs, wait=False))

    @overload
    def map(
        self, fn: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], *, concurrency: int | None = None
    ) -> list[R]: ...
    @overload
    def map(
        self, fn: Callable[[T], R] | WorkflowDefinition[[T], R], items: Iterable[T], *, concurrency: int | None = None
    ) -> list[R]: ...
    def map(self, fn: Any, items: Iterable[Any], *, concurrency: int | None = None) -> list[Any]:
        """`fn` (a step, a function or a workflow) for each item in parallel; results in the items' order."""
        return self._perform(building.map_over(fn, items, concurrency))  # type: ignore[no-any-return]  # by the engine

    def gather(self, *branches: Callable[[Context], Any] | ChildHandle[Any] | Token) -> list[Any]:
        """Parallel branches. All finish, then the first error in branch order is raised."""
        return self._perform(building.gather(branches))  # type: ignore[no-any-return]  # by the engine

    def race(self, *branches: Callable[[Context], Any] | ChildHandle[Any] | Token) -> Winner[Any]:
        """The first branch to finish wins, and stays the winner; the others stop at their next step."""
        return self._perform(building.race(branches))  # type: ignore[no-any-return]  # by the engine

    def loop(self, body: Callable[[Context, Any], Continue | Break], state: Any = None) -> Any:
        """Repeat `body(ctx, state)` until it returns `Break(value)`; finished iterations are forgotten."""
        return self._perform(commands.Loop("loop", body, state))

    def now(self) -> datetime:
        """The database's time when this call was first made."""
        return self._perform(_now)  # type: ignore[no-any-return]  # typed by the command's hint

    def uuid(self) -> uuid.UUID:
        """A random UUID, remembered."""
        return self._perform(_uuid)  # type: ignore[no-any-return]  # as above

    def random(self) -> float:
        """A random number from 0 to 1, remembered."""
        return self._perform(_random)  # type: ignore[no-any-return]  # as above

    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> None:
        """Publish an event, once."""
        self._perform(building.send_event(name, data, id))

    def signal(self, execution: Any, name: str, data: Any = None) -> None:
        """Send another execution a message, once."""
        self._perform(building.signal(execution, name, data))

    def cancel(self, reason: str = "") -> NoReturn:
        """End this execution as cancelled, with the reason kept."""
        self._perform(commands.End("cancel", "cancel", reason))
        raise AssertionError("the engine unwinds here")

    def pause(self, reason: str = "") -> None:
        """Park this execution until somebody resumes it; it goes on after this call."""
        self._perform(commands.End("pause", "pause", reason))

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Start over with new input and an empty journal: same id, key, waiters and unread signals."""
        self._perform(commands.End("continue_as_new", "continue_as_new", "", args, kwargs))
        raise AssertionError("the engine unwinds here")


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
        return _async_token(self._perform, self._perform(building.token(label, timeout)))

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
        return self._perform(_now)  # type: ignore[no-any-return]  # typed by the command's hint

    def uuid(self) -> Awaitable[uuid.UUID]:
        """See `Context.uuid`."""
        return self._perform(_uuid)  # type: ignore[no-any-return]  # as above

    def random(self) -> Awaitable[float]:
        """See `Context.random`."""
        return self._perform(_random)  # type: ignore[no-any-return]  # as above

    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> Awaitable[None]:
        """See `Context.send_event`."""
        return self._perform(building.send_event(name, data, id))  # type: ignore[no-any-return]  # by the engine

    def signal(self, execution: Any, name: str, data: Any = None) -> Awaitable[None]:
        """See `Context.signal`."""
        return self._perform(building.signal(execution, name, data))  # type: ignore[no-any-return]  # by the engine

    def cancel(self, reason: str = "") -> Awaitable[NoReturn]:
        """See `Context.cancel`."""
        return self._perform(commands.End("cancel", "cancel", reason))  # type: ignore[no-any-return]  # by the engine

    def pause(self, reason: str = "") -> Awaitable[None]:
        """See `Context.pause`."""
        return self._perform(commands.End("pause", "pause", reason))  # type: ignore[no-any-return]  # by the engine

    def continue_as_new(self, *args: Any, **kwargs: Any) -> Awaitable[NoReturn]:
        """See `Context.continue_as_new`."""
        command = commands.End("continue_as_new", "continue_as_new", "", args, kwargs)
        return self._perform(command)  # type: ignore[no-any-return]  # by the engine
