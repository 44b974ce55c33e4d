"""Which turns want something stored, and when it is worth a commit.

A commit costs much the same for one write as for fifty. So one that is not urgent waits a moment for what follows, and
an urgent one waits, much shorter, for the others that went on with the last commit: under load they arrive together.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable

from django_workflows.clock import monotonic
from django_workflows.engine.turn.turn import Turn

NOTED_SECONDS = 0.005  # a result without hurry is stored together with what follows within this time
LOCKED_SECONDS = 0.05  # when somebody else has locked its row, it is tried again this much later
LONGEST_SECONDS = (
    30.0  # when the database refuses it again and again, it is tried again after twice as long, up to that
)
GATHER_SECONDS = 0.002  # a commit waits at most so long for those who went on with the last one


class CommitQueue:
    """Filled by turns from any thread; emptied by the thread of the pump, which sleeps here until it is worth it."""

    def __init__(self) -> None:
        self._urgent: deque[Turn] = deque()
        self._noted: dict[Turn, float] = {}  # since when; later than now: not before then
        self._failures: dict[Turn, int] = {}  # how often in a row the database has refused a turn's write
        self._expected = 0  # turns that went on with the last commit or claim
        self._gather_until = self._asleep_until = 0.0
        self._bell = threading.Event()

    # from any thread

    def note(self, turn: Turn) -> None:
        """Store it with the next commit, but not before a moment has passed: more may follow."""
        if turn not in self._noted:
            self._noted[turn] = now = monotonic()
            if now + NOTED_SECONDS < self._asleep_until:
                self._bell.set()

    def flush(self, turn: Turn) -> None:
        """Store it now."""
        self._noted.pop(turn, None)
        self._urgent.append(turn)
        if len(self._urgent) >= self._expected or self._gather_until < self._asleep_until:
            self._bell.set()

    def forget(self, turn: Turn) -> None:
        """The turn is over, and has nothing to store."""
        self._noted.pop(turn, None)
        self._failures.pop(turn, None)

    def ring(self) -> None:
        """Something else has happened that the pump must see."""
        self._bell.set()

    # from the thread of the pump

    def put_back(self, turns: Iterable[Turn]) -> None:
        """Their writes could not be stored: the same again at once."""
        self._urgent.extend(turns)

    def postpone(self, turn: Turn) -> None:
        """Its write could not be stored because somebody has a row locked."""
        self._noted[turn] = monotonic() + LOCKED_SECONDS

    def postpone_longer(self, turn: Turn) -> int:
        """The database has refused its write, which is tried again after a growing pause; how often it has in a row."""
        self._failures[turn] = failures = self._failures.get(turn, 0) + 1
        self._noted[turn] = monotonic() + min(LOCKED_SECONDS * 2.0 ** min(failures, 20), LONGEST_SECONDS)
        return failures

    def was_stored(self, turn: Turn) -> None:
        """What comes next from this turn is tried at once."""
        if self._failures:
            self._failures.pop(turn, None)

    def expect(self, turns: int) -> None:
        """So many turns go on now, and most of them will have something to store in a moment."""
        self._expected += turns
        self._gather_until = monotonic() + GATHER_SECONDS

    def is_ripe(self) -> bool:
        """Whether what is urgent need not wait for company any more."""
        return bool(self._urgent) and (len(self._urgent) >= self._expected or monotonic() >= self._gather_until)

    def take(self) -> list[Turn]:
        """The turns of one commit, each once."""
        turns: dict[Turn, None] = {}
        if self.is_ripe():
            self._expected = 0
            turns = dict.fromkeys(self._urgent.popleft() for _ in range(len(self._urgent)))
        ripe = monotonic() - NOTED_SECONDS
        for turn in [turn for turn, since in list(self._noted.items()) if since <= ripe]:
            self._noted.pop(turn, None)
            turns[turn] = None
        return list(turns)

    def take_all(self) -> list[Turn]:
        """Everything, ripe or not: there will be no other commit."""
        turns = dict.fromkeys([*self._urgent, *self._noted])
        self._urgent.clear()
        self._noted.clear()
        return list(turns)

    def sleep(self, until: Callable[[], float]) -> None:
        """Until that moment, or until there is something to store, or somebody rings."""
        self._asleep_until = math.inf  # who comes from now on rings; who came before is seen below
        moments = [until()]
        if self._urgent:
            moments.append(0.0 if self.is_ripe() else self._gather_until)
        if noted := list(self._noted.values()):
            moments.append(min(noted) + NOTED_SECONDS)
        self._asleep_until = min(moments)
        if (seconds := self._asleep_until - monotonic()) > 0:
            self._bell.wait(seconds)
        self._asleep_until = 0.0
        self._bell.clear()
