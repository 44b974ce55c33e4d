"""Telling workers that there is something to look at.

A wake-up is a hint and never a promise: polling alone is correct. In this process it is a call; on PostgreSQL other
processes hear a NOTIFY (`listening.Listener`), which is sent after the commit and in a statement of its own, since a
NOTIFY inside a transaction takes a lock on the whole database when it commits. CockroachDB has none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connections

from django_workflows import clock, conf

logger = logging.getLogger("django_workflows")

CHANNEL = "django_workflows"

# In place of the name of a queue: for every worker, whatever its queues.
ANY_QUEUE = ""

# A worker that was woken looks again after 10 to 25 ms, so what is committed this soon after a NOTIFY needs no other.
QUIET_SECONDS = 0.005
_MAX_REMEMBERED = 1_000

WakeUp = Callable[[str], None]

_in_process: tuple[WakeUp, ...] = ()
_last_sent: dict[tuple[str, str], float] = {}


def subscribe(wake_up: WakeUp) -> None:
    """Have `wake_up(queue)` called, from any thread, whenever this process knows of work. It must return at once."""
    global _in_process
    _in_process = (*_in_process, wake_up)


def unsubscribe(wake_up: WakeUp) -> None:
    """Undo one `subscribe()`."""
    global _in_process
    remaining = list(_in_process)
    remaining.remove(wake_up)
    _in_process = tuple(remaining)


def notify(queue: str, alias: str | None = None) -> None:
    """Wake the workers of `queue`, here and elsewhere. To be called after the commit; never raises."""
    for wake_up in _in_process:
        try:
            wake_up(queue)
        except Exception:
            logger.debug("A wake-up of this process failed.", exc_info=True)
    alias = alias or conf.database()
    if can_notify(alias):
        _notify_others(alias, queue)


def can_notify(alias: str) -> bool:
    """Whether NOTIFY and LISTEN are to be used on this database."""
    return connections[alias].vendor == "postgresql" and conf.listen()


def _is_time(alias: str, queue: str) -> bool:
    """Whether the last NOTIFY of this process for the queue is long enough ago."""
    now = clock.monotonic()
    if now - _last_sent.get((alias, queue), -QUIET_SECONDS) < QUIET_SECONDS:
        return False
    if len(_last_sent) >= _MAX_REMEMBERED:
        _last_sent.clear()
    _last_sent[alias, queue] = now
    return True


def _notify_others(alias: str, queue: str) -> None:
    connection = connections[alias]
    try:
        if connection.in_atomic_block or not connection.get_autocommit() or not _is_time(alias, queue):
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, queue])
    except (DatabaseError, InterfaceError):
        logger.debug("NOTIFY failed; the workers will find it by polling.", exc_info=True)
