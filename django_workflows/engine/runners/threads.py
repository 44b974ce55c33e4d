"""Runs `def` workflows: the function in the calling thread, its parallel branches in further ones."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django_workflows.authoring import commands
from django_workflows.authoring.context import ChildHandle, Context, Token
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.database import forks, user_transactions
from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.branches import Failure
from django_workflows.engine.handlers.contexts import own_context
from django_workflows.engine.handlers.table import procedure_for
from django_workflows.engine.history.journal import Scope, branch_prefix
from django_workflows.engine.runners import completion, unwinding
from django_workflows.engine.runners.blocking import Helpers, TurnThread, TurnThreads
from django_workflows.engine.runners.branch_threads import BranchThreads
from django_workflows.engine.runners.thread_effects import ACTIONS, ThreadEffects
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Committer, Turn
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked


class ThreadRunner:
    """Runs the function of one turn in the thread that calls `run()`, and carries out the calls of its `ctx`."""

    def __init__(
        self,
        loaded: Loaded,
        definition: WorkflowDefinition[..., Any],
        *,
        clock: DatabaseClock,
        committer: Committer,
        alias: str,
        helpers: Helpers,
    ) -> None:
        self.turn = Turn(loaded, definition, clock=clock, committer=committer, alias=alias, runner=self)
        self._flags = self.turn.flags
        self._threads = TurnThreads(self.turn, helpers)
        self._effects = ThreadEffects(self.turn, self._threads)

    def run(self) -> Ending | None:
        """Call the workflow's function; how the turn ends, or None when the claim was lost."""
        turn = self.turn
        if (ending := completion.expired(turn)) is not None:
            return ending
        try:
            args, kwargs = completion.arguments_of(turn)
            thread = TurnThread(Scope(), inline=False)
            with forks.guard:
                value = own_context().run(turn.definition.fn, self._context(thread), *args, **kwargs)
            user_transactions.close_left_open(thread.transactions)
            return completion.after_return(turn, value)
        except NonDeterminism as mismatch:
            self._flags.mismatch = self._flags.mismatch or mismatch
            return completion.after_unwinding(turn)
        except ControlFlow:
            return completion.after_unwinding(turn)
        except invocation.NOT_FAILURES:
            raise
        except BaseException as error:
            return completion.after_error(turn, error)
        finally:
            self._flags.end()

    def has_changed(self) -> None:
        self._effects.answer_stored()

    def unwind(self) -> None:
        self._flags.unwind()

    def _context(self, thread: TurnThread) -> Context:
        return Context(partial(self._perform, thread), self.turn.info, self.turn.state)

    # calls of `ctx`

    def _perform(self, thread: TurnThread, command: commands.Command) -> Any:
        """Carry out one call of `ctx`."""
        self.turn.fall_back()
        self._check_usable(thread)
        key = thread.scope.next_key()
        try:
            answer = self._drive(thread, procedure_for(self.turn, thread.scope.prefix, key, command))
        except NonDeterminism as mismatch:
            self._flags.unwind(mismatch)
            raise
        if isinstance(command, commands.StartChild) and not command.wait:
            return ChildHandle(partial(self._perform, thread), key, answer.child_id)
        return answer

    def _drive(self, thread: TurnThread, procedure: Any) -> Any:
        """Act out what the procedure asks for, one effect after the other."""
        send, answer = procedure.send, None
        while True:
            try:
                effect = send(answer)
            except StopIteration as stop:
                return stop.value
            try:
                answer, send = self._act(thread, effect), procedure.send
            except BaseException as error:
                answer, send = error, procedure.throw

    def _act(self, thread: TurnThread, effect: effects.Effect) -> Any:
        if (action := ACTIONS.get(type(effect))) is not None:
            return action(self._effects, thread, effect)
        return CALLS[type(effect)](self, thread, effect)

    def _check_usable(self, thread: TurnThread) -> None:
        if forks.is_copy():
            raise ContextMisuse(invocation.IN_A_COPY)
        if self._flags.has_ended:
            self._insist_on_the_end()
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if threading.get_ident() != thread.ident:
            raise ContextMisuse(
                "ctx belongs to the thread of its workflow or branch; give each branch its own: ctx.gather."
            )
        if thread.in_body:
            raise ContextMisuse("ctx cannot be used inside a step; call ctx from the workflow function.")
        if self._flags.unwinding or thread.parked or self._threads.is_closed(thread):
            self._insist_on_the_end()
            raise Abandoned if self._flags.abandoned else Parked
        if user_transactions.open_now() != thread.transactions:
            raise ContextMisuse(
                "ctx cannot be used inside a transaction, which would hold together nothing that it does. Write to "
                "the database in steps: @step(atomic=True) is a transaction with its result."
            )

    def _insist_on_the_end(self) -> None:
        with self._flags.lock:
            unwinding.count(self.turn)
        if unwinding.is_hopeless(self.turn):
            time.sleep(1)

    # effects that call the workflow's code

    def _iterate(self, thread: TurnThread, effect: effects.Iterate) -> Any:
        inner = TurnThread(Scope(effect.prefix), inline=thread.inline)
        return _plain(own_context().run(effect.body, self._context(inner), *effect.args))

    def _branches(self, thread: TurnThread, effect: effects.Branches) -> Any:
        if effect.only is not None:
            return {effect.only: self._run_branch(thread, effect, effect.only, thread.inline)}
        return BranchThreads(self.turn, self._threads, thread, effect, self._run_branch).work()

    def _run_branch(self, thread: TurnThread, effect: effects.Branches, index: int, inline: bool) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        inner = TurnThread(Scope(branch_prefix(effect.key, index)), inline=inline)
        try:
            if isinstance(branch, ChildHandle):
                return self._perform(inner, commands.WaitForChild("", branch._key))
            if isinstance(branch, Token):
                return self._perform(inner, commands.WaitForToken("", branch._key))
            with forks.guard:
                value = _plain(own_context().run(branch, self._context(inner)))
            user_transactions.close_left_open(inner.transactions)
            return value
        except invocation.NOT_FAILURES:
            self.turn.fall_back()
            raise
        except BaseException as error:
            return Failure(error)


def _plain(value: Any) -> Any:
    """What a branch or a body returned, unless it is a mistake that would go unnoticed."""
    if inspect.iscoroutine(value):
        value.close()
        raise ContextMisuse("A branch, or a body of a loop, is `async def` in a plain workflow: declare both alike.")
    return value


CALLS: dict[type[effects.Effect], Callable[[ThreadRunner, TurnThread, Any], Any]] = {
    effects.Iterate: ThreadRunner._iterate,
    effects.Branches: ThreadRunner._branches,
}
