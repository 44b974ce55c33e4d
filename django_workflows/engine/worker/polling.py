"""Where a worker looks for due executions, and when.

Polling alone is correct: a look is aimed at the next moment that is known, and comes after a bounded pause anyway. A
wake-up only brings it forward.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django_workflows import conf
from django_workflows.clock import monotonic
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.database.transactions import HIDDEN_SECONDS, single

AGAIN_SECONDS = HIDDEN_SECONDS  # after a wake-up, look again: NOTIFY is throttled, and CockroachDB hides fresh rows
DISCOVER_SECONDS = 2.0  # a worker of all queues looks this often for new ones
PEEK_SECONDS = 0.050  # while claims find work, look this often for a higher priority


class Polling:
    """All moments are local monotonic seconds. `wake_up` may be called from any thread."""

    def __init__(self, queues: tuple[str, ...], alias: str) -> None:
        self.queues = queues
        self.is_listening = False  # to the NOTIFY of others: set by a listener
        self.peeked_at = 0.0
        self.peek_at = 0.0  # while there is work
        self.chores_at = 0.0  # without a free slot
        self._named, self._alias = bool(queues), alias
        self._look_at = self._discover_at = 0.0
        self._again_at: list[float] = []
        self._found: list[str] = []
        self._told: set[tuple[str, int]] = set()
        self._next_due: datetime | None = None

    @property
    def look_at(self) -> float:
        """When to look for due executions, or where wake-ups say that there is something."""
        return 0.0 if self._told else self.see_at

    @property
    def see_at(self) -> float:
        """When to look at everything: however many wake-ups come, what they do not tell of is not put off by them."""
        return min([self._look_at, *self._again_at])

    def wake_up(self, queue: str, priority: int | None = None) -> bool:
        """There may be work in this queue (or in any), or there is with this priority; whether that concerns this
        worker.
        """
        if queue and queue not in self.queues:
            if self._named:
                return False
            self.queues = (*self.queues, queue)
        now = monotonic()
        if queue and priority is not None:
            self._told.add((queue, priority))
        else:
            self._look_at = now
        soon, later = (now + seconds for seconds in AGAIN_SECONDS)
        self._again_at = [min([soon, *self._again_at]), later]  # one wake-up after the other must not put it off
        return True

    def take_told(self) -> list[tuple[str, int]]:
        """The queues and priorities in which wake-ups say there is something, the highest priority first."""
        told = sorted(self._told, key=lambda place: -place[1])
        self._told.difference_update(told)  # what is told meanwhile is there already, or stays
        return told

    def look_now(self) -> None:
        """Look at once."""
        self._look_at = 0.0

    def look_by(self, moment: float) -> None:
        """Look no later than then."""
        self._look_at = min(self._look_at, moment)

    def expect(self, moment: datetime, now: datetime) -> None:
        """Something falls due then, as is known without a look; `now` is the database's time."""
        self._next_due = moment if self._next_due is None else min(moment, self._next_due)
        self.look_by(monotonic() + max((moment - now).total_seconds(), 0))

    def discover_queues(self) -> None:
        """A worker that names no queues serves those that are in use."""
        if self._named or monotonic() < self._discover_at:
            return
        self._discover_at = monotonic() + DISCOVER_SECONDS
        found = single(self._alias, claims.queues_in_use)
        # one that was there the last time stays once more: all that it has may be held, or hidden, at this moment
        self.queues = tuple(dict.fromkeys([conf.default_queue(), *found, *self._found]))
        self._found = found

    def plan(self, peek: Peek, moment: float) -> None:
        """After a look that was asked for at `moment`."""
        self.peeked_at = moment
        self._again_at = [at for at in self._again_at if at > moment]
        self._next_due = peek.next_due()
        pause = conf.listen_poll_interval() if self.is_listening else conf.poll_interval()
        self._look_at = moment + pause * random.uniform(0.9, 1.0)
        if peek.next_schedule is not None and not peek.schedules_due:
            self.look_by(moment + (peek.next_schedule - peek.now).total_seconds())
        self.chores_at = self._look_at
        if self._next_due is not None:
            self.look_by(moment + max((self._next_due - peek.now).total_seconds(), 0))
        self.peek_at = moment + PEEK_SECONDS

    def did_chores(self, moment: float) -> None:
        """There was something to do, so there may be more."""
        self.chores_at = moment + PEEK_SECONDS

    def is_due_within(self, seconds: float, now: datetime) -> bool:
        """Whether anything is known to fall due that soon."""
        return self._next_due is not None and self._next_due <= now + timedelta(seconds=seconds)
