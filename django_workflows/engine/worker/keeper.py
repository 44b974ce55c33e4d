"""The keeper: the one process that extends the leases of living workers and releases what the dead held.

It is apart from the workers, so that a step which holds the GIL loses no lease; it extends only what belongs to a
worker that has beaten within `HANG_TIMEOUT`.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Sequence
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from django_workflows import conf
from django_workflows.clock import database_now, monotonic
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.leases import extend, release_all
from django_workflows.engine.database import notify
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.database.transactions import reading, repeated
from django_workflows.engine.events import take
from django_workflows.engine.worker.shared_memory import SharedMemory, Slot
from django_workflows.models import Worker

logger = logging.getLogger("django_workflows")

MESSAGE = 17  # bytes that the supervisor writes for a dead worker: its id, and 1 when it died by accident

# A claim that was under way when its worker died may be stored after the release: for so long we look for it, so often.
LATE_SECONDS, LATE_EVERY = 10.0, 0.25


class Keeper:
    """Runs in a forked process; the supervisor speaks to it through a pipe, whose end is its end."""

    def __init__(self, pipe: int, memory: SharedMemory, slot: Slot) -> None:
        self._pipe, self._memory, self._slot = pipe, memory, slot
        self._alias = conf.database()
        self._dead: dict[UUID, bool] = {}
        self._late: dict[UUID, float] = {}  # who died by accident and was released: until when it is watched
        self._late_at = 0.0
        self._living: dict[UUID, int] = {}
        self._extend_at = 0.0

    def run(self) -> None:
        """Until the supervisor closes the pipe."""
        buffer = b""
        while True:
            readable, _, _ = select.select([self._pipe], [], [], self._pause())
            if readable:
                chunk = os.read(self._pipe, 64 * MESSAGE)
                if not chunk:
                    break
                buffer = self._understand(buffer + chunk)
            self._work()
        self._work()
        connections.close_all()

    def _understand(self, buffer: bytes) -> bytes:
        """Messages: 2 + slot index announces a worker; 0 or 1 reports its end, orderly or by accident."""
        while len(buffer) >= MESSAGE:
            id, kind = UUID(bytes=buffer[:16]), buffer[16]
            if kind >= 2:
                self._living[id] = kind - 2
            else:
                self._living.pop(id, None)
                self._dead[id] = bool(kind)
            buffer = buffer[MESSAGE:]
        return buffer

    def _pause(self) -> float:
        pause = min(1.0, conf.lease() / 6)
        return 0.05 if self._dead else min(pause, LATE_EVERY) if self._late else pause

    def _work(self) -> None:
        try:
            self._release_dead()
            self._release_late()
            self._extend()
        except (ConnectionLost, AmbiguousCommit, DatabaseError, InterfaceError) as error:
            connections[self._alias].close()
            logger.debug("The keeper waits for the database: %s", error)

    def _release_dead(self) -> None:
        """Claims of the dead are free at once; an accident counts as a crash on each of their executions."""
        for crashed in (True, False):
            if ids := [id for id, accident in self._dead.items() if accident is crashed]:
                self._release(ids, crashed=crashed)

    def _release(self, ids: Sequence[UUID], *, crashed: bool) -> None:
        refused = self._free(ids, crashed=crashed)
        if crashed:
            take.free(self._alias)
        if self._may_hold_more(ids, refused):
            return
        now = database_now(self._alias)
        rows = Worker.objects.using(self._alias).filter(id__in=ids, stopped_at=None)
        repeated(self._alias, lambda: rows.update(stopped_at=now))
        for id in ids:
            if self._dead.pop(id):
                self._late[id] = monotonic() + LATE_SECONDS
                self._slot.add("released", True)

    def _release_late(self) -> None:
        """What the server has finished for somebody who was gone."""
        now = monotonic()
        if not self._late or now < self._late_at:
            return
        self._late_at = now + LATE_EVERY
        self._free(list(self._late), crashed=True)
        self._late = {id: until for id, until in self._late.items() if until > now}

    def _free(self, ids: Sequence[UUID], *, crashed: bool) -> set[UUID]:
        """Release what they held; the executions that the database keeps from it, whose leases must run out."""
        count, refused = release_all(self._alias, ids, crashed=crashed)
        if count:
            logger.info("released   %d executions of a worker that is gone", count)
            notify.notify(notify.ANY_QUEUE, self._alias)
        if refused:
            logger.error("The database refuses the release of %s", ", ".join(map(str, sorted(refused))))
        return refused

    def _may_hold_more(self, ids: Sequence[UUID], but: set[UUID]) -> bool:
        """A row that was locked by somebody is released with the next round."""
        dialect = dialect_of(connections[self._alias])
        held = reading(self._alias, lambda cursor: claims.held_by_any(cursor, dialect, ids))
        return not but.issuperset(held)

    def _extend(self) -> None:
        if monotonic() < self._extend_at:
            return
        self._extend_at = monotonic() + min(1.0, conf.lease() / 6)
        holding = [id for id, index in self._living.items() if self._is_well(index)]
        if not holding:
            return
        if refused := extend(self._alias, holding, conf.lease()):
            logger.error("The database refuses longer leases for %s", ", ".join(map(str, sorted(refused))))

    def _is_well(self, index: int) -> bool:
        slot = self._memory.slot(index)
        return slot.get("held") > 0 and monotonic() - slot.get("beat") < conf.hang_timeout()
