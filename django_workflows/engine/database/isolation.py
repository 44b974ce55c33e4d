"""One row that the database refuses again and again must not stop the others.

What a worker does for many rows at once it does by halves when it is refused, until the guilty row stands alone; that
one is left alone for a while, for longer each time, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from django.db.backends.utils import CursorWrapper

from django_workflows.clock import monotonic
from django_workflows.engine.database.errors import may_be_one_row
from django_workflows.engine.database.transactions import FEW_TRIES, transact

logger = logging.getLogger("django_workflows")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0

R = TypeVar("R")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def by_halves(
    alias: str,
    rows: Sequence[R],
    work: Callable[[CursorWrapper, Sequence[R]], T],
    collect: Callable[[T], object] = lambda done: None,
    *,
    reads_past: bool = False,
) -> list[tuple[R, Exception]]:
    """Do `work` for all rows in one transaction, for each half when that is refused. The rows that cannot be done.

    `collect` gets what `work` has come to in each transaction, after its commit.
    """
    if not rows:
        return []
    try:
        done = transact(alias, lambda cursor: work(cursor, rows), tries=FEW_TRIES, reads_past=reads_past)
    except Exception as error:  # a row that cannot be read is no reason to leave the others
        if not may_be_one_row(error):
            raise
        if len(rows) == 1:
            return [(rows[0], error)]
        half = len(rows) // 2
        halves = rows[:half], rows[half:]
        return [guilty for some in halves for guilty in by_halves(alias, some, work, collect, reads_past=reads_past)]
    collect(done)
    return []


def pause_after(failures: int, first: float = FIRST_PAUSE) -> float:
    """How long to leave alone what has failed so often."""
    return min(first * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE)


class Shelf(Generic[K]):
    """Rows that are left alone for a while, by this process; used by one thread."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._rows: dict[K, tuple[int, float]] = {}  # how often it failed; until when it is left alone

    def put(self, key: K, error: Exception) -> None:
        """It has failed (again)."""
        failures = self._rows.get(key, (0, 0.0))[0] + 1
        pause = pause_after(failures)
        self._rows[key] = failures, monotonic() + pause
        logger.error("%s %s is left alone for %g s: %s", self._what, key, pause, str(error).strip())

    def now(self) -> list[K]:
        """What is to be left alone at this moment. Who has not failed again for long is forgotten."""
        if not self._rows:
            return []
        now = monotonic()
        self._rows = {key: row for key, row in self._rows.items() if row[1] + LONGEST_PAUSE > now}
        return [key for key, (_, until) in self._rows.items() if until > now]
