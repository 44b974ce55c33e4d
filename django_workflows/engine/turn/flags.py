"""Whether a turn may go on: its flags, and the lock that its threads, the committer and the caller share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django_workflows.engine.commit.values import Ending
from django_workflows.exceptions import NonDeterminism


class Flags:
    """Read by anybody; written under `lock`. Who waits for a change waits for `changed`, or is told by `on_change`."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._on_change = on_change  # the runner's; called from any thread
        self.unwinding = False  # nobody goes on in this turn
        self.abandoned = False  # the claim is gone
        self.has_ended = False  # the function is over
        self.pausing: str | None = None  # the reason, when the execution is to be paused
        self.releasing = False  # the worker is to end: the next barrier gives the execution back
        self.decided: Ending | None = None  # the workflow asked for its end
        self.mismatch: NonDeterminism | None = None  # between the code and the journal
        self.catches = 0  # how often the function has caught what was to unwind it
        self.parallel = 0  # branches and tasks that go on beside the function's own line of calls

    @property
    def may_start(self) -> bool:
        """Whether a new effect may begin in this turn."""
        return self.pausing is None and not self.releasing

    def tell(self) -> None:
        """Something has changed that others may wait for."""
        with self.lock:
            self.changed.notify_all()
        self._on_change()

    def unwind(self, mismatch: NonDeterminism | None = None) -> None:
        """Nobody goes on; threads that wait give up."""
        with self.lock:
            self.mismatch = self.mismatch or mismatch
            self.unwinding = True
            self.changed.notify_all()

    def end(self) -> None:
        """The function is over."""
        with self.lock:
            self.has_ended = True
            self.unwind()

    def pause(self, reason: str) -> None:
        """Pause the execution for an operator to mend something, and unwind."""
        with self.lock:
            self.pausing = reason
            self.unwind()

    def decide(self, ending: Ending) -> None:
        """The workflow asked for its own end: nothing goes on after it, and the first one counts."""
        with self.lock:
            self.decided = self.decided or ending
            self.unwind()

    def abandon(self) -> None:
        """The claim is gone or given back: whatever this turn still does is ignored."""
        with self.lock:
            self.abandoned = self.unwinding = True
        self.tell()
