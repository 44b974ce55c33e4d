"""Pumps for tests: with an executor that is made up, or with a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from django_workflows import conf
from django_workflows.engine.worker.capabilities import Capabilities
from django_workflows.engine.worker.chores import Attendant, Chore
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.executor import TurnExecutor
from django_workflows.engine.worker.pump import Executor, Pump, Reporter

NOTHING = Capabilities(queues=(), plain=(), asynchronous=())


class Silent:
    """Tells nobody what a pump does."""

    def ended(self, *args: Any) -> None: ...
    def looked(self, *args: Any) -> None: ...


class Full:
    """Has so many free slots, and begins nothing."""

    def __init__(self, plain: int = 0, asynchronous: int = 0) -> None:
        self._free = (plain, asynchronous)

    def free(self) -> tuple[int, int]:
        return self._free

    def execute(self, loaded: Any, clock: Any) -> list[Any]:
        return []


def make_pump(
    capabilities: Capabilities = NOTHING,
    *,
    worker: UUID | None = None,
    executor: Executor | None = None,
    reporter: Reporter | None = None,
    chores: Sequence[Chore] = (),
) -> Pump:
    """A pump whose executor begins nothing, if none is given."""
    core = Core(conf.database(), capabilities.queues)
    return Pump(
        core,
        worker or uuid4(),
        capabilities,
        executor=executor or Full(),
        attendant=Attendant(core, chores),
        reporter=reporter or Silent(),
    )


def make_working_pump(
    capabilities: Capabilities,
    *,
    reporter: Reporter | None = None,
    chores: Sequence[Chore] = (),
    threads: int = 2,
    on_exit: Callable[[BaseException], None] = lambda error: None,
) -> Pump:
    """A pump that executes `def` workflows in threads of this process."""
    core = Core(conf.database(), capabilities.queues)
    executor = TurnExecutor(
        core, threads=threads, async_slots=0, branch_threads=0, alone=capabilities.alone, on_exit=on_exit
    )
    return Pump(
        core,
        uuid4(),
        capabilities,
        executor=executor,
        attendant=Attendant(core, chores),
        reporter=reporter or Silent(),
    )
