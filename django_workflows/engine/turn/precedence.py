"""In a race of threads, the branch that has got its message goes first.

It comes to its next call, or wins, before any other branch gets something or wins, and before anything is stored.
Otherwise the message of a loser would be consumed, and nobody would have it; or a replay might let another branch win.
"""

from __future__ import annotations

import threading

from django_workflows.engine.turn.flags import Flags


class Precedence:
    """Which thread of a turn is ahead of the others. On an event loop nobody ever is: its tasks take turns anyway."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._ahead: int | None = None  # a thread
        self._has_held_back = False  # a write
        self._races: list[str] = []  # scopes of races that are not decided

    def begin_race(self, key: str) -> None:
        """Branches of a race at `key` begin."""
        with self._flags.lock:
            self._races.append(f"{key}.")

    def end_race(self, key: str) -> None:
        """The race at `key` is over."""
        with self._flags.lock:
            self._races.remove(f"{key}.")

    def let_pass(self) -> None:
        """Wait for the branch that is ahead. Under the turn's lock."""
        while self._ahead not in {None, threading.get_ident()} and not self._flags.unwinding:
            self._flags.changed.wait()

    def go_ahead(self, key: str) -> None:
        """This thread has got the message of the wait at `key`. Under the turn's lock."""
        if any(key.startswith(scope) for scope in self._races):
            self._ahead = threading.get_ident()

    def fall_back(self, to: int | None = None) -> bool:
        """This thread is ahead no more: another one is, or nobody. Whether a write that was held back may be stored."""
        if self._ahead is None or self._ahead != threading.get_ident():
            return False
        with self._flags.lock:
            self._ahead = to
            if to is not None:
                return False
            self._flags.changed.notify_all()
            had_held_back, self._has_held_back = self._has_held_back, False
            return had_held_back

    def holds_back(self) -> bool:
        """Whether nothing may be stored now. Under the turn's lock."""
        self._has_held_back = self._ahead is not None and not self._flags.unwinding
        return self._has_held_back
