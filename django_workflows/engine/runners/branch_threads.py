"""The threads that work on the branches of one gather or race."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from django_workflows.engine.handlers.contexts import in_context
from django_workflows.engine.runners.blocking import TurnThread, TurnThreads
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, ControlFlow, Parked

RunBranch = Callable[[TurnThread, effects.Branches, int, bool], Any]  # index, inline


class BranchThreads:
    """The threads that work on one gather or race, and what they brought. `thread` is the one that waits for it."""

    def __init__(
        self,
        turn: Turn,
        threads: TurnThreads,
        thread: TurnThread,
        effect: effects.Branches,
        run_branch: RunBranch,
    ) -> None:
        self.turn, self.flags, self.threads = turn, turn.flags, threads
        self.thread, self.effect, self._run_branch = thread, effect, run_branch
        self.todo = deque(range(len(effect.branches)))
        self.limit = effect.concurrency or len(effect.branches)
        self.hired = self.starting = 0  # threads: engaged, and of these not yet at work
        self.results: dict[int, Any] = {}
        self.order: list[int] = []
        self.parked = 0
        self.is_sharing = False  # the thread that waits for the group runs a branch itself
        self.exit: BaseException | None = None  # a branch asked for the end of the process

    @property
    def is_ready(self) -> bool:
        """Whether the one who waits for the group may go on."""
        if self.exit is not None or (self.effect.race and self.order):
            return True
        return len(self.results) == len(self.effect.branches)

    def work(self) -> Any:
        """The results in order, or (index, result) of a race's winner."""
        self.threads.enter_group(self)
        if self.effect.race:
            self.turn.precedence.begin_race(self.effect.key)
        try:
            return self._work()
        finally:
            if self.effect.race:
                self.turn.precedence.end_race(self.effect.key)
            self.threads.leave_group(self)

    def _work(self) -> Any:
        """Hire threads, take a share of the branches, wait for the rest."""
        self._hire()
        self._take_share()
        if self.thread.inline and not self.is_ready:
            self.thread.parked = True
            raise Parked
        with self.turn.lock:
            self.threads.block(lambda: self.is_ready or self.threads.is_closed(self.thread) or None, lambda: None)
            if self.exit is not None:
                raise self.exit
            if self.flags.unwinding or not self.is_ready:
                raise Abandoned if self.flags.abandoned else Parked
            return self._result()

    def _hire(self) -> None:
        if self.thread.inline:
            return
        for _ in range(min(self.limit, len(self.todo))):
            self._count(1)
            if not self.threads.helpers.try_branch(in_context(self._serve)):
                self._count(-1)
                return

    def _count(self, change: int) -> None:
        with self.turn.lock:
            self.hired += change
            self.starting += change
            self.threads.active += change

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
            with self.turn.lock:
                self.threads.active -= 1
                self.flags.changed.notify_all()

    def _take_share(self) -> None:
        """What no thread was free for runs here, and unwinds at waits."""
        while self.hired + self.parked < self.limit and (index := self._next(reserved=self.starting)) is not None:
            self.is_sharing = True
            try:
                self._do(index, inline=True)
            except Parked:
                if self.flags.unwinding:
                    raise
                self.parked += 1
            finally:
                self.is_sharing = False

    def _next(self, *, reserved: int = 0, is_first: bool = False) -> int | None:
        """A branch to run, unless the rest is `reserved` for threads that are about to begin."""
        with self.turn.lock:
            self.starting -= is_first
            is_over = self.flags.unwinding or (self.effect.race and self.order)
            return None if is_over or len(self.todo) <= reserved else self.todo.popleft()

    def _do(self, index: int, *, inline: bool) -> None:
        result = self._run_branch(self.thread, self.effect, index, inline)
        with self.turn.lock:
            if self.effect.race:
                self.turn.precedence.let_pass()
                if not self.order:
                    self.turn.close_branches(self.effect.key, len(self.effect.branches), index)
            self.results[index] = result
            self.order.append(index)
            self.turn.fall_back(self._successor())
            self.flags.changed.notify_all()

    def _successor(self) -> int | None:
        """The thread that goes on with what has just been decided, unless it is in another branch."""
        owner = self.thread.ident
        return owner if self.is_ready and (not self.is_sharing or threading.get_ident() == owner) else None

    def _result(self) -> Any:
        if self.effect.race:
            winner = self.order[0]
            return winner, self.results[winner]
        return [self.results[index] for index in range(len(self.effect.branches))]
