"""Turns of `def` workflows: the function runs in a thread, its parallel branches in further ones.

`ThreadTurn` acts out the effects that procedures yield.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django_workflows.authoring import commands
from django_workflows.authoring.context import ChildHandle, Context, Token
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.database import forks, user_transactions
from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.branches import Failure
from django_workflows.engine.handlers.contexts import in_context, own_context
from django_workflows.engine.handlers.table import procedure_for
from django_workflows.engine.history.journal import Scope, branch_prefix
from django_workflows.engine.runners import completion, unwinding
from django_workflows.engine.runners.blocking import BlockingTurn, TurnThread
from django_workflows.engine.runners.branch_threads import BranchThreads
from django_workflows.engine.runners.handoff import Handoff
from django_workflows.engine.turn import effects
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked


class ThreadTurn(BlockingTurn):
    """A turn whose function runs in the calling thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._storing: list[tuple[int, Handoff]] = []  # the numbers of writes that threads wait for

    def run(self) -> Ending | None:
        """Call the workflow's function; how the turn ends, or None when the claim was lost."""
        if (ending := completion.expired(self)) is not None:
            return ending
        try:
            args, kwargs = completion.arguments_of(self)
            thread = TurnThread(Scope(), inline=False)
            with forks.guard:
                value = own_context().run(self.definition.fn, self.context(thread), *args, **kwargs)
            user_transactions.close_left_open(thread.transactions)
            return completion.after_return(self, value)
        except NonDeterminism as mismatch:
            self.mismatch = self.mismatch or mismatch
            return completion.after_unwinding(self)
        except ControlFlow:
            return completion.after_unwinding(self)
        except invocation.NOT_FAILURES:
            raise
        except BaseException as error:
            return completion.after_error(self, error)
        finally:
            with self.lock:
                self.unwinding = self.has_ended = True
                self.changed.notify_all()

    def context(self, thread: TurnThread) -> Context:
        return Context(partial(self.perform, thread), self.info, self.state)

    # acting out commands

    def perform(self, thread: TurnThread, command: commands.Command) -> Any:
        """Carry out one call of `ctx`."""
        self.fall_back()
        self._check_usable(thread)
        key = thread.scope.next_key()
        try:
            answer = self._drive(thread, procedure_for(self, thread.scope.prefix, key, command))
        except NonDeterminism as mismatch:
            self.unwind(mismatch)
            raise
        if isinstance(command, commands.StartChild) and not command.wait:
            return ChildHandle(partial(self.perform, thread), key, answer.child_id)
        return answer

    def _drive(self, thread: TurnThread, procedure: Any) -> Any:
        send, answer = procedure.send, None
        while True:
            try:
                effect = send(answer)
            except StopIteration as stop:
                return stop.value
            try:
                answer, send = ACTIONS[type(effect)](self, thread, effect), procedure.send
            except BaseException as error:
                answer, send = error, procedure.throw

    def _check_usable(self, thread: TurnThread) -> None:
        if forks.is_copy():
            raise ContextMisuse(invocation.IN_A_COPY)
        if self.has_ended:
            self._insist_on_the_end()
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if threading.get_ident() != thread.thread:
            raise ContextMisuse(
                "ctx belongs to the thread of its workflow or branch; give each branch its own: ctx.gather."
            )
        if thread.in_body:
            raise ContextMisuse("ctx cannot be used inside a step; call ctx from the workflow function.")
        if self.unwinding or thread.parked or self.is_thread_closed(thread):
            self._insist_on_the_end()
            raise Abandoned if self.abandoned else Parked
        if user_transactions.open_now() != thread.transactions:
            raise ContextMisuse(
                "ctx cannot be used inside a transaction, which would hold together nothing that it does. Write to "
                "the database in steps: @step(atomic=True) is a transaction with its result."
            )

    def _insist_on_the_end(self) -> None:
        with self.lock:
            unwinding.count(self)
        if unwinding.is_hopeless(self):
            time.sleep(1)

    # acting out effects

    def _barrier(self, thread: TurnThread, effect: effects.Barrier) -> None:
        self._store(thread, but_certain=effect.but_certain)  # its receipt may be what tells of a pause
        if not self.may_start:
            self._wait(thread, effects.Stop("", None))

    def _confirm(self, thread: TurnThread, effect: effects.Confirm) -> bool:
        self._store(thread)
        if self.was_stored(effect.entry_id):
            return True
        invocation.refresh(self)
        return False

    def _store(self, thread: TurnThread, *, but_certain: bool = False) -> None:
        """Wait until all that was recorded is stored, or all but what is certain."""
        self.publish_state()
        mark = self.mark(but_certain=but_certain)
        if not self.is_stored(mark):
            self.committer.flush(self)
            self._await_receipt(mark)
        if self.abandoned:
            raise Abandoned
        if self.unwinding or self.is_thread_closed(thread):
            raise Parked

    def _await_receipt(self, mark: int) -> None:
        with self.lock:
            if self.is_stored(mark) or self.abandoned:
                return
            handoff = Handoff()
            self._storing.append((mark, handoff))
        handoff.wait()

    def wake(self) -> None:
        """Let those go on whose writes are stored, or never will be."""
        if not self._storing:
            return
        with self.lock:
            waiting, self._storing = self._storing, []
            for mark, handoff in waiting:
                if self.is_stored(mark) or self.abandoned:
                    handoff.release()
                else:
                    self._storing.append((mark, handoff))

    def _invoke(self, thread: TurnThread, effect: effects.Invoke) -> effects.Outcome:
        self.enter(effect.entry)
        thread.in_body = True
        try:
            if effect.step.options.timeout is not None and not effect.step.is_async:
                return self._invoke_apart(effect)
            return invocation.call_sync(self, effect, thread.transactions)
        finally:
            thread.in_body = False
            self.leave(effect.entry.key)
            if self.is_thread_closed(thread):
                raise Parked

    def _invoke_apart(self, effect: effects.Invoke) -> effects.Outcome:
        """A `def` body cannot be stopped: it runs in a thread that is left behind when its time is up."""
        attempt = invocation.Attempt(self, effect)
        self.helpers.run_apart(in_context(attempt.run))
        return attempt.result(invocation.seconds_of(effect))

    def _deliver(self, thread: TurnThread, effect: effects.Deliver) -> None:
        """Threads get their results when they have them."""

    def _query(self, thread: TurnThread, effect: effects.Query) -> Any:
        return invocation.insist(self, effect.fn)

    def _iterate(self, thread: TurnThread, effect: effects.Iterate) -> Any:
        inner = TurnThread(Scope(effect.prefix), inline=thread.inline)
        return _plain(own_context().run(effect.body, self.context(inner), *effect.args))

    # waiting

    def _wait(self, thread: TurnThread, wait: effects.Wait) -> Any:
        """Block while other threads of this turn go on; unwind when none does."""
        with self.lock:
            if (found := self.resolve(wait)) is not None and not self.unwinding:
                return found
            self.waits[wait.key] = wait
            if thread.inline:
                thread.parked = True
                raise Parked
            self.committer.note(self)
            self.blocked[wait.key] = wait
            found = self.block(
                lambda: self.is_thread_closed(thread) or self.resolve(wait) or None, partial(self.seconds_until, wait)
            )
            del self.blocked[wait.key]
            if self.unwinding:
                raise Abandoned if self.abandoned else Parked
            self.waits.pop(wait.key, None)
            if self.is_thread_closed(thread):
                raise Parked
            return found

    # branches

    def _branches(self, thread: TurnThread, effect: effects.Branches) -> Any:
        if effect.only is not None:
            return {effect.only: self._run_branch(thread, effect, effect.only, thread.inline)}
        group = BranchThreads(self, thread, effect, self._run_branch)
        with self.lock:
            self.groups.append(group)
        try:
            return group.work()
        finally:
            with self.lock:
                self.groups.remove(group)

    def _run_branch(self, thread: TurnThread, effect: effects.Branches, index: int, inline: bool) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        inner = TurnThread(Scope(branch_prefix(effect.key, index)), inline=inline)
        try:
            if isinstance(branch, ChildHandle):
                return self.perform(inner, commands.WaitForChild("", branch._key))
            if isinstance(branch, Token):
                return self.perform(inner, commands.WaitForToken("", branch._key))
            with forks.guard:
                value = _plain(own_context().run(branch, self.context(inner)))
            user_transactions.close_left_open(inner.transactions)
            return value
        except invocation.NOT_FAILURES:
            self.fall_back()
            raise
        except BaseException as error:
            return Failure(error)


def _plain(value: Any) -> Any:
    """What a branch or a body returned, unless it is a mistake that would go unnoticed."""
    if inspect.iscoroutine(value):
        value.close()
        raise ContextMisuse("A branch, or a body of a loop, is `async def` in a plain workflow: declare both alike.")
    return value


Action = Callable[[ThreadTurn, TurnThread, Any], Any]

ACTIONS: dict[type[effects.Effect], Action] = {
    effects.Barrier: ThreadTurn._barrier,
    effects.Confirm: ThreadTurn._confirm,
    effects.Invoke: ThreadTurn._invoke,
    effects.Deliver: ThreadTurn._deliver,
    effects.Query: ThreadTurn._query,
    effects.Iterate: ThreadTurn._iterate,
    effects.Branches: ThreadTurn._branches,
    effects.TimerWait: ThreadTurn._wait,
    effects.MessageWait: ThreadTurn._wait,
    effects.ChildWait: ThreadTurn._wait,
    effects.Stop: ThreadTurn._wait,
}
