"""How long it takes until what was hit moves again, in seconds during which the database could be asked."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from django_workflows import clock
from django_workflows.models import Execution, Status, Worker

LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that went wrong, and how to tell that it is over."""

    kind: str
    since: float  # by the clock that stands while the database is away
    is_over: Callable[[], bool]


class Recoveries:
    """Watches until each hit is over, in a thread of its own."""

    def __init__(self, uptime: Callable[[], float]) -> None:
        self.longest: dict[str, float] = defaultdict(float)
        self._uptime = uptime
        self._hits: list[Hit] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="recoveries", daemon=True)
        self._thread.start()

    def expect(self, kind: str, is_over: Callable[[], bool]) -> None:
        with self._lock:
            self._hits.append(Hit(kind=kind, since=self._uptime(), is_over=is_over))

    def close(self) -> int:
        """How many hits are not over."""
        self._ended.set()
        self._thread.join(10)
        return len(self._hits)

    def _watch(self) -> None:
        while not self._ended.is_set():
            for hit in list(self._hits):
                try:
                    is_over = hit.is_over()
                except (DatabaseError, InterfaceError):
                    connection.close()
                    break
                if is_over:
                    self.longest[hit.kind] = max(self.longest[hit.kind], self._uptime() - hit.since)
                    with self._lock:
                        self._hits.remove(hit)
            time.sleep(LOOK_SECONDS)
        connection.close()


def held_by(pids: list[int]) -> dict[UUID, int]:
    """The executions that these processes hold, with their claims; none when the database does not answer."""
    try:
        workers = list(Worker.objects.filter(pid__in=pids, stopped_at=None).values_list("id", flat=True))
        held = Execution.objects.filter(claimed_by__in=workers, status=Status.RUNNING)
        return dict(held.values_list("id", "claim"))
    except (DatabaseError, InterfaceError):
        connection.close()
        return {}


def have_moved(held: dict[UUID, int]) -> Callable[[], bool]:
    """Whether somebody else has each of them, or they have ended."""
    waiting = dict(held)

    def ask() -> bool:
        rows: Any = Execution.objects.filter(pk__in=waiting).values_list("id", "claim", "status")
        for id, claim, status in rows:
            if claim > waiting[id] + (status == Status.PENDING) or status not in {Status.PENDING, Status.RUNNING}:
                del waiting[id]
        return not waiting

    return ask


def something_moves() -> Callable[[], bool]:
    """Whether any execution has changed since."""
    moment: list[Any] = []

    def ask() -> bool:
        if not moment:
            moment.append(clock.database_now())
        return Execution.objects.filter(updated_at__gt=moment[0], claim__gt=0).exists()

    return ask
