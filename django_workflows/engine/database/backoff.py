"""Growing pauses between tries at what a database did not do."""

from __future__ import annotations

import random
import time

FIRST, LONGEST = 0.01, 2.0  # seconds


class Backoff:
    """Each pause is twice the last, up to a longest, and shortened by chance: a crowd must not come back at once."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._next, self._longest = first, longest

    def next(self) -> float:
        """The seconds of the next pause."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause * random.uniform(0.5, 1.0)

    def wait(self) -> None:
        """Sleep for the next pause."""
        time.sleep(self.next())
