"""Runs `async def` workflows: the function is a task on an event loop, and so are its branches."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from django_workflows.authoring import commands
from django_workflows.authoring.context import AsyncChildHandle, AsyncContext, AsyncToken
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.database import forks
from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.branches import Failure, close
from django_workflows.engine.handlers.contexts import awaited_in, own_context
from django_workflows.engine.handlers.table import procedure_for
from django_workflows.engine.history.journal import Scope, branch_prefix
from django_workflows.engine.runners import completion, task_scopes, unwinding
from django_workflows.engine.runners.quiescence import Tasks
from django_workflows.engine.runners.task_effects import ACTIONS, Host, TaskEffects
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Committer, Turn
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked

logger = logging.getLogger("django_workflows")

CallSoon = Callable[[Callable[[], None]], object]


class LoopRunner:
    """Runs the function of one turn as a task of the running loop, and carries out the calls of its `ctx`."""

    def __init__(
        self,
        loaded: Loaded,
        definition: WorkflowDefinition[..., Any],
        *,
        clock: DatabaseClock,
        committer: Committer,
        alias: str,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        call_soon: CallSoon | None = None,
    ) -> None:
        self.turn = Turn(loaded, definition, clock=clock, committer=committer, alias=alias, runner=self)
        self._flags, self._host = self.turn.flags, host
        self._tasks = Tasks(self.turn, loop, call_soon or loop.call_soon_threadsafe)
        self._effects = TaskEffects(self.turn, self._tasks, host)
        self._unawaited: dict[str, Any] = {}  # calls of `ctx`, by key, that nobody has awaited yet

    async def run(self) -> Ending | None:
        """Run the workflow's coroutine; how the turn ends, or None when the claim was lost."""
        turn = self.turn
        if (ending := completion.expired(turn)) is not None:
            return ending
        try:
            args, kwargs = completion.arguments_of(turn)
            value = await self._tasks.run_main(turn.definition.fn(self._context(), *args, **kwargs))
            self._tell_of_forgotten()
            return await self._conclude(lambda: completion.after_return(turn, value))
        except NonDeterminism as mismatch:
            self._flags.mismatch = self._flags.mismatch or mismatch
            return await self._conclude(lambda: completion.after_unwinding(turn))
        except ControlFlow:
            await self._tasks.end_all()
            return await self._conclude(lambda: completion.after_unwinding(turn))
        except asyncio.CancelledError as cancelled:
            if self._flags.unwinding:
                await self._tasks.end_all()
                return await self._conclude(lambda: completion.after_unwinding(turn))
            if invocation.is_being_cancelled():
                raise
            own = cancelled  # the function awaited a task that it had cancelled itself
            return await self._conclude(lambda: completion.after_error(turn, own))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:
            error = raised
            return await self._conclude(lambda: completion.after_error(turn, error))
        finally:
            self._tasks.has_ended()
            await self._tasks.end_all()

    async def _conclude(self, decide: Callable[[], Ending | None]) -> Ending | None:
        """Endings may look into the database when the code does not match the journal."""
        try:
            if self._flags.mismatch is None:
                return decide()
        except NonDeterminism as mismatch:
            self._flags.mismatch = mismatch
        self._flags.unwinding = True
        ending: Ending | None = await self._host.call_in_thread(partial(completion.after_unwinding, self.turn))
        return ending

    def has_changed(self) -> None:
        self._tasks.has_changed()

    def unwind(self) -> None:
        self._tasks.unwind()

    def _context(self) -> AsyncContext:
        return AsyncContext(self._perform, self.turn.info, self.turn.state)

    # calls of `ctx`

    def _perform(self, command: commands.Command) -> Awaitable[Any]:
        """Carry out one call of `ctx`; its place in the journal is fixed now, the rest happens when it is awaited."""
        mine = task_scopes.current.get()
        if self._flags.unwinding and unwinding.is_hopeless(self.turn):
            return self._stall()
        self._check_usable(mine)
        assert mine is not None
        scope = mine[1]
        key = scope.next_key()
        self._tasks.called()
        try:
            procedure = procedure_for(self.turn, scope.prefix, key, command)
        except NonDeterminism as mismatch:
            self._tasks.unwind(mismatch)
            raise
        call = self._unawaited[key] = self._carry_out(key, command, procedure)
        return call

    async def _carry_out(self, key: str, command: commands.Command, procedure: Any) -> Any:
        del self._unawaited[key]
        try:
            answer = await self._drive(procedure)
        except NonDeterminism as mismatch:
            self._tasks.unwind(mismatch)
            raise
        except asyncio.CancelledError:
            entry = self.turn.journal.get(key)
            if not self._flags.unwinding and isinstance(command, commands.StartChild) and entry and not entry.is_final:
                close(self.turn, entry)  # it lost a race: nobody waits for this child any more
            raise
        if isinstance(command, commands.StartChild) and not command.wait:
            return AsyncChildHandle(self._perform, key, answer.child_id)
        return answer

    async def _drive(self, procedure: Any) -> Any:
        """Act out what the procedure asks for, one effect after the other."""
        send, answer = procedure.send, None
        while True:
            try:
                effect = send(answer)
            except StopIteration as stop:
                return stop.value
            try:
                answer, send = await self._act(effect), procedure.send
            except BaseException as error:
                answer, send = error, procedure.throw

    def _act(self, effect: effects.Effect) -> Awaitable[Any]:
        if (action := ACTIONS.get(type(effect))) is not None:
            return action(self._effects, effect)
        return CALLS[type(effect)](self, effect)

    def _tell_of_forgotten(self) -> None:
        """A call that nobody has awaited did nothing, which Python tells late, and without the name of the workflow."""
        in_tasks = {id(task.get_coro()) for task in self._tasks.running}
        forgotten: list[Any] = [
            call
            for call in self._unawaited.values()
            if inspect.getcoroutinestate(call) == inspect.CORO_CREATED and id(call) not in in_tasks
        ]
        for call in forgotten:
            command: commands.Command = call.cr_frame.f_locals["command"]
            call.__qualname__ = f"ctx call ({command.kind or type(command).__name__.lower()} {command.name!r})"
            logger.warning(
                "Workflow %s (%s) has returned without awaiting a call of ctx, so that nothing came of it: %s. Write "
                "`await ctx.…`.",
                self.turn.claimed.workflow,
                self.turn.claimed.id,
                f"{command.kind or type(command).__name__.lower()} {command.name}".strip(),
            )

    def _check_usable(self, mine: task_scopes.TaskScope | None) -> None:
        if forks.is_copy():
            raise ContextMisuse(invocation.IN_A_COPY)
        if self._flags.has_ended:
            unwinding.count(self.turn)
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if mine is None or mine[0] is not self._tasks:
            raise ContextMisuse("ctx cannot be used inside a step, nor from another thread or workflow.")
        if self._flags.unwinding or self.turn.mailbox.is_closed(mine[1].prefix):
            unwinding.count(self.turn)
            raise Abandoned if self._flags.abandoned else Parked

    async def _stall(self) -> None:
        """Slows a function that catches BaseException in a loop, which would stop all others on this event loop."""
        await asyncio.sleep(1)
        raise Parked

    # effects that call the workflow's code

    async def _iterate(self, effect: effects.Iterate) -> Any:
        return await awaited_in(own_context(), self._run_iteration(effect))

    async def _run_iteration(self, effect: effects.Iterate) -> Any:
        task_scopes.current.set((self._tasks, Scope(effect.prefix)))
        return await effect.body(self._context(), *effect.args)

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
        self.turn.close_branches(effect.key, len(tasks), winner)
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

        self._tasks.is_spawning = True
        try:
            task = self._tasks.loop.create_task(branch(), context=own_context())
        finally:
            self._tasks.is_spawning = False
        self._tasks.adopt(task)
        task.add_done_callback(_look_at_error)
        return task

    async def _run_branch(self, effect: effects.Branches, index: int) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        task_scopes.current.set((self._tasks, Scope(branch_prefix(effect.key, index))))
        try:
            if isinstance(branch, AsyncChildHandle):
                return await branch.result()
            if isinstance(branch, AsyncToken):
                return await branch.wait()
            if callable(branch):
                branch = branch(self._context())
            return await branch
        except invocation.NOT_FAILURES:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return Failure(error)


def _look_at_error(task: asyncio.Task[Any]) -> None:
    """When several branches unwind, one of them tells; asyncio need not complain that nobody has asked the others."""
    if not task.cancelled():
        task.exception()


CALLS: dict[type[effects.Effect], Callable[[LoopRunner, Any], Awaitable[Any]]] = {
    effects.Iterate: LoopRunner._iterate,
    effects.Branches: LoopRunner._branches,
}
