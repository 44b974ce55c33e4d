"""What the tasks of a turn do outside of the workflow's code: steps' bodies, commits, queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, cast

from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.contexts import in_context
from django_workflows.engine.runners import task_scopes
from django_workflows.engine.runners.quiescence import QuiescentTurn
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


class ActingTurn(QuiescentTurn):
    """A turn whose effects are acted out by its surroundings while its other tasks go on."""

    def __init__(self, *args: Any, host: Host, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.host = host

    async def barrier(self, effect: effects.Barrier) -> None:
        await self.store(but_certain=effect.but_certain)  # its receipt may be what tells of a pause
        if not self.may_start:
            await self.wait(effects.Stop("", None))

    async def confirm(self, effect: effects.Confirm) -> bool:
        await self.store()
        if self.was_stored(effect.entry_id):
            return True
        await self.apart(partial(invocation.refresh, self))
        return False

    async def store(self, *, but_certain: bool = False) -> None:
        """Wait until all that was recorded is stored, or all but what is certain."""
        self.publish_state()
        mark = self.mark(but_certain=but_certain)
        if not self.is_stored(mark) and not self.abandoned:
            future: asyncio.Future[None] = self.loop.create_future()
            self.storing.append((mark, future))
            self.busy += 1
            try:
                await self.host.flush(self)
                await future
            finally:
                self.busy -= 1
                self.rest_soon()
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked

    async def invoke(self, effect: effects.Invoke) -> effects.Outcome:
        self.enter(effect.entry)
        self.busy += 1
        token = task_scopes.current.set(None)
        try:
            if effect.step.is_async:
                return await self.host.tend(partial(invocation.call_async, effect))
            return await self._invoke_in_thread(effect)
        finally:
            task_scopes.current.reset(token)
            self.busy -= 1
            self.leave(effect.entry.key)
            self.rest_soon()

    async def _invoke_in_thread(self, effect: effects.Invoke) -> effects.Outcome:
        if effect.step.options.timeout is None:
            call = in_context(partial(invocation.call_sync, self, effect))
            return cast(effects.Outcome, await self.host.call_in_thread(call))
        attempt = invocation.Attempt(self, effect)
        await self.host.run_apart(in_context(attempt.run))
        await_result = partial(attempt.result, invocation.seconds_of(effect))
        return cast(effects.Outcome, await self.host.call_in_thread(await_result))

    async def apart(self, fn: Callable[[], Any]) -> Any:
        self.busy += 1
        try:
            return await self.host.call_in_thread(fn)
        finally:
            self.busy -= 1
            self.rest_soon()

    async def query(self, effect: effects.Query) -> Any:
        return await self.apart(partial(invocation.insist, self, effect.fn))
