"""Threads of one turn, which wait for each other: who goes on, who gives way, and when nobody is left.

Who may go on is counted in `active`: the threads of this turn that are not waiting. When none is left and no wait has
come to anything, the turn unwinds and the execution is parked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from django_workflows.engine.claims.loading import Unread
from django_workflows.engine.commit.values import Write
from django_workflows.engine.database import user_transactions
from django_workflows.engine.history.journal import Entry, Scope
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import NonDeterminism


class Helpers(Protocol):
    """Where a turn gets further threads: for branches, and for bodies that have a timeout."""

    def try_branch(self, fn: Callable[[], None]) -> bool:
        """Run `fn` in a branch thread, unless none is free."""

    def run_apart(self, fn: Callable[[], None]) -> None:
        """Run `fn` in a thread that may be left behind."""


class TurnThread:
    """One line of control: its scope, its thread, and whether it unwinds at waits because others need its thread."""

    __slots__ = ("in_body", "inline", "parked", "scope", "thread", "transactions")

    def __init__(self, scope: Scope, *, inline: bool) -> None:
        self.scope, self.inline = scope, inline
        self.thread = threading.get_ident()
        self.transactions = user_transactions.open_now()  # in EAGER and in tests there may be some around it all
        self.in_body = self.parked = False


class Group(Protocol):
    """Branches that somebody waits for."""

    @property
    def is_ready(self) -> bool: ...
    def is_race_around(self, key: str) -> bool: ...


class BlockingTurn(Turn):
    """What the threads of a turn have in common."""

    helpers: Helpers

    def __init__(self, *args: Any, helpers: Helpers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helpers = helpers
        self.active = 1
        self.blocked: dict[str, effects.Wait] = {}  # waits that a thread sits in
        self.groups: list[Group] = []
        self._ahead: int | None = None  # the thread that has got a message in a race: no other branch gets before it
        self._was_held_back = False  # a write, because of that

    @property
    def is_single_file(self) -> bool:
        return not self.groups

    def is_thread_closed(self, thread: TurnThread) -> bool:
        return bool(self._closed) and self.is_closed(thread.scope.prefix)

    def unwind(self, mismatch: NonDeterminism | None = None) -> None:
        with self.lock:
            self.mismatch = self.mismatch or mismatch
            self.unwinding = True
            self.changed.notify_all()

    def seconds_until(self, wait: effects.Wait) -> float | None:
        return None if wait.deadline is None else max((wait.deadline - self.now()).total_seconds(), 0.001)

    def block(self, ready: Callable[[], Any], seconds: Callable[[], float | None]) -> Any:
        """Give up activity until `ready()` is not None; the last active thread makes the turn unwind."""
        self.active -= 1
        try:
            while True:
                if self.unwinding:
                    return None
                if (found := ready()) is not None:
                    return found
                if self.active == 0 and not self._something_is_ready():
                    self.unwind()
                    return None
                self.changed.wait(seconds())
        finally:
            self.active += 1

    def _something_is_ready(self) -> bool:
        """Whether another blocked thread is about to go on."""
        resolved = any(self.resolve(wait) is not None for wait in self.blocked.values())
        return resolved or any(group.is_ready for group in self.groups)

    def close_branches(self, key: str, count: int, winner: int) -> None:
        with self.lock:
            super().close_branches(key, count, winner)
            for wait in [wait for wait in self.waits if self.is_closed(wait)]:
                del self.waits[wait]
            self.changed.notify_all()

    # races: who has got its message comes to its next call, or wins, before any other branch gets something or wins.
    # Otherwise the message of a loser would be consumed, and nobody would have it.

    def take(self, entry: Entry, unread: Unread, text: str) -> Entry | None:
        with self.lock:
            self.let_pass()
            taken = super().take(entry, unread, text)
            if taken is not None and any(group.is_race_around(entry.key) for group in self.groups):
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
        with self.lock:
            self._ahead = to
            if to is None:
                self.changed.notify_all()
        if to is None and self._was_held_back:
            self._was_held_back = False
            self.committer.flush(self)

    def take_write(self) -> Write | None:
        """Not between a message and the race that it decides: a replay might let another branch win."""
        with self.lock:
            self._was_held_back = self._ahead is not None and not self.unwinding
            return None if self._was_held_back else super().take_write()
