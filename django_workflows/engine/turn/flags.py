"""Where a turn stands: what was claimed, what time it is there, and whether anything may go on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from django_workflows import codec
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.history.journal import Journal
from django_workflows.exceptions import NonDeterminism, Parked, TypesChanged

LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class TurnFlags:
    """The flags of a turn, guarded by `lock`: threads of branches, the committer and the caller share them."""

    def __init__(self, loaded: Loaded, definition: WorkflowDefinition[..., Any], clock: DatabaseClock) -> None:
        self.claimed = loaded.claimed
        self.definition = definition
        self.clock = clock
        self._latest = self.claimed.claimed_at
        self.journal = Journal(loaded.entries)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.unwinding = False  # nobody goes on in this turn
        self.abandoned = False  # the claim is gone
        self.has_ended = False  # the function is over
        self.pausing: str | None = None  # the reason, when the execution is to be paused
        self.releasing = False  # the worker is to end: the next barrier gives the execution back
        self.decided: Ending | None = None  # the workflow asked for its end
        self.mismatch: NonDeterminism | None = None
        self.swallowed = 0

    def now(self) -> datetime:
        """A moment that has come by the database's clock, after every one that this turn or an earlier one was told.

        What is recorded so stands in the order in which it happened, and before the commit that makes it known.
        """
        with self.lock:
            moment = self.clock.at_least()
            self._latest = moment if moment > self._latest else self._latest + _TICK
            return self._latest

    def after(self, delay: timedelta) -> datetime:
        """The moment after a delay, no later than the calendar goes. After no delay it has come."""
        now = self.now()
        if delay > timedelta():
            now = max(now, self.clock.now())  # which may have been put back since
        return LATEST if delay > LATEST - now else now + delay

    @property
    def may_start(self) -> bool:
        """Whether a new effect may begin in this turn."""
        return self.pausing is None and not self.releasing

    def wake(self) -> None:
        """Called with every change; the loop's colour overrides it."""

    def read(self, text: str | None, hint: Any = Any, key: str = "") -> Any:
        """A stored value, of the journal's row at `key`; one that cannot be read pauses the execution.

        One that only the hint does not fit is a mismatch of the code: another worker may know the old type.
        """
        try:
            return codec.decode(text if text is not None else "null", hint)
        except ValueError as error:
            if hint is not Any:
                self.read(text)
                raise TypesChanged(key, "the value that is stored", str(error)) from None
            self.park(f"A stored value cannot be read: {error}")

    def park(self, reason: str) -> NoReturn:
        """Pause the execution for an operator to mend something, and unwind."""
        with self.lock:
            self.pausing = reason
            self.unwinding = True
            self.changed.notify_all()
        raise Parked from None

    def decide(self, ending: Ending) -> None:
        """The workflow asked for its own end; nothing goes on after it."""
        with self.lock:
            self.decided = self.decided or ending
            self.unwinding = True
            self.changed.notify_all()

    def abandon(self) -> None:
        """The claim is gone or given back: whatever this turn still does is ignored."""
        with self.lock:
            self.abandoned = self.unwinding = True
            self.changed.notify_all()
        self.wake()
