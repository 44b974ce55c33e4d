"""Tasks of one turn on an event loop: outcomes are handed on one after the other, each when the code has come to rest.

That is in the order in which they were recorded, each after the code that the one before set in motion has come to
rest: a replay then sees what the first run saw. When all rests and no wait has come to anything, the turn unwinds.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any

from django_workflows.engine.database import forks
from django_workflows.engine.handlers.contexts import own_context
from django_workflows.engine.history.journal import Scope
from django_workflows.engine.runners.task_scopes import current
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, NonDeterminism, Parked

HOPS = 5  # rounds of the loop without a new call after which the workflow's code has come to rest


class Tasks:
    """The tasks of one turn, and what they wait for. All but `has_changed` is called in the thread of the loop."""

    def __init__(self, turn: Turn, loop: asyncio.AbstractEventLoop, call_soon: Callable[[Callable[[], None]], object]):
        self._turn, self._flags, self._mailbox = turn, turn.flags, turn.mailbox
        self.loop, self._call_soon = loop, call_soon
        self.is_spawning = False  # the engine's own tasks have no scope of the workflow's
        self.running: set[asyncio.Task[Any]] = set()  # beside the main one
        self._main: asyncio.Task[Any] | None = None
        self._busy = 0  # calls that go on by themselves: bodies, commits, queries
        self._calls = 0  # grows with each call: how rest is noticed
        self._waiters: dict[str, tuple[effects.Wait, asyncio.Future[Any]]] = {}
        self._undelivered: list[tuple[int, int, asyncio.Future[None]]] = []
        self._storing: list[tuple[int, asyncio.Future[None]]] = []
        self._is_resting = False
        self.timer: asyncio.TimerHandle | None = None

    # tasks

    async def run_main(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The function in a task of its own, so that unwinding can cancel it and this one goes on."""
        context = own_context()
        context.run(current.set, (self, Scope()))
        self._main = asyncio.Task(coroutine, loop=self.loop, context=context)
        try:
            with forks.guard:
                return await self._main
        except asyncio.CancelledError:
            self._main.cancel()
            raise

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """The workflow has started a task."""
        self.running.add(task)
        self._flags.parallel += 1
        task.add_done_callback(self._has_ended)
        self._calls += 1

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        self.running.discard(task)
        self._flags.parallel -= 1
        self._calls += 1
        self.rest_soon()

    async def end_all(self) -> None:
        """Cancel what still runs, and wait for it up to ten seconds."""
        tasks = [task for task in self.running if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    def unwind(self, mismatch: NonDeterminism | None = None) -> None:
        """Nobody goes on in this turn."""
        self._flags.unwind(mismatch)
        if self._main is not None:
            self._main.cancel()

    def has_ended(self) -> None:
        """The function is over."""
        self._flags.end()
        if self.timer is not None:
            self.timer.cancel()  # it would keep this turn in memory for as long as a day

    # what goes on by itself

    def called(self) -> None:
        """The workflow's code has made a call of `ctx`."""
        self._calls += 1

    def begin(self) -> None:
        """Something goes on by itself, and will set the code in motion."""
        self._busy += 1

    def end(self) -> None:
        self._busy -= 1
        self.rest_soon()

    async def until_stored(self, mark: int, flush: Callable[[], Any]) -> None:
        """Have the pending write stored, and wait until the write of this number is."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._storing.append((mark, future))
        self.begin()
        try:
            await flush()
            await future
        finally:
            self.end()

    # delivering in order

    async def deliver(self, effect: effects.Deliver) -> None:
        """Go on when it is the turn of this outcome."""
        if not self.running and not self._undelivered:
            return
        future: asyncio.Future[None] = self.loop.create_future()
        heapq.heappush(self._undelivered, (effect.seq, id(future), future))
        self.rest_soon()
        await future
        self._calls += 1
        if self._flags.unwinding:
            raise Abandoned if self._flags.abandoned else Parked

    def rest_soon(self) -> None:
        """Look after a few rounds of the loop whether the workflow's code has come to rest."""
        if not self._is_resting and not self._flags.has_ended and (self._undelivered or self._waiters):
            self._is_resting = True
            self.loop.call_soon(self._rest, self._calls, HOPS)

    def _rest(self, calls: int, hops: int) -> None:
        if calls != self._calls:
            calls, hops = self._calls, HOPS
        if hops:
            self.loop.call_soon(self._rest, calls, hops - 1)
            return
        self._is_resting = False
        if self._undelivered:
            _, _, future = heapq.heappop(self._undelivered)
            if not future.done():
                future.set_result(None)
            self._calls += 1
            self.rest_soon()
        elif not self._wake_one() and self._waiters:
            if self._busy:
                self._set_timer()  # the database's clock may have been read anew since it was set
            else:
                self.unwind()

    # waiting

    async def wait(self, wait: effects.Wait) -> Any:
        """Wait while other tasks of this turn go on; unwind when none does."""
        if self._flags.unwinding:
            raise Abandoned if self._flags.abandoned else Parked
        if not self.running and (found := self._mailbox.resolve(wait)) is not None:
            return found
        future: asyncio.Future[Any] = self.loop.create_future()
        self._mailbox.waits[wait.key] = wait
        self._waiters[wait.key] = (wait, future)
        self._turn.committer.note(self._turn)
        self._set_timer()
        self.rest_soon()
        try:
            found = await future
        except asyncio.CancelledError:
            if not self._flags.unwinding:
                self._give_up(wait)
            raise
        finally:
            self._waiters.pop(wait.key, None)
        self._mailbox.waits.pop(wait.key, None)
        return found

    def _give_up(self, wait: effects.Wait) -> None:
        """The workflow cancelled this wait (it lost a race): it is open no more."""
        self._mailbox.waits.pop(wait.key, None)
        entry = self._turn.journal.get(wait.key)
        if entry is not None and not entry.is_final and entry.kind in {"sleep", "signal", "event"}:
            self._turn.skip(entry)

    def _wake_one(self) -> bool:
        """Answer the first wait that can be answered; what it sets in motion may end the others."""
        for wait, future in self._waiters.values():
            if not future.done() and (found := self._mailbox.resolve(wait)) is not None:
                future.set_result(found)
                self._calls += 1
                self.rest_soon()
                return True
        return False

    def _set_timer(self) -> None:
        """While something else goes on, deadlines are kept here; once parked, by the database."""
        deadlines = [wait.deadline for wait, _ in self._waiters.values() if wait.deadline is not None]
        if self.timer is not None:
            self.timer.cancel()
        if deadlines:
            seconds = max((min(deadlines) - self._turn.now()).total_seconds(), 0)
            self.timer = self.loop.call_later(min(seconds, 86_400.0) + 0.001, self.rest_soon)

    def has_changed(self) -> None:
        """Called with every change, by the committer's thread as well."""
        if not self.loop.is_closed():
            self._call_soon(self._after_change)

    def _after_change(self) -> None:
        if self._flags.abandoned and not self._flags.has_ended:
            self.unwind()
        is_stored = self._turn.pending.is_stored
        ready = [future for mark, future in self._storing if is_stored(mark) or self._flags.abandoned]
        self._storing = [(mark, future) for mark, future in self._storing if future not in ready]
        for future in ready:
            if not future.done():
                future.set_result(None)
        self.rest_soon()
