"""When a drain is over: nothing was due for a while, and what the dead held is free again."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from django_workflows.clock import monotonic
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.worker import keeper, pump
from django_workflows.engine.worker.capabilities import Capabilities
from django_workflows.engine.worker.process import WorkerOptions
from django_workflows.engine.worker.pump import IDLE_SECONDS
from django_workflows.engine.worker.shared_memory import Identity
from django_workflows.engine.worker.supervisor import Supervisor, _Child
from django_workflows.models import Status
from tests.engine.pumps import make_pump
from tests.factories import make_execution

DRAIN = WorkerOptions(queues=(), threads=1, async_slots=0, branch_threads=0, grace=1.0, until_idle=0.0)


PLAIN = Capabilities(queues=(), plain=(("w", 1),), asynchronous=())


class Looks:
    """An executor without slots that are taken, and a reporter of every look."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def free(self) -> tuple[int, int]:
        return 1, 0

    def execute(self, loaded: Any, clock: Any) -> list[Any]:
        return []

    def ended(self, *args: Any) -> None: ...

    def looked(self, peek: Peek) -> None:
        self.at.append(monotonic())


@pytest.mark.django_db
def test_the_last_look_comes_after_the_idle_time() -> None:
    """What the keeper releases within that time is found."""
    looks = Looks()
    worker = make_pump(PLAIN, executor=looks, reporter=looks)
    began = monotonic()
    worker.run(until_idle=0.0)
    assert looks.at[-1] - began >= IDLE_SECONDS


@pytest.mark.django_db
def test_a_drain_goes_on_after_a_chore_that_moved_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the look was: an event that was delivered then has woken somebody."""
    monkeypatch.setattr(pump, "IDLE_SECONDS", 0.0)
    moves, looks = iter([True]), Looks()
    worker = make_pump(PLAIN, executor=looks, reporter=looks, chores=[lambda alias, peek: next(moves, False)])
    worker.run(until_idle=0.0)
    assert len(looks.at) == 2


@pytest.mark.django_db(transaction=True)
def test_a_drain_goes_on_after_a_chore_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database was away for a moment: what the chore was to do is still to be done."""
    monkeypatch.setattr(pump, "IDLE_SECONDS", 0.0)
    failures, looks = iter([OperationalError("database is locked")]), Looks()

    def fail_once(alias: str, peek: Peek) -> bool:
        for error in failures:
            raise error
        return False

    worker = make_pump(PLAIN, executor=looks, reporter=looks, chores=[fail_once])
    worker.run(until_idle=0.0)
    assert len(looks.at) == 2


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(DRAIN, 2, on_tick=lambda totals: None)


def _child(index: int) -> _Child:
    return _Child(os.getpid(), Identity(uuid4(), index))


@pytest.mark.django_db
def test_nobody_has_drained_before_the_keeper_has_released_what_the_dead_held(supervisor: Supervisor) -> None:
    read, supervisor._keeper_pipe = os.pipe()
    one = keeper.Keeper(read, supervisor._memory, supervisor._keeper_slot)
    dead, replacement, other = _child(0), _child(0), _child(1)
    assert dead.identity is not None
    make_execution(Status.RUNNING, claimed_by=dead.identity.id)
    supervisor._bury(dead, -9)
    supervisor._bury(replacement, 0)
    assert supervisor._missing() == {0, 1}  # it is to look again

    one._understand(os.read(read, 1000))
    one._work()
    supervisor._bury(replacement, 0)
    supervisor._bury(other, 0)
    assert supervisor._missing() == set()
    os.close(read)


@pytest.mark.django_db
def test_a_claim_that_was_under_way_when_its_worker_died_is_released_too(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CRS-01: the server stores it for somebody who is gone, after the keeper has looked."""
    read, supervisor._keeper_pipe = os.pipe()
    memory = supervisor._memory
    one, dead = keeper.Keeper(read, memory, supervisor._keeper_slot), _child(0)
    assert dead.identity is not None
    supervisor._bury(dead, -9)
    one._understand(os.read(read, 1000))
    one._work()
    late = make_execution(Status.RUNNING, claimed_by=dead.identity.id, claim=4)
    monkeypatch.setattr(one, "_late_at", 0.0)
    one._work()
    late.refresh_from_db()
    assert (late.status, late.claim, late.crashes) == (Status.PENDING, 5, 1)
    assert one._pause() <= keeper.LATE_EVERY

    monkeypatch.setattr(keeper, "monotonic", lambda: monotonic() + keeper.LATE_SECONDS + 1)
    one._work()
    assert not one._late
    assert supervisor._keeper_slot.get("released") == 1
    os.close(read)


def test_a_new_keeper_hears_of_every_death_once(supervisor: Supervisor) -> None:
    deaths = [(uuid4(), 1) for _ in range(3)]
    for id, kind in deaths:
        supervisor._tell_keeper(id, kind)
    for _ in range(2):
        read, supervisor._keeper_pipe = os.pipe()
        supervisor._tell_new_keeper()
        told = os.read(read, 1000)
        assert told == b"".join(id.bytes + bytes([kind]) for id, kind in deaths)
        os.close(read)
