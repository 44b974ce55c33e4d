"""Telling workers that there is something to look at.

A wake-up is a hint and never a promise: polling alone is correct. In this process it is a call; on PostgreSQL other
processes hear a NOTIFY (`listening.Listener`), which is sent after the commit and in a statement of its own, since a
NOTIFY inside a transaction takes a lock on the whole database when it commits. CockroachDB has none.
"""

from __future__ import annotations

import logging
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connections

from django_workflows import clock, conf
from django_workflows.engine.database.forks import in_children

logger = logging.getLogger("django_workflows")

CHANNEL = "django_workflows"

# In place of the name of a queue: for every worker, whatever its queues.
ANY_QUEUE = ""

# A worker that was woken looks again after 10 to 25 ms, so what is committed this soon after a NOTIFY needs no other.
QUIET_SECONDS = 0.005
_MAX_REMEMBERED = 1_000


class WakeUp(Protocol):
    """Hears that there may be work in a queue; that there is some, due now, where a `priority` is named."""

    def __call__(self, queue: str, priority: int | None = None, /) -> None: ...


_in_process: tuple[WakeUp, ...] = ()
_last_sent: dict[tuple[str, str], float] = {}


def subscribe(wake_up: WakeUp) -> None:
    """Have `wake_up` called, from any thread, whenever this process knows of work. It must return at once."""
    global _in_process
    _in_process = (*_in_process, wake_up)


def unsubscribe(wake_up: WakeUp) -> None:
    """Undo one `subscribe()`."""
    global _in_process
    remaining = list(_in_process)
    remaining.remove(wake_up)
    _in_process = tuple(remaining)


def _unsubscribe_all() -> None:
    """In a forked process there is no pump to be woken."""
    global _in_process
    _in_process = ()


in_children(_unsubscribe_all)


def notify(queue: str, alias: str | None = None, *, priority: int | None = None) -> None:
    """Wake the workers of `queue`, here and elsewhere. To be called after the commit; never raises.

    Who knows the `priority` of what is due now should say so: then a worker can claim it without looking for it.
    """
    for wake_up in _in_process:
        try:
            wake_up(queue, priority)
        except Exception:
            logger.debug("A wake-up of this process failed.", exc_info=True)
    alias = alias or conf.database()
    if can_notify(alias):
        _notify_others(alias, payload_of(queue, priority))


def can_notify(alias: str) -> bool:
    """Whether NOTIFY and LISTEN are to be used on this database."""
    return connections[alias].vendor == "postgresql" and conf.listen()


def payload_of(queue: str, priority: int | None = None) -> str:
    """The text of a NOTIFY: the queue, and the priority in a second line, since no name of a queue has two."""
    return queue if priority is None else f"{queue}\n{priority}"


def read_payload(text: str) -> tuple[str, int | None]:
    """The queue, and the priority if one is named."""
    queue, _, priority = text.partition("\n")
    return queue, int(priority) if priority.isdecimal() else None


def _is_time(alias: str, payload: str) -> bool:
    """Whether the last such NOTIFY of this process is long enough ago."""
    now = clock.monotonic()
    if now - _last_sent.get((alias, payload), -QUIET_SECONDS) < QUIET_SECONDS:
        return False
    if len(_last_sent) >= _MAX_REMEMBERED:
        _last_sent.clear()
    _last_sent[alias, payload] = now
    return True


def _notify_others(alias: str, payload: str) -> None:
    connection = connections[alias]
    try:
        if connection.in_atomic_block or not connection.get_autocommit() or not _is_time(alias, payload):
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
    except (DatabaseError, InterfaceError):
        logger.debug("NOTIFY failed; the workers will find it by polling.", exc_info=True)
        connection.close_if_unusable_or_obsolete()  # the caller knows of no error, and goes on
