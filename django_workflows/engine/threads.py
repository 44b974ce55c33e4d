"""Turns of `def` workflows: the function runs in a thread, its parallel branches in further ones.

`ThreadTurn` acts out the effects that procedures yield. Who may go on is counted in `_active`: the threads of this turn
that are not waiting. When none is left and no wait has come to anything, the turn unwinds and the execution is parked.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from django_workflows.authoring import commands
from django_workflows.authoring.context import ChildHandle, Context
from django_workflows.engine import bodies, effects, endings, swallowing, transactions
from django_workflows.engine.branching import Failure
from django_workflows.engine.journal import Entry, Scope, branch_prefix
from django_workflows.engine.loading import Unread
from django_workflows.engine.procedures import procedure_for
from django_workflows.engine.turn import Turn
from django_workflows.engine.writes import Ending, Write
from django_workflows.exceptions import Abandoned, ContextMisuse, ControlFlow, NonDeterminism, Parked


class Helpers(Protocol):
    """Where a turn gets further threads: for branches, and for bodies that have a timeout."""

    def try_branch(self, fn: Callable[[], None]) -> bool:
        """Run `fn` in a branch thread, unless none is free."""

    def run_apart(self, fn: Callable[[], None]) -> None:
        """Run `fn` in a thread that may be left behind."""


class Lane:
    """One line of control: its scope, its thread, and whether it unwinds at waits because others need its thread."""

    __slots__ = ("in_body", "inline", "parked", "scope", "thread", "transactions")

    def __init__(self, scope: Scope, *, inline: bool) -> None:
        self.scope, self.inline = scope, inline
        self.thread = threading.get_ident()
        self.transactions = transactions.open_now()  # in EAGER and in tests there may be some around it all
        self.in_body = self.parked = False


class ThreadTurn(Turn):
    """A turn whose function runs in the calling thread."""

    helpers: Helpers

    def __init__(self, *args: Any, helpers: Helpers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helpers = helpers
        self._active = 1
        self._blocked: dict[str, effects.Wait] = {}  # waits that a thread sits in
        self._crews: list[Crew] = []
        self._ahead: int | None = None  # the thread that has got a message in a race: no other branch gets before it
        self._was_held_back = False  # a write, because of that

    def run(self) -> Ending | None:
        """Call the workflow's function; how the turn ends, or None when the claim was lost."""
        if (ending := endings.expired(self)) is not None:
            return ending
        try:
            args, kwargs = endings.arguments_of(self)
            lane = Lane(Scope(), inline=False)
            value = self.definition.fn(self.context(lane), *args, **kwargs)
            transactions.close_left_open(lane.transactions)
            return endings.after_return(self, value)
        except NonDeterminism as mismatch:
            self.mismatch = self.mismatch or mismatch
            return endings.after_unwinding(self)
        except ControlFlow:
            return endings.after_unwinding(self)
        except bodies.NOT_FAILURES:
            raise
        except BaseException as error:
            return endings.after_error(self, error)
        finally:
            with self.changed:
                self.unwinding = self.has_ended = True
                self.changed.notify_all()

    def context(self, lane: Lane) -> Context:
        return Context(partial(self.perform, lane), self.info, self.state)

    # acting out commands

    def perform(self, lane: Lane, command: commands.Command) -> Any:
        """Carry out one call of `ctx`."""
        self.fall_back()
        self._check_usable(lane)
        key = lane.scope.next_key()
        try:
            answer = self._drive(lane, procedure_for(self, lane.scope.prefix, key, command))
        except NonDeterminism as mismatch:
            self._unwind(mismatch)
            raise
        if isinstance(command, commands.StartChild) and not command.wait:
            return ChildHandle(partial(self.perform, lane), key, answer.child_id)
        return answer

    def _drive(self, lane: Lane, procedure: Any) -> Any:
        send, answer = procedure.send, None
        while True:
            try:
                effect = send(answer)
            except StopIteration as stop:
                return stop.value
            try:
                answer, send = ACTIONS[type(effect)](self, lane, effect), procedure.send
            except BaseException as error:
                answer, send = error, procedure.throw

    def _check_usable(self, lane: Lane) -> None:
        if self.has_ended:
            raise ContextMisuse("ctx was used after its turn had ended; do not keep it.")
        if threading.get_ident() != lane.thread:
            raise ContextMisuse(
                "ctx belongs to the thread of its workflow or branch; give each branch its own: ctx.gather."
            )
        if lane.in_body:
            raise ContextMisuse("ctx cannot be used inside a step; call ctx from the workflow function.")
        if self.unwinding or lane.parked or self._is_closed(lane):
            with self.changed:
                swallowing.count(self)
            if swallowing.is_hopeless(self):
                time.sleep(1)
            raise Abandoned if self.abandoned else Parked
        if transactions.open_now() != lane.transactions:
            raise ContextMisuse(
                "ctx cannot be used inside a transaction, which would hold together nothing that it does. Write to "
                "the database in steps: @step(atomic=True) is a transaction with its result."
            )

    def _is_closed(self, lane: Lane) -> bool:
        return bool(self._closed) and self.is_closed(lane.scope.prefix)

    def _unwind(self, mismatch: NonDeterminism | None = None) -> None:
        with self.changed:
            self.mismatch = self.mismatch or mismatch
            self.unwinding = True
            self.changed.notify_all()

    # acting out effects

    def _barrier(self, lane: Lane, effect: effects.Barrier) -> None:
        self._store(lane)  # its receipt may be what tells of a pause
        if not self.may_start:
            self._wait(lane, effects.Stop("", None))

    def _confirm(self, lane: Lane, effect: effects.Confirm) -> bool:
        self._store(lane)
        if self.was_stored(effect.entry_id):
            return True
        bodies.refresh(self)
        return False

    def _store(self, lane: Lane) -> None:
        """Wait until all that was recorded is stored."""
        self.publish_state()
        mark = self.mark
        if not self.is_stored(mark):
            self.committer.flush(self)
            with self.changed:
                while not self.is_stored(mark) and not self.abandoned:
                    self.changed.wait()
        if self.abandoned:
            raise Abandoned
        if self.unwinding or self._is_closed(lane):
            raise Parked

    def _invoke(self, lane: Lane, effect: effects.Invoke) -> effects.Outcome:
        self.enter(effect.entry)
        lane.in_body = True
        try:
            if effect.step.options.timeout is not None and not effect.step.is_async:
                return self._invoke_apart(effect)
            return bodies.call_sync(self, effect, lane.transactions)
        finally:
            lane.in_body = False
            self.leave(effect.entry.key)
            if self._is_closed(lane):
                raise Parked

    def _invoke_apart(self, effect: effects.Invoke) -> effects.Outcome:
        """A `def` body cannot be stopped: it runs in a thread that is left behind when its time is up."""
        attempt = bodies.Attempt(self, effect)
        self.helpers.run_apart(bodies.in_context(attempt.run))
        return attempt.result(bodies.seconds_of(effect))

    def _deliver(self, lane: Lane, effect: effects.Deliver) -> None:
        """Threads get their results when they have them."""

    def _query(self, lane: Lane, effect: effects.Query) -> Any:
        return bodies.insist(self, effect.fn)

    def _iterate(self, lane: Lane, effect: effects.Iterate) -> Any:
        inner = Lane(Scope(effect.prefix), inline=lane.inline)
        return _plain(effect.body(self.context(inner), *effect.args))

    # waiting

    def _wait(self, lane: Lane, wait: effects.Wait) -> Any:
        """Block while other threads of this turn go on; unwind when none does."""
        with self.changed:
            if (found := self.resolve(wait)) is not None and not self.unwinding:
                return found
            self.waits[wait.key] = wait
            if lane.inline:
                lane.parked = True
                raise Parked
            self.committer.note(self)
            self._blocked[wait.key] = wait
            found = self._block(
                lambda: self._is_closed(lane) or self.resolve(wait) or None, partial(self._seconds_until, wait)
            )
            del self._blocked[wait.key]
            if self.unwinding:
                raise Abandoned if self.abandoned else Parked
            self.waits.pop(wait.key, None)
            if self._is_closed(lane):
                raise Parked
            return found

    def _seconds_until(self, wait: effects.Wait) -> float | None:
        return None if wait.deadline is None else max((wait.deadline - self.at_least()).total_seconds(), 0.001)

    def _block(self, ready: Callable[[], Any], seconds: Callable[[], float | None]) -> Any:
        """Give up activity until `ready()` is not None; the last active thread makes the turn unwind."""
        self._active -= 1
        try:
            while True:
                if self.unwinding:
                    return None
                if (found := ready()) is not None:
                    return found
                if self._active == 0 and not self._something_is_ready():
                    self._unwind()
                    return None
                self.changed.wait(seconds())
        finally:
            self._active += 1

    def _something_is_ready(self) -> bool:
        """Whether another blocked thread is about to go on."""
        resolved = any(self.resolve(wait) is not None for wait in self._blocked.values())
        return resolved or any(crew.is_ready for crew in self._crews)

    # races: who has got its message comes to its next call, or wins, before any other branch gets something or wins.
    # Otherwise the message of a loser would be consumed, and nobody would have it.

    def take(self, entry: Entry, unread: Unread, text: str) -> Entry | None:
        with self.changed:
            self.let_pass()
            taken = super().take(entry, unread, text)
            if taken is not None and any(crew.is_race_around(entry.key) for crew in self._crews):
                self._ahead = threading.get_ident()
            return taken

    def let_pass(self) -> None:
        """Wait for the branch that is ahead."""
        while self._ahead not in {None, threading.get_ident()} and not self.unwinding:
            self.changed.wait()

    def fall_back(self, to: int | None = None) -> None:
        """This thread is ahead no more: another is, or nobody."""
        if self._ahead is None or self._ahead != threading.get_ident():
            return
        with self.changed:
            self._ahead = to
            if to is None:
                self.changed.notify_all()
        if to is None and self._was_held_back:
            self._was_held_back = False
            self.committer.flush(self)

    def take_write(self) -> Write | None:
        """Not between a message and the race that it decides: a replay might let another branch win."""
        with self.changed:
            self._was_held_back = self._ahead is not None and not self.unwinding
            return None if self._was_held_back else super().take_write()

    # branches

    def _branches(self, lane: Lane, effect: effects.Branches) -> Any:
        if effect.only is not None:
            return {effect.only: self._run_branch(lane, effect, effect.only, inline=lane.inline)}
        crew = Crew(self, lane, effect)
        with self.changed:
            self._crews.append(crew)
        try:
            return crew.work()
        finally:
            with self.changed:
                self._crews.remove(crew)

    def _run_branch(self, lane: Lane, effect: effects.Branches, index: int, *, inline: bool) -> Any:
        """The result of a branch, or a `Failure`; control flow propagates."""
        branch = effect.branches[index]
        inner = Lane(Scope(branch_prefix(effect.key, index)), inline=inline)
        try:
            if isinstance(branch, ChildHandle):
                return self.perform(inner, commands.WaitForChild("", branch._key))
            value = _plain(branch(self.context(inner)))
            transactions.close_left_open(inner.transactions)
            return value
        except bodies.NOT_FAILURES:
            self.fall_back()
            raise
        except BaseException as error:
            return Failure(error)

    def close_branches(self, effect: effects.Branches, winner: int) -> None:
        with self.changed:
            self._closed.update(
                branch_prefix(effect.key, index) for index in range(len(effect.branches)) if index != winner
            )
            for key in [key for key in self.waits if any(key.startswith(prefix) for prefix in self._closed)]:
                del self.waits[key]
            self.changed.notify_all()


def _plain(value: Any) -> Any:
    """What a branch or a body returned, unless it is a mistake that would go unnoticed."""
    if inspect.iscoroutine(value):
        value.close()
        raise ContextMisuse("A branch, or a body of a loop, is `async def` in a plain workflow: declare both alike.")
    return value


class Crew:
    """The threads that work on one gather or race, and what they brought."""

    def __init__(self, turn: ThreadTurn, lane: Lane, effect: effects.Branches) -> None:
        self.turn, self.lane, self.effect = turn, lane, effect
        self.todo = deque(range(len(effect.branches)))
        self.limit = effect.concurrency or len(effect.branches)
        self.hired = self.starting = 0  # threads: engaged, and of these not yet at work
        self.results: dict[int, Any] = {}
        self.order: list[int] = []
        self.parked = 0
        self.is_sharing = False  # the thread that waits for the crew runs a branch itself
        self.exit: BaseException | None = None  # a branch asked for the end of the process

    @property
    def is_ready(self) -> bool:
        """Whether the one who waits for the crew may go on."""
        if self.exit is not None or (self.effect.race and self.order):
            return True
        return len(self.results) == len(self.effect.branches)

    def is_race_around(self, key: str) -> bool:
        return self.effect.race and key.startswith(f"{self.effect.key}.")

    def work(self) -> Any:
        """Hire threads, take a share of the branches, wait for the rest."""
        self._hire()
        self._take_share()
        if self.lane.inline and not self.is_ready:
            self.lane.parked = True
            raise Parked
        with self.turn.changed:
            self.turn._block(lambda: self.is_ready or self.turn._is_closed(self.lane) or None, lambda: None)
            if self.exit is not None:
                raise self.exit
            if self.turn.unwinding or not self.is_ready:
                raise Abandoned if self.turn.abandoned else Parked
            return self._result()

    def _hire(self) -> None:
        if self.lane.inline:
            return
        for _ in range(min(self.limit, len(self.todo))):
            self._count(1)
            if not self.turn.helpers.try_branch(bodies.in_context(self._serve)):
                self._count(-1)
                return

    def _count(self, change: int) -> None:
        with self.turn.changed:
            self.hired += change
            self.starting += change
            self.turn._active += change

    def _serve(self) -> None:
        """A hired thread: one branch after the other."""
        try:
            index = self._next(is_first=True)
            while index is not None:
                self._do(index, inline=False)
                index = self._next()
        except ControlFlow:
            pass
        except BaseException as error:
            self.exit = error
        finally:
            with self.turn.changed:
                self.turn._active -= 1
                self.turn.changed.notify_all()

    def _take_share(self) -> None:
        """What no thread was free for runs here, and unwinds at waits."""
        while self.hired + self.parked < self.limit and (index := self._next(reserved=self.starting)) is not None:
            self.is_sharing = True
            try:
                self._do(index, inline=True)
            except Parked:
                if self.turn.unwinding:
                    raise
                self.parked += 1
            finally:
                self.is_sharing = False

    def _next(self, *, reserved: int = 0, is_first: bool = False) -> int | None:
        """A branch to run, unless the rest is `reserved` for threads that are about to begin."""
        with self.turn.changed:
            self.starting -= is_first
            is_over = self.turn.unwinding or (self.effect.race and self.order)
            return None if is_over or len(self.todo) <= reserved else self.todo.popleft()

    def _do(self, index: int, *, inline: bool) -> None:
        result = self.turn._run_branch(self.lane, self.effect, index, inline=inline)
        with self.turn.changed:
            if self.effect.race:
                self.turn.let_pass()
                if not self.order:
                    self.turn.close_branches(self.effect, index)
            self.results[index] = result
            self.order.append(index)
            self.turn.fall_back(self._successor())
            self.turn.changed.notify_all()

    def _successor(self) -> int | None:
        """The thread that goes on with what has just been decided, unless it is in another branch."""
        owner = self.lane.thread
        return owner if self.is_ready and (not self.is_sharing or threading.get_ident() == owner) else None

    def _result(self) -> Any:
        if self.effect.race:
            winner = self.order[0]
            return winner, self.results[winner]
        return [self.results[index] for index in range(len(self.effect.branches))]


Action = Callable[[ThreadTurn, Lane, Any], Any]

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
