"""Threads of one turn, which wait for each other: who goes on, who gives way, and when nobody is left.

Who may go on is counted in `active`: the threads of this turn that are not waiting. When none is left and no wait has
come to anything, the turn unwinds and the execution is parked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from django_workflows.engine.database import user_transactions
from django_workflows.engine.history.journal import Scope
from django_workflows.engine.turn import effects
from django_workflows.engine.turn.turn import Turn


class Helpers(Protocol):
    """Where a turn gets further threads: for branches, and for bodies that have a timeout."""

    def try_branch(self, fn: Callable[[], None]) -> bool:
        """Run `fn` in a branch thread, unless none is free."""

    def run_apart(self, fn: Callable[[], None]) -> None:
        """Run `fn` in a thread that may be left behind."""


class TurnThread:
    """One line of calls in a thread: its scope, and whether it unwinds at waits because others need its thread."""

    __slots__ = ("ident", "in_body", "inline", "parked", "scope", "transactions")

    def __init__(self, scope: Scope, *, inline: bool) -> None:
        self.scope, self.inline = scope, inline
        self.ident = threading.get_ident()
        self.transactions = user_transactions.open_now()  # in EAGER and in tests there may be some around it all
        self.in_body = self.parked = False


class Group(Protocol):
    """Branches that somebody waits for."""

    @property
    def is_ready(self) -> bool: ...


class TurnThreads:
    """Which threads of a turn are active, and which are blocked. Guarded by the turn's lock."""

    def __init__(self, turn: Turn, helpers: Helpers) -> None:
        self._mailbox, self._flags, self._now = turn.mailbox, turn.flags, turn.now
        self.helpers = helpers
        self.active = 1
        self._blocked: dict[str, effects.Wait] = {}  # waits that a thread sits in
        self._groups: list[Group] = []

    def is_closed(self, thread: TurnThread) -> bool:
        """Whether this thread works for a branch that has lost a race."""
        return self._mailbox.is_closed(thread.scope.prefix)

    def enter_group(self, group: Group) -> None:
        """Branches begin beside the thread that has called for them."""
        with self._flags.lock:
            self._groups.append(group)
            self._flags.parallel += 1

    def leave_group(self, group: Group) -> None:
        """The branches are over, or are waited for no more."""
        with self._flags.lock:
            self._groups.remove(group)
            self._flags.parallel -= 1

    def wait_for(self, thread: TurnThread, wait: effects.Wait) -> Any:
        """Block until the wait has come to something; None if the turn unwinds or the branch has lost its race."""
        self._blocked[wait.key] = wait
        found = self.block(
            lambda: self.is_closed(thread) or self._mailbox.resolve(wait) or None, lambda: self._seconds_until(wait)
        )
        del self._blocked[wait.key]
        return found

    def block(self, ready: Callable[[], Any], seconds: Callable[[], float | None]) -> Any:
        """Give up activity until `ready()` is not None; the last active thread makes the turn unwind."""
        self.active -= 1
        try:
            while True:
                if self._flags.unwinding:
                    return None
                if (found := ready()) is not None:
                    return found
                if self.active == 0 and not self._something_is_ready():
                    self._flags.unwind()
                    return None
                self._flags.changed.wait(seconds())
        finally:
            self.active += 1

    def _something_is_ready(self) -> bool:
        """Whether another blocked thread is about to go on."""
        resolved = any(self._mailbox.resolve(wait) is not None for wait in self._blocked.values())
        return resolved or any(group.is_ready for group in self._groups)

    def _seconds_until(self, wait: effects.Wait) -> float | None:
        return None if wait.deadline is None else max((wait.deadline - self._now()).total_seconds(), 0.001)
