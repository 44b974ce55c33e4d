"""`ctx` of `def` workflows: each call becomes a command for the engine, and gives its result."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn, ParamSpec, TypeVar, overload

from django_workflows.authoring import building, commands
from django_workflows.authoring.base_context import NOW, RANDOM, UUID4, BaseContext, Data, Startable
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.handles import ChildHandle, Token
from django_workflows.authoring.ports import Duration
from django_workflows.authoring.values import Break, Continue, Message, Winner

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


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
        return self._perform(NOW)  # type: ignore[no-any-return]  # typed by the command's hint

    def uuid(self) -> uuid.UUID:
        """A random UUID, remembered."""
        return self._perform(UUID4)  # type: ignore[no-any-return]  # as above

    def random(self) -> float:
        """A random number from 0 to 1, remembered."""
        return self._perform(RANDOM)  # type: ignore[no-any-return]  # as above

    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> None:
        """Publish an event, once."""
        self._perform(building.send_event(name, data, id))

    def signal(self, execution: Any, name: str, data: Any = None) -> None:
        """Send another execution a message, once."""
        self._perform(building.signal(execution, name, data))

    def cancel(self, reason: str = "") -> NoReturn:
        """End this execution as cancelled, with the reason kept."""
        self._perform(building.end("cancel", reason))
        raise AssertionError("the engine unwinds here")

    def pause(self, reason: str = "") -> None:
        """Park this execution until somebody resumes it; it goes on after this call."""
        self._perform(building.end("pause", reason))

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Start over with new input and an empty journal: same id, key, waiters and unread signals."""
        self._perform(building.end("continue_as_new", "", args, kwargs))
        raise AssertionError("the engine unwinds here")
