"""One execution per key: what happens when somebody holds it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from django_workflows import client
from django_workflows.exceptions import KeyConflict
from django_workflows.models import Execution, Status
from tests.client.conftest import Operations, at_the_same_instant, finish, rolled_back
from tests.client.samples import door_import, door_order

pytestmark = pytest.mark.django_db

keyed = door_order.using(key="order-7")
imported = door_order.using(idempotency_key="import-7")


def test_an_unfinished_execution_holds_its_key() -> None:
    first, is_new = client.start_or_get(keyed, 7)
    second, is_second_new = client.start_or_get(keyed, 8)
    assert second == first
    assert (is_new, is_second_new) == (True, False)
    assert second.input == {"order_id": 7}
    assert Execution.objects.count() == 1


@pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED, Status.ROLLING_BACK])
def test_every_unfinished_status_counts_as_in_progress(status: Status) -> None:
    first = keyed.start(7)
    Execution.objects.update(status=status)
    assert keyed.start(7) == first


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_finished_execution_frees_its_key(status: Status) -> None:
    """EXE-04: a business key starts anew."""
    first = keyed.start(7)
    finish(first, status)
    assert keyed.start(7) != first


def test_a_key_belongs_to_its_workflow() -> None:
    """EXE-05: others with the same key are independent."""
    keyed.start(7)
    door_import.using(key="order-7", idempotency_key="import-7").start("orders.csv")
    imported.start(7)
    assert Execution.objects.count() == 3


def test_a_conflict_can_be_an_error() -> None:
    """EXE-18: it names the holder."""
    holder = keyed.start(7)
    with pytest.raises(KeyConflict) as caught:
        keyed.using(on_conflict="error").start(7)
    assert (caught.value.execution_id, caught.value.key) == (holder.id, "order-7")
    assert Execution.objects.get() == holder


def test_a_conflict_does_not_break_the_callers_transaction() -> None:
    keyed.start(7)
    with transaction.atomic():
        with pytest.raises(KeyConflict):
            keyed.using(on_conflict="error").start(7)
        door_order.start(8)
    assert Execution.objects.count() == 2


def test_a_conflict_can_cancel_the_holder(operations: Operations) -> None:
    """EXE-18: the old one gives up its key in the same transaction."""
    holder = keyed.start(7)
    replacing, is_new = client.start_or_get(keyed.using(on_conflict="cancel"), 8)
    assert is_new
    assert replacing != holder
    assert str(replacing.id) in operations.cancelled[holder.id]
    old = Execution.objects.get(pk=holder.id)
    assert (old.key, old.key_released, old.status) == ("order-7", True, Status.CANCELLED)
    assert keyed.start(9) == replacing


def test_a_holder_that_rolls_back_already_only_gives_up_its_key(operations: Operations) -> None:
    holder = keyed.start(7)
    Execution.objects.update(status=Status.ROLLING_BACK)
    assert keyed.using(on_conflict="cancel").start(8) != holder
    assert operations.cancelled == {}


def test_a_replacement_that_is_rolled_back_leaves_the_holder(operations: Operations) -> None:
    holder = keyed.start(7)
    with rolled_back():
        keyed.using(on_conflict="cancel").start(8)
    stored = Execution.objects.get()
    assert (stored.id, stored.status, stored.key_released) == (holder.id, Status.PENDING, False)


@pytest.mark.parametrize("on_conflict", ["return", "error", "cancel"])
def test_an_idempotency_key_gives_back_the_first_execution_whatever_became_of_it(
    on_conflict: Any, operations: Operations
) -> None:
    """EXE-04: as long as its row exists."""
    first = imported.start(7)
    again = imported.using(on_conflict=on_conflict)
    assert again.start(7) == first
    finish(first)
    found, is_new = client.start_or_get(again, 7)
    assert (found.id, found.status, is_new) == (first.id, Status.COMPLETED, False)
    Execution.objects.all().delete()
    assert again.start(7) != first


def test_the_idempotency_key_is_looked_at_before_the_key(operations: Operations) -> None:
    first = imported.start(7)
    holder = keyed.start(7)
    both = door_order.using(key="order-7", idempotency_key="import-7", on_conflict="cancel")
    assert both.start(7) == first
    assert Execution.objects.get(pk=holder.id).status == Status.PENDING


def test_a_conflict_costs_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    keyed.start(7)
    with django_assert_num_queries(2):
        keyed.start(7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{"key": "order-7"}, {"idempotency_key": "import-7"}])
def test_sixteen_simultaneous_starts_make_one_execution(options: dict[str, Any]) -> None:
    """EXE-02: everybody gets the same one, and nobody an integrity error."""
    wanted = door_order.using(**options)
    started = at_the_same_instant(16, lambda number: client.start_or_get(wanted, number))
    assert Execution.objects.count() == 1
    assert {execution.id for execution, _ in started} == {Execution.objects.get().id}
    assert [is_new for _, is_new in started].count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_simultaneous_starts_inside_transactions_make_one_execution() -> None:
    """EXE-02, EXE-06: a start waits for the transaction of whoever holds the key."""

    def act(number: int) -> Any:
        with transaction.atomic():
            return keyed.start(number).id

    assert len(set(at_the_same_instant(8, act))) == 1
    assert Execution.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_simultaneous_replacements_leave_one_unfinished_execution(operations: Operations) -> None:
    keyed.start(0)
    at_the_same_instant(6, lambda number: keyed.using(on_conflict="cancel").start(number).id)
    assert Execution.objects.count() == 7
    assert Execution.objects.unfinished().count() == 1
    assert len(operations.cancelled) == 6


@pytest.mark.django_db(transaction=True)
def test_the_key_of_a_start_that_was_rolled_back_is_free() -> None:
    with rolled_back():
        keyed.start(7)
    assert client.start_or_get(keyed, 7)[1]
