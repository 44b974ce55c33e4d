"""Step bodies that are running: they get a row of their own only when they take long."""

from __future__ import annotations

import time

import msgspec

from django_workflows.engine.history.journal import Entry, Journal
from django_workflows.engine.turn.flags import Flags
from django_workflows.engine.turn.pending_write import PendingWrite


class Body(msgspec.Struct):
    """One of them: its row, since when, and what it published."""

    entry: Entry
    since: float
    progress: str | None = None
    shown: bool = False


class Bodies:
    """The running bodies of one turn, by the key of their step."""

    def __init__(self, journal: Journal, pending: PendingWrite, flags: Flags) -> None:
        self._journal, self._pending, self._lock = journal, pending, flags.lock
        self._running: dict[str, Body] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def enter(self, entry: Entry) -> None:
        """The body of this step begins."""
        self._running[entry.key] = Body(entry, time.monotonic())

    def leave(self, key: str) -> None:
        """The body of the step at `key` is over."""
        with self._lock:
            self._running.pop(key, None)

    def names(self) -> list[str]:
        """The steps whose bodies run, by name."""
        with self._lock:
            return [body.entry.name for body in self._running.values()]

    def report(self, key: str, progress: str) -> None:
        """The body at `key` has published its progress, as JSON; a body that is over has not."""
        with self._lock:
            if (body := self._running.get(key)) is not None:
                body.progress = progress

    def show_long(self, since: float) -> None:
        """Give a `running` row to bodies that began before `since`, and update their progress."""
        with self._lock:
            for body in self._running.values():
                if body.since > since or (body.shown and body.progress is None):
                    continue
                output = body.progress if body.progress is not None else body.entry.output
                entry = msgspec.structs.replace(body.entry, status="running", output=output)
                body.entry, body.progress, body.shown = entry, None, True
                self._journal.put(entry)
                self._pending.write.entries[entry.id] = entry
