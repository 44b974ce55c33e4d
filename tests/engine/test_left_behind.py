"""OBS-09: the row of a worker names what runs on in it although nothing comes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from django_workflows.engine.worker.process import WorkerOptions, WorkerProcess
from django_workflows.engine.worker.shared_memory import Identity, SharedMemory
from django_workflows.models import Status, Worker
from tests.engine.test_in_flight import _turn
from tests.factories import make_execution, now

OPTIONS = WorkerOptions(queues=(), threads=2, async_slots=0, branch_threads=0, grace=1.0)


@pytest.fixture
def process(transactional_db: None) -> WorkerProcess:
    return WorkerProcess(Identity(id=uuid4(), index=0, alone=False), OPTIONS, SharedMemory(1).slot(0))


def _row_after_a_look(process: WorkerProcess) -> Worker:
    peek: Any = SimpleNamespace(now=now(), suspects=0)
    process._row_at = 0.0
    process.looked(peek)
    return Worker.objects.get(pk=process.identity.id)


def test_a_workers_row_names_what_is_left_behind_and_forgets_it_when_it_ends(process: WorkerProcess) -> None:
    execution = make_execution(Status.PENDING)
    turn = _turn(execution)
    process.executor._hold(turn)
    row = _row_after_a_look(process)
    assert (row.left_behind, row.slots_used) == (None, 1)

    process.core.release(turn)
    row = _row_after_a_look(process)
    assert [one["execution"] for one in row.left_behind or ()] == [str(execution.id)]
    assert row.slots_used == 1  # it is not held, but its slot is taken

    turn.flags.end()
    process.executor.left_behind.end(turn)
    row = _row_after_a_look(process)
    assert (row.left_behind, row.slots_used) == (None, 0)


def test_a_worker_that_has_nothing_left_behind_writes_nothing_of_it(process: WorkerProcess) -> None:
    _row_after_a_look(process)
    Worker.objects.filter(pk=process.identity.id).update(left_behind=["as it was"])
    assert _row_after_a_look(process).left_behind == ["as it was"]


def test_a_worker_that_ends_has_nothing_left_behind(process: WorkerProcess) -> None:
    process.executor._hold(turn := _turn(make_execution(Status.PENDING)))
    process.core.release(turn)
    assert _row_after_a_look(process).left_behind
    process._close_row()
    assert Worker.objects.get(pk=process.identity.id).left_behind is None
