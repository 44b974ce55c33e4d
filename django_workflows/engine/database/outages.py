"""Waiting for a database that is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from django_workflows.clock import monotonic
from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.database.user_transactions import doubt_all

logger = logging.getLogger("django_workflows")

# Refused by a server that only reads, and by a full disk, though it may change nothing: a look would be answered.
WRITE_NOTHING = "UPDATE django_workflows_worker SET seen_at = seen_at WHERE id {among}"

UNREACHABLE = (ConnectionLost, AmbiguousCommit, DatabaseError, InterfaceError)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
WORTH_TELLING = 1.0


def refuse_read_only(alias: str, worker: UUID) -> None:
    """Raise the database's error while it can be read and not written: after a failover, or with a full disk."""
    among, parameters = dialect_of(connections[alias]).among([worker])
    transact(alias, lambda cursor: cursor.execute(WRITE_NOTHING.format(among=among), parameters))


class Outage:
    """Counts the failures since the database last did what it was asked, so that pauses grow."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._failures = 0
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._pause = threading.Event()  # never set: a sleep

    def is_over(self) -> None:
        """The database did all that it was asked."""
        if self._failures:
            self._failures, self._backoff = 0, Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    def wait_out(self, error: Exception, connect: Callable[[], None], give_up_at: Callable[[], float | None]) -> bool:
        """Say so once, try to connect with growing pauses; False when it was time to give up.

        `connect` raises while the database cannot do what is asked of it: to answer is not enough.
        """
        began = monotonic()
        doubt_all()
        if not self._failures:
            logger.warning("The database cannot be used (%s). Waiting for it; nothing is lost.", str(error).strip())
        while (end := give_up_at()) is None or monotonic() < end:
            self._failures += 1
            self._pause.wait(self._backoff.next())
            connections[self._alias].close()
            try:
                connect()
            except UNREACHABLE:
                continue
            doubt_all()  # bodies may have connected in between
            if (seconds := monotonic() - began) > WORTH_TELLING:
                logger.warning("The database answers again after %.1f s.", seconds)
            return True
        return False
