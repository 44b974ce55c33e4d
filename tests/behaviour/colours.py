"""One body, two colours: an `async def` workflow as it stands, or the same as a plain `def` on the plain context.

A test then says once what must hold for both. What only one colour can do (`asyncio.gather`) is written in that one.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack

from django_workflows import AsyncContext, ChildHandle, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.options import WorkflowKeywords

P = ParamSpec("P")
R = TypeVar("R")

Body = Callable[Concatenate[AsyncContext, P], Coroutine[Any, Any, R]]


class Colour:
    """Registers bodies as workflows of this colour: `@colour()` or `@colour(timeout="1 day")`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "async def"

    def __call__(self, **keywords: Unpack[WorkflowKeywords]) -> Callable[[Body[P, R]], WorkflowDefinition[P, R]]:
        def register(body: Body[P, R]) -> WorkflowDefinition[P, R]:
            fn: Any = body if self.is_async else as_plain(body)
            registered: WorkflowDefinition[P, R] = workflow(**keywords)(fn)
            return registered

        return register


def as_plain(body: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """The same body for a context whose calls are not awaited."""

    @functools.wraps(body)
    def plain(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        return _finish(body(_Awaited(ctx), *args, **kwargs))

    return plain


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        coroutine.close()
    raise AssertionError("the body awaits something that is not a call of its context")


class _Awaited:
    """The plain context, its calls awaitable, its branches and bodies those of an async workflow."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found
        convert = _unwrapped if name in {"do", "map"} else _plain  # functions of these are steps, not branches
        return lambda *args, **kwargs: _Call(found, [convert(arg) for arg in args], kwargs)


class _Call:
    """A call that is made when it is awaited, or as a branch of its own."""

    def __init__(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._fn, self._args, self._kwargs = fn, args, kwargs

    def __await__(self) -> Generator[None, None, Any]:
        answer = self._fn(*self._args, **self._kwargs)
        yield from ()
        return _Awaited(answer) if isinstance(answer, ChildHandle) else answer


def _unwrapped(arg: Any) -> Any:
    return arg._target if isinstance(arg, _Awaited) else arg


def _plain(arg: Any) -> Any:
    arg = _unwrapped(arg)
    if not callable(arg) or isinstance(arg, WorkflowDefinition) or hasattr(arg, "as_workflow"):
        return arg

    @functools.wraps(arg)
    def plain(ctx: Any, *args: Any) -> Any:
        return _awaited(arg(_Awaited(ctx), *args))

    return plain


def _awaited(answer: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await answer

    return _finish(wait())
