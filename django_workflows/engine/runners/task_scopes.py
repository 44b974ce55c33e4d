"""The scope of each task on an event loop: which turn it belongs to, and where it numbers its calls of `ctx`.

Every asyncio task that a workflow starts gets a scope of its own from the task factory, so timing cannot swap results.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context as Variables
from contextvars import ContextVar, copy_context
from typing import Any, Protocol

from django_workflows.engine.history.journal import Scope


class Owner(Protocol):
    """The tasks of a turn, to which a new one is added."""

    is_spawning: bool

    def adopt(self, task: asyncio.Task[Any]) -> None: ...


TaskScope = tuple[Owner, Scope]
current: ContextVar[TaskScope | None] = ContextVar("django_workflows_task_scope", default=None)


def task_factory(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **kwargs: Any
) -> asyncio.Task[Any]:
    """Gives each task that a workflow starts a numbered scope."""
    context: Variables | None = kwargs.pop("context", None)
    mine = current.get() if context is None else context.get(current)
    if mine is not None and not mine[0].is_spawning:
        owner, scope = mine
        context = context or copy_context()
        context.run(current.set, (owner, scope.next_task()))
        task = asyncio.Task(coro, loop=loop, context=context, **kwargs)
        owner.adopt(task)
        return task
    return asyncio.Task(coro, loop=loop, context=context, **kwargs)
