"""What the tests of the application's door share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import connections, transaction

from django_workflows import client
from django_workflows.authoring.ports import ports as authoring_ports
from django_workflows.clock import DatabaseNow
from django_workflows.models import Execution, Status
from django_workflows.models import ports as models_ports

T = TypeVar("T")


class Operations:
    """Stands in for the verbs of the operations layer: `cancel` ends an execution at once."""

    def __init__(self) -> None:
        self.cancelled: dict[UUID, str] = {}

    def cancel(self, execution: Any, reason: str = "", *, by: Any = None) -> None:
        self.cancelled[execution.id] = reason
        finish(execution, Status.CANCELLED, reason=reason)


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authoring_ports, "client", client.door, raising=False)
    monkeypatch.setattr(models_ports, "client", client.door, raising=False)


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Operations:
    fake = Operations()
    monkeypatch.setattr(models_ports, "operations", fake, raising=False)
    return fake


def finish(execution: Any, status: Status = Status.COMPLETED, **fields: Any) -> None:
    """End an execution as a worker would."""
    rows = Execution.objects.filter(pk=execution.id)
    rows.update(status=status, completed_at=DatabaseNow(), wake_at=None, **fields)


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that does its work in vain."""
    with suppress(Undo), transaction.atomic():
        yield
        raise Undo


class Undo(Exception):
    """Ends `rolled_back()`."""


def at_the_same_instant(count: int, act: Callable[[int], T]) -> list[T]:
    """What `act(number)` returns in `count` threads that set out together, each with a connection of its own."""
    barrier = threading.Barrier(count)
    answers: dict[int, T] = {}
    errors: list[BaseException] = []

    def body(number: int) -> None:
        try:
            connections["default"].ensure_connection()
            barrier.wait(30)
            answers[number] = act(number)
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    return [answers[number] for number in range(count)]
