"""Turns of `async def` workflows: the function is a task on an event loop, and so are its branches.

Every asyncio task that a workflow starts gets a scope of its own from the task factory, so timing cannot swap results.
Outcomes are handed on one after the other, in the order in which they were recorded, each after the code that the one
before set in motion has come to rest: a replay then sees what the first run saw.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context as Variables
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Protocol, cast

from django_workflows.authoring import commands
from django_workflows.authoring.context import AsyncChildHandle, AsyncContext
from django_workflows.engine import bodies, effects, endings, swallowing
from django_workflows.engine.branching import Failure, close
from django_workflows.engine.journal import Scope, branch_prefix
from django_workflows.engine.procedures import procedure_for
from django_workflows.engine.turn import Turn
from django_workflows.engine.writes import Ending
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked

HOPS = 5  # rounds of the loop without a new call after which the workflow's code has come to rest


class Surroundings(Protocol):
    """What a turn on a loop needs of the process it runs in."""

    def call_in_thread(self, fn: Callable[[], Any]) -> Awaitable[Any]:
        """Call `fn` where the ORM may be used."""

    def run_apart(self, fn: Callable[[], None]) -> Awaitable[None]:
        """Start `fn` in a thread that may be left behind; without such threads, call it."""

    def flush(self, turn: LoopTurn) -> Awaitable[None]:
        """Have the turn's write stored soon; the answer comes by `receive()`."""


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


Line = tuple["LoopTurn", Scope]
_line: ContextVar[Line | None] = ContextVar("django_workflows_line", default=None)


def task_factory(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **kwargs: Any
) -> asyncio.Task[Any]:
    """Gives each task that a workflow starts a numbered scope."""
    context: Variables | None = kwargs.pop("context", None)
    line = _line.get() if context is None else context.get(_line)
    if line is not None and not line[0].is_spawning:
        turn, scope = line
        context = context or copy_context()
        context.run(_line.set, (turn, scope.next_task()))
        task = asyncio.Task(coro, loop=loop, context=context, **kwargs)
        turn.adopt(task)
        return task
    return asyncio.Task(coro, loop=loop, context=context, **kwargs)


class LoopTurn(Turn):
    """A turn whose function is a task on the running loop."""

    surroundings: Surroundings

    def __init__(self, *args: Any, surroundings: Surroundings, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.surroundings = surroundings
        self.loop = loop
        self.is_spawning = False  # the engine's own tasks have no scope of the workflow's
        self._tasks: set[asyncio.Task[Any]] = set()
        self._main: asyncio.Task[Any] | None = None
        self._busy = 0  # calls that go on by themselves: bodies, commits, queries
        self._calls = 0  # grows with each call: how rest is noticed
        self._waiters: dict[str, tuple[effects.Wait, asyncio.Future[Any]]] = {}
        self._undelivered: list[tuple[int, int, asyncio.Future[None]]] = []
        self._storing: list[tuple[int, asyncio.Future[None]]] = []
        self._is_resting = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Ending | None:
        """Run the workflow's coroutine; how the turn ends, or None when the claim was lost."""
        if (ending := endings.expired(self)) is not None:
            return ending
        try:
            args, kwargs = endings.arguments_of(self)
            value = await self._run_main(
                self.definition.fn(AsyncContext(self.perform, self.info, self.state), *args, **kwargs)
            )
            return await self._conclude(lambda: endings.after_return(self, value))
        except NonDeterminism as mismatch:
            self.mismatch = self.mismatch or mismatch
            return await self._conclude(lambda: endings.after_unwinding(self))
        except ControlFlow:
            await self._end_tasks()
            return await self._conclude(lambda: endings.after_unwinding(self))
        except asyncio.CancelledError as cancelled:
            if self.unwinding:
                await self._end_tasks()
                return await self._conclude(lambda: endings.after_unwinding(self))
            if _is_being_cancelled():
                raise
            own = cancelled  # the function awaited a task that it had cancelled itself
            return await self._conclude(lambda: endings.after_error(self, own))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:
            error = raised
            return await self._conclude(lambda: endings.after_error(self, error))
        finally:
            self.unwinding = self.has_ended = True
            if self._timer is not None:
                self._timer.cancel()  # it would keep this turn in memory for as long as a day
            await self._end_tasks()

    async def _run_main(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The function in a task of its own, so that unwinding can cancel it and this one goes on."""
        context = copy_context()
        context.run(_line.set, (self, Scope()))
        self._main = asyncio.Task(coroutine, loop=self.loop, context=context)
        try:
            return await self._main
        except asyncio.CancelledError:
            self._main.cancel()
            raise

    async def _conclude(self, decide: Callable[[], Ending | None]) -> Ending | None:
        """Endings may look into the database when the code does not match the journal."""
        try:
            if self.mismatch is None:
                return decide()
        except NonDeterminism as mismatch:
            self.mismatch = mismatch
        self.unwinding = True
        ending: Ending | None = await self.surroundings.call_in_thread(partial(endings.after_unwinding, self))
        return ending

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._has_ended)
        self._calls += 1

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._calls += 1
        self._rest_soon()

    async def _end_tasks(self) -> None:
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    # acting out commands

    def perform(self, command: commands.Command) -> Awaitable[Any]:
        """Carry out one call of `ctx`; its place in the journal is fixed now, the rest happens when it is awaited."""
        line = _line.get()
        if self.unwinding and swallowing.is_hopeless(self):
            return self._stall()
        self._check_usable(line)
        assert line is not None
        scope = line[1]
        key = scope.next_key()
        self._calls += 1
        try:
            procedure = procedure_for(self, scope.prefix, key, command)
        except NonDeterminism as mismatch:
            self._unwind(mismatch)
            raise
        return self._carry_out(key, command, procedure)

    async def _carry_out(self, key: str, command: commands.Command, procedure: Any) -> Any:
        try:
            answer = await self._drive(procedure)
        except NonDeterminism as mismatch:
            self._unwind(mismatch)
            raise
        except asyncio.CancelledError:
            entry = self.journal.get(key)
            if not self.unwinding and isinstance(command, commands.StartChild) and entry and not entry.is_final:
                close(self, entry)  # it lost a race: nobody waits for this child any more
            raise
        if isinstance(command, commands.StartChild) and not command.wait:
            return AsyncChildHandle(self.perform, key, answer.child_id)
        return answer

    async def _drive(self, procedure: Any) -> Any:
        send, answer = procedure.send, None
        while True:
            try:
                effect = send(answer)
            except StopIteration as stop:
                return stop.value
            try:
                answer, send = await ACTIONS[type(effect)](self, effect), procedure.send
            except BaseException as error:
                answer, send = error, procedure.throw

    def _check_usable(self, line: Line | None) -> None:
        if self.has_ended:
            swallowing.count(self)
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if line is None or line[0] is not self:
            raise ContextMisuse("ctx cannot be used inside a step, nor from another thread or workflow.")
        if self.unwinding:
            swallowing.count(self)
            raise Abandoned if self.abandoned else Parked

    async def _stall(self) -> None:
        """Slows a function that catches BaseException in a loop, which would stop all others on this event loop."""
        await asyncio.sleep(1)
        raise Parked

    def _unwind(self, mismatch: NonDeterminism | None = None) -> None:
        self.mismatch = self.mismatch or mismatch
        self.unwinding = True
        if self._main is not None:
            self._main.cancel()

    def decide(self, ending: Ending) -> None:
        super().decide(ending)
        self._unwind()

    # acting out effects

    async def _barrier(self, effect: effects.Barrier) -> None:
        await self._store()  # its receipt may be what tells of a pause
        if not self.may_start:
            await self._wait(effects.Stop("", None))

    async def _confirm(self, effect: effects.Confirm) -> bool:
        await self._store()
        if self.was_stored(effect.entry_id):
            return True
        await self._apart(partial(bodies.refresh, self))
        return False

    async def _store(self) -> None:
        """Wait until all that was recorded is stored."""
        self.publish_state()
        mark = self.mark
        if not self.is_stored(mark) and not self.abandoned:
            future: asyncio.Future[None] = self.loop.create_future()
            self._storing.append((mark, future))
            self._busy += 1
            try:
                await self.surroundings.flush(self)
                await future
            finally:
                self._busy -= 1
                self._rest_soon()
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked

    async def _invoke(self, effect: effects.Invoke) -> effects.Outcome:
        self.enter(effect.entry)
        self._busy += 1
        line = _line.get()
        token = _line.set(None)
        try:
            if effect.step.is_async:
                return await bodies.call_async(effect)
            return await self._invoke_in_thread(effect)
        finally:
            _line.reset(token)
            assert line is not None
            self._busy -= 1
            self.leave(effect.entry.key)
            self._rest_soon()

    async def _invoke_in_thread(self, effect: effects.Invoke) -> effects.Outcome:
        if effect.step.options.timeout is None:
            call = bodies.in_context(partial(bodies.call_sync, self, effect))
            return cast(effects.Outcome, await self.surroundings.call_in_thread(call))
        attempt = bodies.Attempt(self, effect)
        await self.surroundings.run_apart(bodies.in_context(attempt.run))
        await_result = partial(attempt.result, bodies.seconds_of(effect))
        return cast(effects.Outcome, await self.surroundings.call_in_thread(await_result))

    async def _apart(self, fn: Callable[[], Any]) -> Any:
        self._busy += 1
        try:
            return await self.surroundings.call_in_thread(fn)
        finally:
            self._busy -= 1
            self._rest_soon()

    async def _query(self, effect: effects.Query) -> Any:
        return await self._apart(partial(bodies.insist, self, effect.fn))

    async def _iterate(self, effect: effects.Iterate) -> Any:
        line = _line.get()
        token = _line.set((self, Scope(effect.prefix)))
        try:
            return await effect.body(AsyncContext(self.perform, self.info, self.state), *effect.args)
        finally:
            _line.reset(token)
            assert line is not None

    # delivering in order

    async def _deliver(self, effect: effects.Deliver) -> None:
        if not self._tasks and not self._undelivered:
            return
        future: asyncio.Future[None] = self.loop.create_future()
        heapq.heappush(self._undelivered, (effect.seq, id(future), future))
        self._rest_soon()
        await future
        self._calls += 1
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked

    def _rest_soon(self) -> None:
        """Look after a few rounds of the loop whether the workflow's code has come to rest."""
        if not self._is_resting and not self.has_ended and (self._undelivered or self._waiters):
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
            self._rest_soon()
        elif not self._wake_one() and self._waiters:
            if self._busy:
                self._set_timer()  # the database's clock may have been read anew since it was set
            else:
                self._unwind()

    # waiting

    async def _wait(self, wait: effects.Wait) -> Any:
        """Wait while other tasks of this turn go on; unwind when none does."""
        if self.unwinding:
            raise Abandoned if self.abandoned else Parked
        if not self._tasks and (found := self.resolve(wait)) is not None:
            return found
        future: asyncio.Future[Any] = self.loop.create_future()
        self.waits[wait.key] = wait
        self._waiters[wait.key] = (wait, future)
        self.committer.note(self)
        self._set_timer()
        self._rest_soon()
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
            self.settle(entry, "skipped")

    def _wake_one(self) -> bool:
        """Answer the first wait that can be answered; what it sets in motion may end the others."""
        for wait, future in self._waiters.values():
            if not future.done() and (found := self.resolve(wait)) is not None:
                future.set_result(found)
                self._calls += 1
                self._rest_soon()
                return True
        return False

    def _set_timer(self) -> None:
        """While something else goes on, deadlines are kept here; once parked, by the database."""
        deadlines = [wait.deadline for wait, _ in self._waiters.values() if wait.deadline is not None]
        if self._timer is not None:
            self._timer.cancel()
        if deadlines:
            seconds = max((min(deadlines) - self.at_least()).total_seconds(), 0)
            self._timer = self.loop.call_later(min(seconds, 86_400.0) + 0.001, self._rest_soon)

    def wake(self) -> None:
        """Called with every change, by the committer's thread as well."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._after_change)

    def _after_change(self) -> None:
        if self.abandoned and not self.has_ended:
            self._unwind()
        ready = [future for mark, future in self._storing if self.is_stored(mark) or self.abandoned]
        self._storing = [(mark, future) for mark, future in self._storing if future not in ready]
        for future in ready:
            if not future.done():
                future.set_result(None)
        self._rest_soon()

    # branches

    async def _branches(self, effect: effects.Branches) -> Any:
        if effect.only is not None:
            for index, branch in enumerate(effect.branches):
                if index != effect.only and asyncio.iscoroutine(branch):
                    branch.close()
            return {effect.only: await self._run_branch(effect, effect.only)}
        lanes = asyncio.Semaphore(effect.concurrency) if effect.concurrency else None
        tasks = [self._spawn(effect, index, lanes) for index in range(len(effect.branches))]
        if not tasks:
            return []
        if not effect.race:
            await asyncio.wait(tasks)
            return [task.result() for task in tasks]
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        winner = min(tasks.index(task) for task in done)
        return winner, tasks[winner].result()

    def _spawn(self, effect: effects.Branches, index: int, lanes: asyncio.Semaphore | None) -> asyncio.Task[Any]:
        async def branch() -> Any:
            if lanes is None:
                return await self._run_branch(effect, index)
            async with lanes:
                return await self._run_branch(effect, index)

        self.is_spawning = True
        try:
            task = self.loop.create_task(branch())
        finally:
            self.is_spawning = False
        self.adopt(task)
        return task

    async def _run_branch(self, effect: effects.Branches, index: int) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        token = _line.set((self, Scope(branch_prefix(effect.key, index))))
        try:
            if isinstance(branch, AsyncChildHandle):
                return await branch.result()
            if callable(branch):
                branch = branch(AsyncContext(self.perform, self.info, self.state))
            return await branch
        except bodies.NOT_FAILURES:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return Failure(error)
        finally:
            _line.reset(token)


Action = Callable[[LoopTurn, Any], Awaitable[Any]]

ACTIONS: dict[type[effects.Effect], Action] = {
    effects.Barrier: LoopTurn._barrier,
    effects.Confirm: LoopTurn._confirm,
    effects.Invoke: LoopTurn._invoke,
    effects.Deliver: LoopTurn._deliver,
    effects.Query: LoopTurn._query,
    effects.Iterate: LoopTurn._iterate,
    effects.Branches: LoopTurn._branches,
    effects.TimerWait: LoopTurn._wait,
    effects.MessageWait: LoopTurn._wait,
    effects.ChildWait: LoopTurn._wait,
    effects.Stop: LoopTurn._wait,
}
