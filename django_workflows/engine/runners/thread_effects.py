"""What procedures of `def` workflows ask for, acted out in the thread that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_workflows.engine.handlers import invocation
from django_workflows.engine.handlers.contexts import in_context
from django_workflows.engine.runners.blocking import TurnThread, TurnThreads
from django_workflows.engine.runners.handoff import Handoff
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, Parked


class ThreadEffects:
    """Stores, invokes and waits for the threads of one turn."""

    def __init__(self, turn: Turn, threads: TurnThreads) -> None:
        self._turn, self._threads = turn, threads
        self._flags, self._pending = turn.flags, turn.pending
        self._storing: list[tuple[int, Handoff]] = []  # the numbers of writes that threads wait for

    def barrier(self, thread: TurnThread, effect: effects.Barrier) -> None:
        self._store(thread, but_certain=effect.but_certain)  # its receipt may be what tells of a pause
        if not self._flags.may_start:
            self.wait(thread, effects.Stop("", None))

    def confirm(self, thread: TurnThread, effect: effects.Confirm) -> bool:
        self._store(thread)
        if self._pending.was_stored(effect.entry_id):
            return True
        invocation.refresh(self._turn)
        return False

    def _store(self, thread: TurnThread, *, but_certain: bool = False) -> None:
        """Wait until all that was recorded is stored, or all but what is certain."""
        self._turn.publish_state()
        mark = self._pending.mark(but_certain=but_certain)
        if not self._pending.is_stored(mark):
            self._turn.committer.flush(self._turn)
            self._await_receipt(mark)
        if self._flags.abandoned:
            raise Abandoned
        if self._flags.unwinding or self._threads.is_closed(thread):
            raise Parked

    def _await_receipt(self, mark: int) -> None:
        with self._flags.lock:
            if self._pending.is_stored(mark) or self._flags.abandoned:
                return
            handoff = Handoff()
            self._storing.append((mark, handoff))
        handoff.wait()

    def answer_stored(self) -> None:
        """Let those threads go on whose writes are stored, or never will be. From any thread."""
        if not self._storing:
            return
        with self._flags.lock:
            waiting, self._storing = self._storing, []
            for mark, handoff in waiting:
                if self._pending.is_stored(mark) or self._flags.abandoned:
                    handoff.release()
                else:
                    self._storing.append((mark, handoff))

    def invoke(self, thread: TurnThread, effect: effects.Invoke) -> effects.Outcome:
        self._turn.bodies.enter(effect.entry)
        thread.in_body = True
        try:
            if effect.step.options.timeout is not None and not effect.step.is_async:
                return self._invoke_apart(effect)
            return invocation.call_sync(self._turn, effect, thread.transactions)
        finally:
            thread.in_body = False
            self._turn.bodies.leave(effect.entry.key)
            if self._threads.is_closed(thread):
                raise Parked

    def _invoke_apart(self, effect: effects.Invoke) -> effects.Outcome:
        """A `def` body cannot be stopped: it runs in a thread that is left behind when its time is up."""
        attempt = invocation.Attempt(self._turn, effect)
        self._threads.helpers.run_apart(in_context(attempt.run))
        return attempt.result(invocation.seconds_of(effect))

    def deliver(self, thread: TurnThread, effect: effects.Deliver) -> None:
        """Threads get their results when they have them."""

    def query(self, thread: TurnThread, effect: effects.Query) -> Any:
        return invocation.insist(self._turn, effect.fn)

    def wait(self, thread: TurnThread, wait: effects.Wait) -> Any:
        """Block while other threads of this turn go on; unwind when none does."""
        waits = self._turn.mailbox.waits
        with self._flags.lock:
            if (found := self._turn.mailbox.resolve(wait)) is not None and not self._flags.unwinding:
                return found
            waits[wait.key] = wait
            if thread.inline:
                thread.parked = True
                raise Parked
            self._turn.committer.note(self._turn)
            found = self._threads.wait_for(thread, wait)
            if self._flags.unwinding:
                raise Abandoned if self._flags.abandoned else Parked
            waits.pop(wait.key, None)
            if self._threads.is_closed(thread):
                raise Parked
            return found


ACTIONS: dict[type[effects.Effect], Callable[[ThreadEffects, TurnThread, Any], Any]] = {
    effects.Barrier: ThreadEffects.barrier,
    effects.Confirm: ThreadEffects.confirm,
    effects.Invoke: ThreadEffects.invoke,
    effects.Deliver: ThreadEffects.deliver,
    effects.Query: ThreadEffects.query,
    effects.TimerWait: ThreadEffects.wait,
    effects.MessageWait: ThreadEffects.wait,
    effects.ChildWait: ThreadEffects.wait,
    effects.Stop: ThreadEffects.wait,
}
