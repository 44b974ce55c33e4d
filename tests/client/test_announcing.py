"""What follows a commit: wake-ups, and progress in the caller's process with `EAGER`."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks
from pytest_django.fixtures import Settings

from django_workflows import client
from django_workflows.engine.database import notify
from django_workflows.engine.database.notify import ANY_QUEUE
from django_workflows.engine.events.after_commit import ports
from tests.client.conftest import rolled_back
from tests.client.samples import door_import, door_order


class Driver:
    """Remembers what it was to drive, and whether that was committed."""

    def __init__(self) -> None:
        self.driven: list[UUID] = []
        self.dispatched: list[UUID] = []

    def drive(self, execution_id: UUID) -> None:
        self.driven.append(execution_id)

    def dispatch(self, event_id: UUID) -> None:
        self.dispatched.append(event_id)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Driver:
    fake = Driver()
    monkeypatch.setattr(ports, "driver", fake, raising=False)
    settings.WORKFLOWS = {"EAGER": True}
    return fake


@pytest.fixture
def heard() -> Iterator[list[str]]:
    queues: list[str] = []

    def hear(queue: str, priority: int | None = None) -> None:
        queues.append(queue if priority is None else f"{queue} {priority}")

    notify.subscribe(hear)
    yield queues
    notify.unsubscribe(hear)


@pytest.mark.django_db(transaction=True)
def test_workers_are_woken_after_the_commit(heard: list[str]) -> None:
    """EXE-06: not before, and not after a rollback."""
    with transaction.atomic():
        execution = door_import.start("a.csv")
        execution.signal("approve")
        client.send_event("order.paid")
        client.start_many(door_order, [{"order_id": 1}, {"order_id": 2}])
        assert heard == []
    assert heard == ["bulk 3", "bulk 3", ANY_QUEUE, "default 0"]
    with rolled_back():
        door_import.start("b.csv")
    assert len(heard) == 4


@pytest.mark.django_db(transaction=True)
def test_workers_are_woken_at_once_without_a_transaction(heard: list[str]) -> None:
    door_import.start("a.csv")
    assert heard == ["bulk 3"]


@pytest.mark.django_db(transaction=True)
def test_nobody_is_woken_for_what_existed_already(heard: list[str]) -> None:
    keyed = door_order.using(key="order-7")
    execution = keyed.start(7)
    execution.signal("approve", message_id="mail-1")
    client.send_event("order.paid", id="paid-7")
    seen = list(heard)
    keyed.start(7)
    execution.signal("approve", message_id="mail-1")
    client.send_event("order.paid", id="paid-7")
    client.start_many(keyed, [{"order_id": 7}])
    assert heard == seen


@pytest.mark.django_db(transaction=True)
def test_a_project_that_commits_by_hand_can_start_executions(heard: list[str]) -> None:
    transaction.set_autocommit(False)
    try:
        door_order.start(7).signal("approve")
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert heard == []


@pytest.mark.django_db
def test_captured_callbacks_wake_workers_in_a_test_case(
    heard: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        door_order.start(7)
    assert heard == ["default 0"]


@pytest.mark.django_db(transaction=True)
def test_eager_executions_are_driven_on_commit(driver: Driver) -> None:
    with transaction.atomic():
        execution = door_order.start(7)
        event = client.send_event("order.paid")
        assert driver.driven == []
    assert driver.driven == [execution.id]
    assert driver.dispatched == [event.id]
    execution.signal("approve")
    assert driver.driven == [execution.id, execution.id]


@pytest.mark.django_db(transaction=True)
def test_eager_executions_that_were_rolled_back_are_not_driven(driver: Driver) -> None:
    with rolled_back():
        door_order.start(7)
    assert driver.driven == []


@pytest.mark.django_db
def test_eager_executions_are_driven_at_once_in_a_test_case(driver: Driver) -> None:
    execution = door_order.start(7)
    assert driver.driven == [execution.id]
    with transaction.atomic():
        inner = door_order.start(8)
    assert driver.driven == [execution.id, inner.id]


@pytest.mark.django_db
def test_every_new_execution_of_a_bulk_start_is_driven(driver: Driver) -> None:
    started = client.start_many(door_order, [{"order_id": 1}, {"order_id": 2}])
    assert driver.driven == [execution.id for execution in started]
