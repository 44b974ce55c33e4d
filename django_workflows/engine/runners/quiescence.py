"""Tasks of one turn on an event loop: outcomes are handed on one after the other, each when the code has come to rest.

That is in the order in which they were recorded, each after the code that the one before set in motion has come to
rest: a replay then sees what the first run saw. When all rests and no wait has come to anything, the turn unwinds.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any

from django_workflows.engine.commit.values import Ending
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, NonDeterminism, Parked

HOPS = 5  # rounds of the loop without a new call after which the workflow's code has come to rest


class QuiescentTurn(Turn):
    """What the tasks of a turn have in common."""

    def __init__(
        self,
        *args: Any,
        loop: asyncio.AbstractEventLoop,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.loop = loop
        self._call_soon = call_soon or loop.call_soon_threadsafe
        self.is_spawning = False  # the engine's own tasks have no scope of the workflow's
        self.tasks: set[asyncio.Task[Any]] = set()
        self.main: asyncio.Task[Any] | None = None
        self.busy = 0  # calls that go on by themselves: bodies, commits, queries
        self.called: dict[str, Coroutine[Any, Any, Any]] = {}  # and not awaited yet
        self.calls = 0  # grows with each call: how rest is noticed
        self._waiters: dict[str, tuple[effects.Wait, asyncio.Future[Any]]] = {}
        self._undelivered: list[tuple[int, int, asyncio.Future[None]]] = []
        self.storing: list[tuple[int, asyncio.Future[None]]] = []
        self._is_resting = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_single_file(self) -> bool:
        return not self.tasks

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self._has_ended)
        self.calls += 1

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        self.calls += 1
        self.rest_soon()

    async def end_tasks(self) -> None:
        tasks = [task for task in self.tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    def unwind(self, mismatch: NonDeterminism | None = None) -> None:
        self.mismatch = self.mismatch or mismatch
        self.unwinding = True
        if self.main is not None:
            self.main.cancel()

    def decide(self, ending: Ending) -> None:
        super().decide(ending)
        self.unwind()

    # delivering in order

    async def deliver(self, effect: effects.Deliver) -> None:
        if not self.tasks and not self._undelivered:
            return
        future: asyncio.Future[None] = self.loop.create_future()
        heapq.heappush(self._undelivered, (effect.seq, id(future), future))
        self.rest_soon()
        await future
        self.calls += 1
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked

    def rest_soon(self) -> None:
        """Look after a few rounds of the loop whether the workflow's code has come to rest."""
        if not self._is_resting and not self.has_ended and (self._undelivered or self._waiters):
            self._is_resting = True
            self.loop.call_soon(self._rest, self.calls, HOPS)

    def _rest(self, calls: int, hops: int) -> None:
        if calls != self.calls:
            calls, hops = self.calls, HOPS
        if hops:
            self.loop.call_soon(self._rest, calls, hops - 1)
            return
        self._is_resting = False
        if self._undelivered:
            _, _, future = heapq.heappop(self._undelivered)
            if not future.done():
                future.set_result(None)
            self.calls += 1
            self.rest_soon()
        elif not self._wake_one() and self._waiters:
            if self.busy:
                self._set_timer()  # the database's clock may have been read anew since it was set
            else:
                self.unwind()

    # waiting

    async def wait(self, wait: effects.Wait) -> Any:
        """Wait while other tasks of this turn go on; unwind when none does."""
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked
        if not self.tasks and (found := self.resolve(wait)) is not None:
            return found
        future: asyncio.Future[Any] = self.loop.create_future()
        self.waits[wait.key] = wait
        self._waiters[wait.key] = (wait, future)
        self.committer.note(self)
        self._set_timer()
        self.rest_soon()
        try:
            found = await future
        except asyncio.CancelledError:
            if not self.unwinding:
                self._give_up(wait)
            raise
        finally:
            self._waiters.pop(wait.key, None)
        self.waits.pop(wait.key, None)
        return found

    def _give_up(self, wait: effects.Wait) -> None:
        """The workflow cancelled this wait (it lost a race): it is open no more."""
        self.waits.pop(wait.key, None)
        entry = self.journal.get(wait.key)
        if entry is not None and not entry.is_final and entry.kind in {"sleep", "signal", "event"}:
            self.skip(entry)

    def _wake_one(self) -> bool:
        """Answer the first wait that can be answered; what it sets in motion may end the others."""
        for wait, future in self._waiters.values():
            if not future.done() and (found := self.resolve(wait)) is not None:
                future.set_result(found)
                self.calls += 1
                self.rest_soon()
                return True
        return False

    def _set_timer(self) -> None:
        """While something else goes on, deadlines are kept here; once parked, by the database."""
        deadlines = [wait.deadline for wait, _ in self._waiters.values() if wait.deadline is not None]
        if self.timer is not None:
            self.timer.cancel()
        if deadlines:
            seconds = max((min(deadlines) - self.now()).total_seconds(), 0)
            self.timer = self.loop.call_later(min(seconds, 86_400.0) + 0.001, self.rest_soon)

    def wake(self) -> None:
        """Called with every change, by the committer's thread as well."""
        if not self.loop.is_closed():
            self._call_soon(self._after_change)

    def _after_change(self) -> None:
        if self.abandoned and not self.has_ended:
            self.unwind()
        ready = [future for mark, future in self.storing if self.is_stored(mark) or self.abandoned]
        self.storing = [(mark, future) for mark, future in self.storing if future not in ready]
        for future in ready:
            if not future.done():
                future.set_result(None)
        self.rest_soon()
