"""Turns of `async def` workflows: the function is a task on an event loop, and so are its branches.

Every asyncio task that a workflow starts gets a scope of its own from the task factory, so timing cannot swap results.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from django_workflows.authoring import commands
from django_workflows.authoring.context import AsyncChildHandle, AsyncContext, AsyncToken
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.database import forks
from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.branches import Failure, close
from django_workflows.engine.handlers.contexts import awaited_in, own_context
from django_workflows.engine.handlers.table import procedure_for
from django_workflows.engine.history.journal import Scope, branch_prefix
from django_workflows.engine.runners import completion, task_scopes, unwinding
from django_workflows.engine.runners.acting import ActingTurn
from django_workflows.engine.turn import effects
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked

logger = logging.getLogger("django_workflows")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _be_heard(task: asyncio.Task[Any]) -> None:
    """When several branches unwind, one of them tells; asyncio need not complain that nobody has asked the others."""
    if not task.cancelled():
        task.exception()


class LoopTurn(ActingTurn):
    """A turn whose function is a task on the running loop."""

    async def run(self) -> Ending | None:
        """Run the workflow's coroutine; how the turn ends, or None when the claim was lost."""
        if (ending := completion.expired(self)) is not None:
            return ending
        try:
            args, kwargs = completion.arguments_of(self)
            value = await self._run_main(
                self.definition.fn(AsyncContext(self.perform, self.info, self.state), *args, **kwargs)
            )
            self._tell_of_forgotten()
            return await self._conclude(lambda: completion.after_return(self, value))
        except NonDeterminism as mismatch:
            self.mismatch = self.mismatch or mismatch
            return await self._conclude(lambda: completion.after_unwinding(self))
        except ControlFlow:
            await self.end_tasks()
            return await self._conclude(lambda: completion.after_unwinding(self))
        except asyncio.CancelledError as cancelled:
            if self.unwinding:
                await self.end_tasks()
                return await self._conclude(lambda: completion.after_unwinding(self))
            if _is_being_cancelled():
                raise
            own = cancelled  # the function awaited a task that it had cancelled itself
            return await self._conclude(lambda: completion.after_error(self, own))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:
            error = raised
            return await self._conclude(lambda: completion.after_error(self, error))
        finally:
            self.unwinding = self.has_ended = True
            if self.timer is not None:
                self.timer.cancel()  # it would keep this turn in memory for as long as a day
            await self.end_tasks()

    async def _run_main(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The function in a task of its own, so that unwinding can cancel it and this one goes on."""
        context = own_context()
        context.run(task_scopes.current.set, (self, Scope()))
        self.main = asyncio.Task(coroutine, loop=self.loop, context=context)
        try:
            with forks.guard:
                return await self.main
        except asyncio.CancelledError:
            self.main.cancel()
            raise

    async def _conclude(self, decide: Callable[[], Ending | None]) -> Ending | None:
        """Endings may look into the database when the code does not match the journal."""
        try:
            if self.mismatch is None:
                return decide()
        except NonDeterminism as mismatch:
            self.mismatch = mismatch
        self.unwinding = True
        ending: Ending | None = await self.host.call_in_thread(partial(completion.after_unwinding, self))
        return ending

    # acting out commands

    def perform(self, command: commands.Command) -> Awaitable[Any]:
        """Carry out one call of `ctx`; its place in the journal is fixed now, the rest happens when it is awaited."""
        current = task_scopes.current.get()
        if self.unwinding and unwinding.is_hopeless(self):
            return self._stall()
        self._check_usable(current)
        assert current is not None
        scope = current[1]
        key = scope.next_key()
        self.calls += 1
        try:
            procedure = procedure_for(self, scope.prefix, key, command)
        except NonDeterminism as mismatch:
            self.unwind(mismatch)
            raise
        call = self.called[key] = self._carry_out(key, command, procedure)
        return call

    async def _carry_out(self, key: str, command: commands.Command, procedure: Any) -> Any:
        del self.called[key]
        try:
            answer = await self._drive(procedure)
        except NonDeterminism as mismatch:
            self.unwind(mismatch)
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

    def _tell_of_forgotten(self) -> None:
        """A call that nobody has awaited did nothing, which Python tells late, and without the name of the workflow."""
        in_tasks = {id(task.get_coro()) for task in self.tasks}
        forgotten: list[Any] = [
            call
            for call in self.called.values()
            if inspect.getcoroutinestate(call) == inspect.CORO_CREATED and id(call) not in in_tasks
        ]
        for call in forgotten:
            command: commands.Command = call.cr_frame.f_locals["command"]
            call.__qualname__ = f"ctx call ({command.kind or type(command).__name__.lower()} {command.name!r})"
            logger.warning(
                "Workflow %s (%s) has returned without awaiting a call of ctx, so that nothing came of it: %s. Write "
                "`await ctx.…`.",
                self.claimed.workflow,
                self.claimed.id,
                f"{command.kind or type(command).__name__.lower()} {command.name}".strip(),
            )

    def _check_usable(self, current: task_scopes.TaskScope | None) -> None:
        if forks.is_copy():
            raise ContextMisuse(invocation.IN_A_COPY)
        if self.has_ended:
            unwinding.count(self)
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if current is None or current[0] is not self:
            raise ContextMisuse("ctx cannot be used inside a step, nor from another thread or workflow.")
        if self.unwinding or (self._closed and self.is_closed(current[1].prefix)):
            unwinding.count(self)
            raise Abandoned if self.abandoned else Parked

    async def _stall(self) -> None:
        """Slows a function that catches BaseException in a loop, which would stop all others on this event loop."""
        await asyncio.sleep(1)
        raise Parked

    # loops and branches

    async def _iterate(self, effect: effects.Iterate) -> Any:
        return await awaited_in(own_context(), self._run_iteration(effect))

    async def _run_iteration(self, effect: effects.Iterate) -> Any:
        task_scopes.current.set((self, Scope(effect.prefix)))
        return await effect.body(AsyncContext(self.perform, self.info, self.state), *effect.args)

    async def _branches(self, effect: effects.Branches) -> Any:
        if effect.only is not None:
            for index, branch in enumerate(effect.branches):
                if index != effect.only and asyncio.iscoroutine(branch):
                    branch.close()
            return {effect.only: await awaited_in(own_context(), self._run_branch(effect, effect.only))}
        places = asyncio.Semaphore(effect.concurrency) if effect.concurrency else None
        tasks = [self._spawn(effect, index, places) for index in range(len(effect.branches))]
        if not tasks:
            return []
        if not effect.race:
            await asyncio.wait(tasks)
            return [task.result() for task in tasks]
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = min(tasks.index(task) for task in done)
        self.close_branches(effect.key, len(tasks), winner)
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        return winner, tasks[winner].result()

    def _spawn(self, effect: effects.Branches, index: int, places: asyncio.Semaphore | None) -> asyncio.Task[Any]:
        async def branch() -> Any:
            if places is None:
                return await self._run_branch(effect, index)
            async with places:
                return await self._run_branch(effect, index)

        self.is_spawning = True
        try:
            task = self.loop.create_task(branch(), context=own_context())
        finally:
            self.is_spawning = False
        self.adopt(task)
        task.add_done_callback(_be_heard)
        return task

    async def _run_branch(self, effect: effects.Branches, index: int) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        task_scopes.current.set((self, Scope(branch_prefix(effect.key, index))))
        try:
            if isinstance(branch, AsyncChildHandle):
                return await branch.result()
            if isinstance(branch, AsyncToken):
                return await branch.wait()
            if callable(branch):
                branch = branch(AsyncContext(self.perform, self.info, self.state))
            return await branch
        except invocation.NOT_FAILURES:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return Failure(error)


Action = Callable[[LoopTurn, Any], Awaitable[Any]]

ACTIONS: dict[type[effects.Effect], Action] = {
    effects.Barrier: LoopTurn.barrier,
    effects.Confirm: LoopTurn.confirm,
    effects.Invoke: LoopTurn.invoke,
    effects.Deliver: LoopTurn.deliver,
    effects.Query: LoopTurn.query,
    effects.Iterate: LoopTurn._iterate,
    effects.Branches: LoopTurn._branches,
    effects.TimerWait: LoopTurn.wait,
    effects.MessageWait: LoopTurn.wait,
    effects.ChildWait: LoopTurn.wait,
    effects.Stop: LoopTurn.wait,
}
