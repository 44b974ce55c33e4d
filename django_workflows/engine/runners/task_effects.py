"""What procedures of `async def` workflows ask for, acted out by the process around the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, cast

from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.contexts import in_context
from django_workflows.engine.runners import task_scopes
from django_workflows.engine.runners.quiescence import Tasks
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, Parked


class Host(Protocol):
    """What a turn on a loop needs of the process it runs in."""

    def call_in_thread(self, fn: Callable[[], Any]) -> Awaitable[Any]:
        """Call `fn` where the ORM may be used."""

    def run_apart(self, fn: Callable[[], None]) -> Awaitable[None]:
        """Start `fn` in a thread that may be left behind; without such threads, call it."""

    async def tend(self, body: Callable[[], Awaitable[effects.Outcome]]) -> effects.Outcome:
        """Run the body of an `async def` step; it leaves nothing on connections that others use after it."""

    def flush(self, turn: Turn) -> Awaitable[None]:
        """Have the turn's write stored soon; the answer comes by `receive()`."""


class TaskEffects:
    """Stores, invokes and waits for the tasks of one turn, while its other tasks go on."""

    def __init__(self, turn: Turn, tasks: Tasks, host: Host) -> None:
        self._turn, self._tasks, self._host = turn, tasks, host
        self._flags, self._pending = turn.flags, turn.pending

    async def barrier(self, effect: effects.Barrier) -> None:
        await self._store(but_certain=effect.but_certain)  # its receipt may be what tells of a pause
        if not self._flags.may_start:
            await self._tasks.wait(effects.Stop("", None))

    async def confirm(self, effect: effects.Confirm) -> bool:
        await self._store()
        if self._pending.was_stored(effect.entry_id):
            return True
        await self._apart(partial(invocation.refresh, self._turn))
        return False

    async def _store(self, *, but_certain: bool = False) -> None:
        """Wait until all that was recorded is stored, or all but what is certain."""
        self._turn.publish_state()
        mark = self._pending.mark(but_certain=but_certain)
        if not self._pending.is_stored(mark) and not self._flags.abandoned:
            await self._tasks.until_stored(mark, partial(self._host.flush, self._turn))
        if self._flags.unwinding:
            raise Abandoned if self._flags.abandoned else Parked

    async def invoke(self, effect: effects.Invoke) -> effects.Outcome:
        self._turn.bodies.enter(effect.entry)
        self._tasks.begin()
        token = task_scopes.current.set(None)
        try:
            if effect.step.is_async:
                return await self._host.tend(partial(invocation.call_async, effect))
            return await self._invoke_in_thread(effect)
        finally:
            task_scopes.current.reset(token)
            self._turn.bodies.leave(effect.entry.key)
            self._tasks.end()

    async def _invoke_in_thread(self, effect: effects.Invoke) -> effects.Outcome:
        if effect.step.options.timeout is None:
            call = in_context(partial(invocation.call_sync, self._turn, effect))
            return cast(effects.Outcome, await self._host.call_in_thread(call))
        attempt = invocation.Attempt(self._turn, effect)
        await self._host.run_apart(in_context(attempt.run))
        await_result = partial(attempt.result, invocation.seconds_of(effect))
        return cast(effects.Outcome, await self._host.call_in_thread(await_result))

    async def _apart(self, fn: Callable[[], Any]) -> Any:
        self._tasks.begin()
        try:
            return await self._host.call_in_thread(fn)
        finally:
            self._tasks.end()

    async def query(self, effect: effects.Query) -> Any:
        return await self._apart(partial(invocation.insist, self._turn, effect.fn))

    def deliver(self, effect: effects.Deliver) -> Awaitable[None]:
        return self._tasks.deliver(effect)

    def wait(self, wait: effects.Wait) -> Awaitable[Any]:
        return self._tasks.wait(wait)


ACTIONS: dict[type[effects.Effect], Callable[[TaskEffects, Any], Awaitable[Any]]] = {
    effects.Barrier: TaskEffects.barrier,
    effects.Confirm: TaskEffects.confirm,
    effects.Invoke: TaskEffects.invoke,
    effects.Deliver: TaskEffects.deliver,
    effects.Query: TaskEffects.query,
    effects.TimerWait: TaskEffects.wait,
    effects.MessageWait: TaskEffects.wait,
    effects.ChildWait: TaskEffects.wait,
    effects.Stop: TaskEffects.wait,
}
