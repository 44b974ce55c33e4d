"""Messages to one execution."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from django_workflows import client
from django_workflows.clock import DatabaseNow
from django_workflows.exceptions import ExecutionNotFound, InvalidInput, PayloadError, TransitionError
from django_workflows.models import Execution, Signal, Status
from tests.client.conftest import at_the_same_instant, finish, rolled_back
from tests.client.samples import door_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def execution(db: None) -> Execution:
    return client.start_or_get(door_order, 7)[0]


def suspend(execution: Execution, *, minutes: int | None = 60) -> None:
    wake_at = None if minutes is None else DatabaseNow() + timedelta(minutes=minutes)
    Execution.objects.filter(pk=execution.pk).update(status=Status.WAITING, wake_at=wake_at)


def test_a_signal_is_numbered_by_the_inbox(execution: Execution) -> None:
    first, second = execution.signal("approve", {"by": "ada"}), client.signal(str(execution.id), "approve")
    assert isinstance(first, Signal)
    assert (first.number, second.number) == (1, 2)
    for given in (first, second):
        stored = Signal.objects.get(pk=given.pk)
        for field in Signal._meta.concrete_fields:
            assert getattr(given, field.attname) == getattr(stored, field.attname), field.attname
    assert Signal.objects.get(number=1).data == {"by": "ada"}
    execution.refresh_from_db()
    assert execution.inbox == 2


def test_a_signal_is_one_statement(execution: Execution, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Two on SQLite, where a statement cannot write to two tables."""
    with django_assert_num_queries(2 if connection.vendor == "sqlite" else 1):
        client.signal(execution, "approve")


@pytest.mark.parametrize("minutes", [60, None])
def test_a_signal_wakes_a_waiting_execution(execution: Execution, minutes: int | None) -> None:
    suspend(execution, minutes=minutes)
    client.signal(execution, "approve")
    assert list(Execution.objects.due()) == [execution]


def test_a_signal_never_wakes_later_than_planned(execution: Execution) -> None:
    suspend(execution, minutes=-5)
    before = Execution.objects.get().wake_at
    client.signal(execution, "approve")
    assert Execution.objects.get().wake_at == before


@pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.PAUSED])
def test_a_signal_wakes_nothing_but_a_waiting_execution(execution: Execution, status: Status) -> None:
    """EVT-02: it is kept; no lease is stolen, no delay cut short, no pause ended."""
    suspend(execution)
    Execution.objects.update(status=status)
    before = Execution.objects.get()
    client.signal(execution, "approve")
    after = Execution.objects.get()
    assert (after.wake_at, after.status, after.inbox) == (before.wake_at, status, 1)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.ROLLING_BACK])
def test_an_execution_that_has_ended_refuses_signals(execution: Execution, status: Status) -> None:
    """EVT-12: never acknowledged and lost; and the caller's transaction goes on."""
    Execution.objects.update(status=status)
    with transaction.atomic():
        with pytest.raises(TransitionError) as caught:
            client.signal(execution, "approve")
        assert Execution.objects.get().inbox == 0
    assert (caught.value.verb, caught.value.status) == ("signal", status)
    assert not Signal.objects.exists()


def test_the_same_message_counts_once(execution: Execution) -> None:
    """EVT-08: it gives back the first one, and the caller's transaction goes on."""
    with transaction.atomic():
        first = client.signal(execution, "approve", 1, message_id="mail-1")
        assert client.signal(execution, "approve", 2, message_id="mail-1") == first
        other = client.signal(execution, "approve", 3, message_id="mail-2")
    assert [signal.data for signal in Signal.objects.order_by("number")] == [1, 3]
    assert (other.number, Execution.objects.get().inbox) == (2, 2)


def test_the_same_message_counts_once_after_the_end_too(execution: Execution) -> None:
    first = client.signal(execution, "approve", message_id="mail-1")
    finish(execution)
    assert client.signal(execution, "approve", message_id="mail-1") == first


def test_a_message_id_belongs_to_its_execution(execution: Execution) -> None:
    other = door_order.start(8)
    client.signal(execution, "approve", message_id="mail-1")
    assert client.signal(other, "approve", message_id="mail-1").execution_id == other.id


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x00b", "a\nb", 7])
def test_bad_names_are_refused_by_field(execution: Execution, name: Any) -> None:
    """EXE-14."""
    with pytest.raises(InvalidInput) as caught:
        client.signal(execution, name)
    assert list(caught.value.errors) == ["name"]
    with pytest.raises(InvalidInput) as caught:
        client.signal(execution, "approve", message_id=name if name != "x" * 201 else "x" * 256)
    assert list(caught.value.errors) == ["message_id"]
    assert Execution.objects.get().inbox == 0


@pytest.mark.parametrize("data", ["nul \x00", "half \ud800", float("nan"), object(), "x" * 2**20])
def test_data_that_cannot_be_stored_is_refused(execution: Execution, data: Any) -> None:
    """SER-08: the same outcome on every database."""
    with pytest.raises(PayloadError):
        client.signal(execution, "approve", data)
    assert Execution.objects.get().inbox == 0


@pytest.mark.parametrize("data", [None, 0, "", [], {}, False])
def test_falsy_data_is_data(execution: Execution, data: Any) -> None:
    """EXE-10."""
    client.signal(execution, "approve", data)
    assert Signal.objects.get().data == data


@pytest.mark.django_db(transaction=True)
def test_a_signal_belongs_to_the_callers_transaction() -> None:
    """DBF-18."""
    execution = door_order.start(7)
    with rolled_back():
        client.signal(execution, "approve")
    assert not Signal.objects.exists()
    assert Execution.objects.get().inbox == 0


@pytest.mark.django_db(transaction=True)
def test_simultaneous_signals_are_all_stored_and_numbered() -> None:
    """EVT-09: each sender's in its order."""
    execution = door_order.start(7)

    def act(number: int) -> list[int]:
        return [client.signal(execution, "approve", number).number for _ in range(10)]

    sent = at_the_same_instant(8, act)
    assert all(numbers == sorted(numbers) for numbers in sent)
    assert sorted(Signal.objects.values_list("number", flat=True)) == list(range(1, 81))
    assert Execution.objects.get().inbox == 80


@pytest.mark.django_db(transaction=True)
def test_the_same_message_sent_simultaneously_counts_once() -> None:
    """EVT-08."""
    execution = door_order.start(7)
    sent = at_the_same_instant(8, lambda number: client.signal(execution, "approve", number, message_id="mail-1").id)
    assert set(sent) == {Signal.objects.get().id}


def test_an_execution_that_was_deleted_is_not_found(execution: Execution) -> None:
    """EXE-12."""
    id = execution.id
    execution.delete()
    with pytest.raises(ExecutionNotFound, match=str(id)):
        client.signal(id, "approve")
