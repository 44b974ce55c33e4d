"""The times that one turn tells and records, by the database's clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from django_workflows.clock import DatabaseClock

LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Moments:
    """Moments of one turn, each after the last, the first after the claim. From any thread of the turn."""

    def __init__(self, clock: DatabaseClock, claimed_at: datetime, lock: threading.RLock) -> None:
        self._clock, self._latest, self._lock = clock, claimed_at, lock

    def now(self) -> datetime:
        """A moment that has come by the database's clock, after every one that this turn or an earlier one was told.

        What is recorded so stands in the order in which it happened, and before the commit that makes it known.
        """
        with self._lock:
            moment = self._clock.at_least()
            self._latest = moment if moment > self._latest else self._latest + _TICK
            return self._latest

    def after(self, delay: timedelta) -> datetime:
        """The moment after a delay, no later than the calendar goes. After no delay it has come."""
        now = self.now()
        if delay > timedelta():
            now = max(now, self._clock.now())  # which may have been put back since
        return LATEST if delay > LATEST - now else now + delay
