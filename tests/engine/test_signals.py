"""Django's signals of the engine: an execution that begins is told of once, by the worker that has begun it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from django_workflows import Context, signals, workflow
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.models import Execution
from django_workflows.testing import Workflows
from tests.engine.pumps import make_working_pump

Heard = list[tuple[UUID, str]]


@pytest.fixture
def heard() -> Iterator[Heard]:
    told: Heard = []

    def hear(sender: Any, execution_id: UUID, workflow: str, **more: Any) -> None:
        told.append((execution_id, workflow))

    signals.execution_started.connect(hear, sender=Execution)
    yield told
    signals.execution_started.disconnect(hear, sender=Execution)


def test_the_beginning_of_an_execution_is_told_once_however_many_turns_it_takes(
    workflows: Workflows, heard: Heard
) -> None:
    @workflow(name="told")
    def told(ctx: Context) -> None:
        ctx.wait_for_signal("go")

    execution = told.start()
    workflows.run_until_idle()
    execution.signal("go")
    workflows.result(execution)
    assert heard == [(execution.id, "told")]


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_of_what_it_begins(names: None) -> None:
    is_told, ids = threading.Event(), list[UUID]()

    def hear(sender: Any, execution_id: UUID, **more: Any) -> None:
        ids.append(execution_id)
        is_told.set()

    @workflow(name="told by a worker")
    def told(ctx: Context) -> None: ...

    execution = told.start()
    signals.execution_started.connect(hear, sender=Execution)
    try:
        make_working_pump(capabilities_of(["default"])).run(until_idle=0.0)
        assert is_told.wait(60)
    finally:
        signals.execution_started.disconnect(hear, sender=Execution)
    assert ids == [execution.id]


def test_a_receiver_that_fails_harms_nothing(workflows: Workflows, caplog: pytest.LogCaptureFixture) -> None:
    def fail(sender: Any, **more: Any) -> None:
        raise LookupError("nobody there")

    @workflow(name="told in vain")
    def told(ctx: Context) -> int:
        return 1

    signals.execution_started.connect(fail, sender=Execution)
    try:
        assert workflows.result(told.start()) == 1
    finally:
        signals.execution_started.disconnect(fail, sender=Execution)
    assert "STARTED failed" in caplog.text
