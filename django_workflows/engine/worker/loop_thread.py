"""The event loop of a worker: one thread that runs the turns of `async def` workflows."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import cached_property
from typing import Any

from asgiref.sync import sync_to_async

from django_workflows.engine.database import sessions, user_transactions
from django_workflows.engine.database.pulse import Pulse
from django_workflows.engine.database.sessions import ThreadConnections
from django_workflows.engine.database.user_transactions import OpenTransaction
from django_workflows.engine.handlers.contexts import prepare_thread
from django_workflows.engine.runners.task_scopes import task_factory
from django_workflows.engine.turn.effects import Outcome
from django_workflows.engine.turn.turn import Committer, Turn
from django_workflows.engine.worker.thread_pool import Helpers, Pool


class LoopThread:
    """Runs coroutines for the pump, and is the host of their turns."""

    def __init__(
        self, pool: Pool, helpers: Helpers, committer: Committer, on_exit: Callable[[BaseException], None]
    ) -> None:
        self._pool, self._helpers, self._committer, self._on_exit = pool, helpers, committer, on_exit
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_woken = False
        self._thread = threading.Thread(target=self._run, name="workflows-loop", daemon=True)
        self._started = False
        self.pulse = Pulse("the event loop")
        self._surroundings = Context()  # the variables that turns begin with
        self._connections: ThreadConnections | None = None  # of the thread in which asgiref calls the ORM
        self._bodies = self._rolled_back = 0  # `async def` steps under way; transactions that they left open

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Made when the first `async def` workflow comes: many workers never have one."""
        loop = asyncio.new_event_loop()
        loop.set_task_factory(task_factory)
        return loop

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.pulse.thread = threading.get_ident()
        prepare_thread()
        self._surroundings = copy_context()
        while True:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:  # a task raised it: asyncio lets it through
                self._on_exit(error)

    def submit(self, coroutines: list[Callable[[], Any]]) -> None:
        """Start these coroutine functions on the loop."""
        if not self._started:
            self._started = True
            self._thread.start()
            coroutines = [self._own_thread_of_orm, *coroutines]
        self.loop.call_soon_threadsafe(self._start, coroutines)

    def ask_for_sign(self) -> None:
        """From any thread: until the loop has answered it is taken to be at work."""
        if self._started and self.pulse.is_resting:
            self.pulse.work()
            self.loop.call_soon_threadsafe(self.pulse.rest)

    def _start(self, coroutines: list[Callable[[], Any]]) -> None:
        for coroutine in coroutines:
            task = self.loop.create_task(coroutine(), context=self._surroundings.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call this on the loop, from any thread. A commit answers many turns: together they wake the loop once."""
        self._calls.append(call)
        if not self._is_woken:
            self._is_woken = True
            self.loop.call_soon_threadsafe(self._make_calls)

    def _make_calls(self) -> None:
        self._is_woken = False  # who comes from now on wakes it again; who came before is in the line
        while self._calls:
            self.loop.call_soon(self._calls.popleft())

    # the host of a LoopRunner

    def call_in_thread(self, fn: Callable[[], Any]) -> Awaitable[Any]:
        future: asyncio.Future[Any] = self.loop.create_future()

        def call() -> None:
            try:
                answer, error = fn(), None
            except BaseException as raised:
                answer, error = None, raised
            self.loop.call_soon_threadsafe(_answer, future, answer, error)

        self._pool.submit(call)
        return future

    async def run_apart(self, fn: Callable[[], None]) -> None:
        self._helpers.run_apart(fn)

    async def tend(self, body: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """All `async def` bodies share the thread in which asgiref calls the ORM, and its connections: nobody knows
        whose writes stand in a transaction that is open there between two calls.
        """
        rolled_back = self._rolled_back
        self._bodies += 1
        try:
            outcome = await body()
        finally:
            self._bodies -= 1
        if self._connections is not None and self._connections.need_tidying:
            left = await sync_to_async(self._tidy)(self._connections, is_idle=not self._bodies)
            self._rolled_back += bool(left)
        if outcome.error is None and self._rolled_back != rolled_back:
            return Outcome(error=OpenTransaction(OpenTransaction.__doc__))
        return outcome

    def _tidy(self, connections: ThreadConnections, *, is_idle: bool) -> list[str]:
        left = user_transactions.roll_back_left_open({})
        user_transactions.renew_connections()
        connections.tidy(is_idle=is_idle)
        return left

    async def _own_thread_of_orm(self) -> None:
        self._connections = await sync_to_async(sessions.own_this_thread)()

    async def flush(self, turn: Turn) -> None:
        self._committer.flush(turn)


def _answer(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)
