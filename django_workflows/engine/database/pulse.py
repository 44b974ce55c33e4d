"""Whether the threads that a worker depends on get on.

A thread that is at work must show itself now and then. One that rests need not: it sleeps, or waits for the database,
which may take as long as it likes, a long group commit as well.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from django_workflows.clock import monotonic


class Pulse:
    """Of one thread. Read by others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.thread = 0  # its identifier
        self._since = 0.0  # when it showed itself while at work; 0: it rests

    def adopt(self) -> None:
        """From now on it is that of the thread which calls."""
        self.thread = threading.get_ident()
        _mine.pulse = self

    def work(self) -> None:
        self._since = monotonic()

    def rest(self) -> None:
        self._since = 0.0

    @property
    def is_resting(self) -> bool:
        return self._since == 0.0

    def silence(self, now: float) -> float:
        """For how many seconds it has been at work without showing itself."""
        since = self._since
        return now - since if since else 0.0


class _Mine(threading.local):
    pulse: Pulse | None = None


_mine = _Mine()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Around what may hang: the code of users that a thread of the engine calls."""
    if (pulse := _mine.pulse) is None:
        yield
        return
    rested = pulse.is_resting
    pulse.work()
    try:
        yield
    finally:
        pulse.rest() if rested else pulse.work()


def rest() -> Pulse | None:
    """This thread is about to wait for the database; what to call `work()` of afterwards, if anything."""
    pulse = _mine.pulse
    if pulse is None or pulse.is_resting:
        return None
    pulse.rest()
    return pulse
