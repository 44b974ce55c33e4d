"""One worker process: a pump, its executor, and the threads around them."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

from django_workflows import conf
from django_workflows.clock import database_now, monotonic
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.claims.worker_name import worker_name
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.database import forks, notify
from django_workflows.engine.database.listen import Listener
from django_workflows.engine.database.pulse import Pulse
from django_workflows.engine.database.transactions import repeated
from django_workflows.engine.turn import lifecycle
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.engine.worker.chores import Attendant, Chore
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.executor import TurnExecutor
from django_workflows.engine.worker.pump import Pump
from django_workflows.engine.worker.shared_memory import Identity, Slot
from django_workflows.models import Worker

logger = logging.getLogger("django_workflows")

BEAT_SECONDS = 0.2
ROW_SECONDS = 10.0
KEPT = timedelta(days=1)  # rows of workers that are gone
EXIT_ASKED_BY_USER_CODE = 3
YOUNG_OBJECTS = 10_000  # made since the last look for garbage: turns make many, and nearly all die by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How worker processes work; `until_idle` is the drain: end when nothing falls due within so many seconds."""

    queues: tuple[str, ...]
    threads: int
    async_slots: int
    branch_threads: int
    grace: float
    until_idle: float | None = None
    chores: tuple[Chore, ...] = ()


class WorkerProcess:
    """Runs in a forked process until it is told to stop; `run()` gives the exit status."""

    def __init__(self, identity: Identity, options: WorkerOptions, slot: Slot, lifeline: int | None = None) -> None:
        self.identity, self.options, self.slot = identity, options, slot
        self.alias = conf.database()
        self._lifeline = lifeline
        self._exit_status = 0
        self._ended = threading.Event()
        self._orders, self._orders_write = os.pipe()
        self._row_at = 0.0
        self._had_left = False
        capabilities = capabilities_of(options.queues, alone=identity.alone)
        self.core = Core(self.alias, capabilities.queues, self._tell_held)
        self.attendant = Attendant(self.core, options.chores)
        self.executor = TurnExecutor(
            self.core,
            threads=1 if identity.alone else options.threads,
            async_slots=0 if identity.alone else options.async_slots,
            branch_threads=options.branch_threads,
            alone=identity.alone,
            on_exit=self._on_exit,
        )
        self.pump = Pump(
            self.core,
            identity.id,
            capabilities,
            executor=self.executor,
            attendant=self.attendant,
            reporter=self,
        )

    def run(self) -> int:
        """Work until stopped, or drained."""
        gc.set_threshold(YOUNG_OBJECTS)
        self._start_thread(self._beat)
        self._start_thread(self._watch_orders)
        listener = self._listen()
        notify.subscribe(self.core.wake_up)
        if self.options.chores:
            self.attendant.start()
        try:
            self.pump.run(until_idle=2.0 if self.identity.alone else self.options.until_idle)
        finally:
            self._ended.set()
            self.attendant.stop(1.0)
            notify.unsubscribe(self.core.wake_up)
            if listener is not None:
                listener.stop(1.0)
            self._close_row()
        return self._exit_status

    def handle_signals(self) -> None:
        """SIGTERM drains; it may come twice, from a service manager too. Ctrl-C is the supervisor's, who passes it on,
        and who kills when it is told a second time.
        """
        forks.this_is_a_worker()
        signal.signal(signal.SIGINT, forks.ignore)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, number: int, frame: Any) -> None:
        os.write(self._orders_write, b"\0")  # no more: it may have interrupted somebody who holds a lock

    def _on_exit(self, error: BaseException) -> None:
        """A step called `sys.exit()`: the process ends in order, and its executions are taken up by others."""
        if not self._exit_status:
            logger.error("User code asked for the end of the process (%r); the worker exits.", error)
            self._exit_status = EXIT_ASKED_BY_USER_CODE
            self.pump.stop(0.5, crashed=True)

    def _start_thread(self, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=f"workflows-{target.__name__.strip('_')}", daemon=True).start()

    def _beat(self) -> None:
        """While all get on whom the others depend on: the pump, its attendant and the event loop."""
        pulses: list[Pulse] = [self.pump.pulse, self.attendant.pulse, self.executor.loop.pulse]
        complained = False
        while not self._ended.is_set():
            self.executor.loop.ask_for_sign()
            now = monotonic()
            silence, pulse = max(((pulse.silence(now), pulse) for pulse in pulses), key=itemgetter(0))
            self.slot.set("beat", now - silence)
            if (is_late := silence > conf.hang_timeout() / 2) and not complained:
                _complain(pulse, silence)
            complained = is_late
            self._ended.wait(BEAT_SECONDS)

    def _watch_orders(self) -> None:
        """Wait for SIGTERM, and for the supervisor's end of the lifeline to close: then nobody extends leases."""
        sources = [source for source in (self._orders, self._lifeline) if source is not None]
        while True:
            readable, _, _ = select.select(sources, [], [])
            if self._orders in readable:
                os.read(self._orders, 1)
                self.pump.stop(self.options.grace)
                logger.debug("draining   worker %d begins nothing more", os.getpid())
            if self._lifeline in readable:
                break
        if not self._ended.is_set():
            logger.warning("The supervisor is gone; worker %d ends.", os.getpid())
            self.pump.stop(min(self.options.grace, conf.lease() / 2))

    def _listen(self) -> Listener | None:
        if not notify.can_notify(self.alias):
            return None
        listener = Listener(self.alias, self.core.wake_up, self._tell_listening)
        listener.start()
        return listener

    # what the pump reports

    def ended(self, turn: Turn, ending: Ending) -> None:
        """Count it, say what people want to know, and tell the receivers of Django's signals."""
        self.slot.add("turns")
        self.slot.add("steps", turn.steps)
        claimed = turn.claimed
        if ending.end is End.COMPLETE:
            self.slot.add("completed")
            logger.debug("completed  %s %s", claimed.workflow, claimed.id)
        elif ending.end is End.FAIL:
            self.slot.add("failed")
            logger.warning("failed     %s %s: %s", claimed.workflow, claimed.id, ending.reason)
        elif ending.end is End.PAUSE:
            logger.warning("paused     %s %s: %s", claimed.workflow, claimed.id, ending.reason)
        elif ending.end is End.SUSPEND:
            self.slot.add("parked")
        if lifecycle.has_listeners(ending):
            self.executor.pool.submit(lambda: lifecycle.announce(turn, ending))

    def looked(self, peek: Peek) -> None:
        self.slot.set("suspects", float(peek.suspects))
        self._keep_row(peek)

    def _tell_held(self, count: int) -> None:
        self.slot.set("held", float(count))

    def _tell_listening(self, listening: bool) -> None:
        self.core.polling.is_listening = listening

    # its row in the database

    def _keep_row(self, peek: Peek) -> None:
        if monotonic() >= self._row_at:
            self._row_at = monotonic() + ROW_SECONDS
            values = {"seen_at": peek.now, "slots_used": len(self.core.held), **self._left_behind(peek)}
            repeated(self.alias, lambda: self._write_row(peek, values))

    def _left_behind(self, peek: Peek) -> dict[str, Any]:
        """What runs on though nobody waits for it; written only while there is any, and once afterwards."""
        left = self.executor.left_behind.look(peek.now)
        had_left, self._had_left = self._had_left, bool(left)
        if not left:
            return {"left_behind": None} if had_left else {}
        return {"left_behind": left, "slots_used": len(self.core.held) + len(self.executor.left_behind.turns())}

    def _write_row(self, peek: Peek, values: dict[str, Any]) -> None:
        if not Worker.objects.using(self.alias).filter(id=self.identity.id).update(**values):
            self._create_row(peek, values)

    def _create_row(self, peek: Peek, values: dict[str, Any]) -> None:
        alias = self.alias
        Worker.objects.using(alias).filter(seen_at__lt=peek.now - KEPT).delete()
        served: dict[str, list[int]] = {}
        for name, version in self.pump.capabilities.served:
            served.setdefault(name, []).append(version)
        Worker.objects.using(alias).create(
            id=self.identity.id,
            name=worker_name(),
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self.pump.capabilities.queues),
            workflows=served,
            slots=1 if self.identity.alone else self.options.threads + self.options.async_slots,
            alone=self.identity.alone,
            started_at=peek.now,
            **values,
        )

    def _close_row(self) -> None:
        try:
            rows, now = Worker.objects.using(self.alias).filter(id=self.identity.id), database_now(self.alias)
            repeated(self.alias, lambda: rows.update(stopped_at=now, slots_used=0, left_behind=None))
        except (DatabaseError, InterfaceError):
            logger.debug("The worker's row could not be closed", exc_info=True)
        connections.close_all()


def _complain(pulse: Pulse, silence: float) -> None:
    """Before the worker is killed for it: who hangs, and where."""
    frame = sys._current_frames().get(pulse.thread)
    where = "".join(traceback.format_stack(frame)) if frame is not None else ""
    logger.error("%s has not got on for %.1f s. It is here:\n%s", pulse.name.capitalize(), silence, where)
