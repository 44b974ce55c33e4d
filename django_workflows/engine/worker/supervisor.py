"""`runworkflows` itself: forks the workers and the keeper, and replaces what dies.

It loads Django once and never opens a database connection, since forking with one open is unsafe; so a replacement is
there in well under a second.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.db import connections

from django_workflows import conf
from django_workflows.clock import monotonic
from django_workflows.engine.database.transactions import own_connection
from django_workflows.engine.worker.keeper import Keeper
from django_workflows.engine.worker.process import WorkerOptions, WorkerProcess
from django_workflows.engine.worker.shared_memory import COUNTERS, Identity, SharedMemory

logger = logging.getLogger("django_workflows")

MOST_ALONE = 8
TICK_SECONDS = 0.05
RESTART_PAUSE = 0.5  # before a worker that died young is replaced
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STARTED_LATE = 30.0  # a worker may take so long to beat for the first time


@dataclass(slots=True)
class _Child:
    """A forked process."""

    pid: int
    identity: Identity | None  # none for the keeper
    born: float = field(default_factory=monotonic)


class Supervisor:
    """Keeps `processes` workers and one keeper alive until it is told to stop, or until they have drained."""

    def __init__(self, options: WorkerOptions, processes: int, *, on_tick: Callable[[dict[str, float]], None]) -> None:
        self._options, self._processes, self._on_tick = options, processes, on_tick
        self._most_alone = 1 if conf_is_sqlite() else MOST_ALONE
        self._memory = SharedMemory(processes + self._most_alone + 1)
        self._keeper_slot = self._memory.slot(processes + self._most_alone)
        self._children: dict[int, _Child] = {}
        self._keeper_pipe = -1
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._terms = self._obeyed = 0  # requests to stop: received, acted upon
        self._respawn_at = self._patient_until = 0.0
        self._looked_at = monotonic()
        self._totals = dict.fromkeys(COUNTERS, 0.0)
        self._forgotten: list[tuple[UUID, int]] = []  # deaths that a new keeper must hear of
        self._deaths = 0  # that this keeper was told of
        self._drained: set[int] = set()  # places whose worker found nothing left to do
        self._bereaved = 0  # one-slot workers that died with what they executed
        self._status = 0

    def run(self) -> int:
        """The exit status: 0, or that of a worker which could not go on."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        gc.collect()
        gc.freeze()  # what is loaded now stays for good: no worker need go through it again and again
        self._replace()
        while not self._is_finished():
            self._obey()
            self._reap()
            self._replace()
            self._kill_hanging()
            self._on_tick(self.totals())
            time.sleep(TICK_SECONDS)
        self._end_keeper()
        return self._status

    def totals(self) -> dict[str, float]:
        """The counters of all workers, the dead included."""
        living = [child.identity for child in self._children.values() if child.identity is not None]
        slots = [self._memory.slot(identity.index) for identity in living]
        totals = {name: self._totals[name] + sum(slot.get(name) for slot in slots) for name in COUNTERS}
        return {**totals, "held": sum(slot.get("held") for slot in slots), "workers": float(len(living))}

    def _workers(self) -> list[_Child]:
        return [child for child in self._children.values() if child.identity is not None]

    def _missing(self) -> set[int]:
        """Places of workers that should be there."""
        present = {child.identity.index for child in self._workers() if child.identity is not None}
        return set(range(self._processes)) - present - self._drained

    def _is_finished(self) -> bool:
        return not self._workers() and (self._is_stopping or not (self._missing() or self._bereaved))

    @property
    def _is_stopping(self) -> bool:
        return self._terms > 0

    def _on_signal(self, number: int, frame: Any) -> None:
        self._terms += 1  # no more: it may have interrupted anything

    def _obey(self) -> None:
        """The first request lets workers drain, the second ends them."""
        if self._terms == self._obeyed:
            return
        if not self._obeyed:
            logger.info("stopping   what is in flight gets %g s; once more stops at once", self._options.grace)
        self._obeyed = self._terms
        for child in self._workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM if self._terms == 1 else signal.SIGKILL)

    # forking

    def _fork_keeper(self) -> None:
        read, write = os.pipe()
        self._keeper_slot.clear()
        pid = self._fork(lambda: self._be_keeper(read, write))
        os.close(read)
        self._keeper_pipe = write
        self._children[pid] = _Child(pid, None)
        self._tell_new_keeper()

    def _tell_new_keeper(self) -> None:
        self._deaths = 0
        for child in self._workers():
            assert child.identity is not None
            self._tell_keeper(child.identity.id, 2 + child.identity.index)
        forgotten, self._forgotten = self._forgotten, []
        for id, kind in forgotten:
            self._tell_keeper(id, kind)

    def _be_keeper(self, read: int, write: int) -> int:
        os.close(write)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._hear_signals()
        own_connection(conf.database())
        Keeper(read, self._memory, self._keeper_slot).run()
        return 0

    def _fork_worker(self, index: int, *, alone: bool = False) -> None:
        identity = Identity(uuid4(), index, alone)
        self._memory.slot(index).clear()
        self._tell_keeper(identity.id, 2 + index)
        pid = self._fork(lambda: self._be_worker(identity))
        self._children[pid] = _Child(pid, identity)

    def _be_worker(self, identity: Identity) -> int:
        os.close(self._keeper_pipe)
        worker = WorkerProcess(identity, self._options, self._memory.slot(identity.index), lifeline=self._lifeline_read)
        worker.handle_signals()
        self._hear_signals()
        own_connection(conf.database())
        return worker.run()

    def _hear_signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _fork(self, body: Callable[[], int]) -> int:
        """`body` calls `_hear_signals()` when the child handles them itself: what comes before that is not lost."""
        for connection in connections.all(initialized_only=True):
            connection.close()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid:
            self._hear_signals()
            return pid
        status = 1
        try:
            os.close(self._lifeline_write)
            status = body()
        except BaseException:
            logger.exception("A process of runworkflows ends with an error")
        finally:
            logging.shutdown()
            os._exit(status)

    # watching

    def _tell_keeper(self, id: UUID, kind: int) -> None:
        if kind < 2:
            self._forgotten = [*self._forgotten[-99:], (id, kind)]
            self._deaths += kind
        if self._keeper_pipe >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._keeper_pipe, id.bytes + bytes([kind]))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (child := self._children.pop(pid, None)) is not None:
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, code: int) -> None:
        if child.identity is None:
            os.close(self._keeper_pipe)
            self._keeper_pipe = -1
            self._pause_after(child)
            logger.warning("keeper     process %d is gone (%d); starting another", child.pid, code)
            return
        slot = self._memory.slot(child.identity.index)
        for name in COUNTERS:
            self._totals[name] += slot.get(name)
        slot.clear()
        by_accident = code != 0 and self._terms < 2
        self._tell_keeper(child.identity.id, int(by_accident))
        if by_accident:
            what = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
            logger.warning("died       worker process %d, %s; its executions are released", child.pid, what)
            self._pause_after(child)
            self._bereaved += child.identity.alone
        elif child.identity.alone:
            self._drained.clear()  # what goes on after a step that was run alone may be for the others
        elif self._options.until_idle is not None and self._keeper_slot.get("released") >= self._deaths:
            self._drained.add(child.identity.index)  # else what the dead held may not have been due yet when it looked

    def _pause_after(self, child: _Child) -> None:
        if monotonic() - child.born < RESTART_PAUSE:
            self._respawn_at = monotonic() + RESTART_PAUSE

    def _replace(self) -> None:
        """Fork what is missing: the keeper, workers that died, one-slot workers for executions that killed theirs."""
        if monotonic() < self._respawn_at:
            return
        if self._keeper_pipe < 0:
            self._fork_keeper()
        if self._is_stopping:
            return
        for index in self._missing():
            self._fork_worker(index)
        places = range(self._processes, self._processes + self._most_alone)
        taken = {child.identity.index for child in self._workers() if child.identity is not None}
        suspects = max((int(self._memory.slot(index).get("suspects")) for index in taken), default=0)
        wanted = min(max(suspects, self._bereaved), self._most_alone) - len(taken.intersection(places))
        for index in [index for index in places if index not in taken][: max(wanted, 0)]:
            self._fork_worker(index, alone=True)
            self._bereaved = max(self._bereaved - 1, 0)

    def _kill_hanging(self) -> None:
        """A worker whose beat has stopped holds the GIL, or was stopped: it is killed, and counts as crashed."""
        timeout, now = conf.hang_timeout(), monotonic()
        if now - self._looked_at > 1:  # this process was stopped too: give them time to beat again
            self._patient_until = now + timeout
        self._looked_at = now
        if now < self._patient_until:
            return
        for child in self._workers():
            assert child.identity is not None
            beat = self._memory.slot(child.identity.index).get("beat") or child.born + STARTED_LATE
            if now - beat > timeout:
                logger.warning("hanging    worker process %d has not beaten for %g s; killing it", child.pid, timeout)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)

    def _end_keeper(self) -> None:
        """The last words are read before the pipe's end: what the dead held is free before we go."""
        os.close(self._keeper_pipe)
        for child in list(self._children.values()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)


def conf_is_sqlite() -> bool:
    """Whether the engine's database is SQLite; asks the settings, opens nothing."""
    return connections[conf.database()].vendor == "sqlite"
