"""The behavioural suite in hostile surroundings: `HOSTILE=one-slot pytest tests/behaviour`. The same must come out.

In place of the harness's own loop, real pumps with real threads do what is due, each time until nothing is.
"""

from __future__ import annotations

import asyncio
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock
from uuid import uuid4

from django.conf import settings
from django.db import connection, connections

from django_workflows.authoring.current import entered
from django_workflows.clock import monotonic
from django_workflows.engine.database import notify, outages
from django_workflows.engine.handlers import invocation
from django_workflows.engine.worker import pump, thread_pool
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.engine.worker.chores import Attendant
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.executor import TurnExecutor
from django_workflows.engine.worker.keeper import Keeper
from django_workflows.engine.worker.loop_thread import LoopThread
from django_workflows.engine.worker.pump import Pump
from django_workflows.engine.worker.shared_memory import SharedMemory
from django_workflows.services import CHORES
from django_workflows.testing import Workflows
from tests.proof.database_faults import ACCIDENTS, Accidents
from tests.proof.tapping import tapped

PATIENCE = 20.0
LEASE, LONGER, SLOW_STEPS = 0.2, 0.25, 3  # so many steps of a test last longer than a lease: all would take hours
RATE, MOST_IN_A_ROW = 0.2, 10  # or a transaction of forty statements would hardly ever come to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """How workers work."""

    workers: int = 1
    threads: int = 4
    branch_threads: int = 8
    keeps_leases: bool = False
    rate: float = 0.0


SURROUNDINGS = {
    "one-slot": Surroundings(threads=1, branch_threads=0),
    "short-lease": Surroundings(workers=2, keeps_leases=True),
    "serialization": Surroundings(rate=RATE),
    "polling": Surroundings(),
}


class LiveWorkflows(Workflows):
    """The harness, with real workers in threads of this process."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__()
        self._surroundings = surroundings
        self._memory = SharedMemory(surroundings.workers)
        self._executors: list[TurnExecutor] = []
        self._pumps: list[Pump] = []
        self._errors: list[BaseException] = []

    def close(self) -> None:
        super().close()
        for executor in self._executors:
            loop = executor.loop
            if loop._started:
                loop.loop.call_soon_threadsafe(loop.loop.stop)
                loop._thread.join(PATIENCE)
            loop.loop.close()

    def run_until_idle(self, *, max_turns: int = 0) -> int:
        """Have workers do all that is due; how many turns ended."""
        before = self._turns
        self._pumps = pumps = [self._pump(index) for index in range(self._surroundings.workers)]
        threads = [threading.Thread(target=self._work, args=(one, index)) for index, one in enumerate(pumps)]
        with self._kept(pumps):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        if any(thread.is_alive() for thread in threads):
            for one in pumps:
                one.stop(0.0)
            raise AssertionError("The workers find no end.")
        if self._errors:
            raise self._errors.pop()
        return self._turns - before

    def _pump(self, index: int) -> Pump:
        core = Core(self._alias, (), partial(self.held, index))
        executor = TurnExecutor(
            core,
            threads=self._surroundings.threads,
            async_slots=self._surroundings.threads,
            branch_threads=self._surroundings.branch_threads,
            alone=False,
            on_exit=self._leave,
        )
        self._executors.append(executor)
        attendant = Attendant(core, CHORES)
        reporter = _Reporter(self)
        return Pump(core, uuid4(), capabilities_of(()), executor=executor, attendant=attendant, reporter=reporter)

    def _leave(self, error: BaseException) -> None:
        """What a worker does when user code asks for the end of the process."""
        self._errors.append(error)
        for one in self._pumps:
            one.stop(0.1, crashed=True)

    def _work(self, worker: Pump, index: int) -> None:
        rate, kinds = self._surroundings.rate, (ACCIDENTS[0],)
        accidents = Accidents(index, rate, lambda name: None, kinds=kinds, most=MOST_IN_A_ROW)
        hostile: AbstractContextManager[None] = (
            tapped(connection, accidents) if self._surroundings.rate else nullcontext()
        )
        try:
            with hostile:
                worker.run(until_idle=0.0)
        except BaseException as error:
            self._errors.append(error)
        finally:
            connections.close_all()

    _turns = 0

    def ended(self) -> None:
        self._turns += 1

    def held(self, index: int, count: int) -> None:
        self._memory.slot(index).set("held", float(count))
        self._memory.slot(index).set("beat", monotonic() + PATIENCE)

    @contextmanager
    def _kept(self, pumps: list[Pump]) -> Iterator[None]:
        """A keeper extends their leases meanwhile."""
        if not self._surroundings.keeps_leases:
            yield
            return
        read, write = os.pipe()
        for index, one in enumerate(pumps):
            os.write(write, one.worker.bytes + struct.pack("B", 2 + index))
        keeper = threading.Thread(target=Keeper(read, self._memory, self._memory.slot(0)).run)
        keeper.start()
        try:
            yield
        finally:
            os.close(write)
            keeper.join(PATIENCE)
            os.close(read)


class _Reporter:
    """Tells the harness what one of its pumps does."""

    def __init__(self, harness: LiveWorkflows) -> None:
        self._harness = harness

    def ended(self, turn: Any, ending: Any) -> None:
        self._harness.ended()

    def looked(self, peek: Any) -> None:
        """Nothing is to be known."""


@contextmanager
def surrounded_by(name: str) -> Iterator[LiveWorkflows]:
    """The harness in these surroundings."""
    own = {"POLL_INTERVAL": 0.02, "LISTEN_POLL_INTERVAL": 0.02}
    if name == "short-lease":
        own["LEASE"] = LEASE
    with (
        mock.patch.object(settings, "WORKFLOWS", {**getattr(settings, "WORKFLOWS", {}), **own}, create=True),
        mock.patch.object(pump, "IDLE_SECONDS", 0.01),
        mock.patch.object(thread_pool, "IDLE_SECONDS", 0.05),
        mock.patch.object(outages, "FIRST_PAUSE", 0.001),
        mock.patch.object(LoopThread, "_run", _run_until_stopped),
        mock.patch.object(invocation, "entered", _Slowly()) if name == "short-lease" else nullcontext(),
        _deaf() if name == "polling" else nullcontext(),
        LiveWorkflows(SURROUNDINGS[name]) as workflows,
    ):
        yield workflows


def _run_until_stopped(loop: LoopThread) -> None:
    """The thread of an event loop that ends with its test."""
    asyncio.set_event_loop(loop.loop)
    is_running = True
    while is_running:
        try:
            loop.loop.run_forever()
            is_running = False
        except (SystemExit, KeyboardInterrupt) as error:
            loop._on_exit(error)


@contextmanager
def _deaf() -> Iterator[None]:
    """Nobody is woken by anybody."""
    nothing: Callable[..., None] = lambda *args, **kwargs: None  # noqa: E731  # stands in for a function
    with mock.patch.object(notify, "notify", nothing), mock.patch.object(Pump, "wake_up", nothing):
        yield


class _Slowly:
    """In place of the variable that is set around each body: the first steps of a test last longer than a lease."""

    def __init__(self) -> None:
        self._left = [LONGER] * SLOW_STEPS

    def set(self, step: Any) -> Any:
        if self._left:
            time.sleep(self._left.pop())
        return entered.set(step)

    def reset(self, token: Any) -> None:
        entered.reset(token)
