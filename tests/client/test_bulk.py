"""Thousands of starts in a few statements."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from django_workflows import client
from django_workflows.authoring.plans import Request
from django_workflows.client import bulk
from django_workflows.exceptions import DefinitionError, InvalidInput, KeyConflict, UnknownWorkflow
from django_workflows.models import Execution
from tests.client.conftest import Operations, at_the_same_instant, finish, rolled_back
from tests.client.samples import door_anything, door_charge, door_import, door_order

pytestmark = pytest.mark.django_db


def orders(*numbers: int) -> list[dict[str, Any]]:
    return [{"order_id": number} for number in numbers]


def by_number(values: dict[str, Any]) -> str:
    return f"order-{values['order_id']}"


def test_ten_thousand_starts_take_a_few_statements(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(30):
        executions = client.start_many(door_order, orders(*range(10_000)), tags={"import": "march"})
    assert Execution.objects.count() == 10_000
    assert [execution.input["order_id"] for execution in executions] == list(range(10_000))
    assert Execution.objects.with_tag("import", "march").count() == 10_000


def test_what_is_given_back_is_what_is_stored() -> None:
    given = client.start_many(door_import, [{"path": "a.csv"}], key=lambda values: values["path"], delay="1 hour")[0]
    stored = Execution.objects.get()
    for field in Execution._meta.concrete_fields:
        assert getattr(given, field.attname) == getattr(stored, field.attname), field.attname


def test_a_definition_starts_many_too() -> None:
    assert [execution.workflow for execution in door_order.using(queue="bulk").start_many(orders(1, 2))] == [
        "door_order"
    ] * 2
    assert set(Execution.objects.values_list("queue", flat=True)) == {"bulk"}
    assert door_charge.start_many(orders(1))[0].workflow == "door_charge"


def test_options_of_a_definition_and_of_the_call_are_taken_together() -> None:
    started = client.start_many(door_charge.using(priority=5), orders(1), tags={"import": "march"})[0]
    assert (started.queue, started.priority, started.tags) == ("payments", 5, {"import": "march"})
    with pytest.raises(DefinitionError, match="colour"):
        client.start_many(door_order, orders(1), colour="red")


def test_nothing_to_start() -> None:
    assert client.start_many("door_order", iter(())) == []
    with pytest.raises(UnknownWorkflow):
        client.start_many("door_nothing", [])


def test_an_input_that_does_not_fit_is_named_and_nothing_is_stored() -> None:
    """SER-13: all or none."""
    with pytest.raises(InvalidInput) as caught:
        client.start_many(door_order, [*orders(1, 2), {"order_id": "three"}])
    assert list(caught.value.errors) == ["2.order_id"]
    with pytest.raises(InvalidInput, match="dict"):
        client.start_many(door_order, [7])  # type: ignore[list-item]  # on purpose
    with pytest.raises(InvalidInput) as caught:
        client.start_many(door_order, orders(1), key=lambda values: "")
    assert list(caught.value.errors) == ["0.key"]
    assert not Execution.objects.exists()


def test_known_idempotency_keys_give_back_the_existing_executions() -> None:
    """Importing a file again starts only what is new."""
    first = client.start_many(door_order, orders(1, 2), idempotency_key=by_number)
    finish(first[0])
    again = client.start_many(door_order, orders(3, 2, 1), idempotency_key=by_number)
    assert again[1:] == [first[1], first[0]]
    assert Execution.objects.count() == 3


def test_a_key_that_appears_twice_is_started_once() -> None:
    one, two, same = client.start_many(door_order, orders(1, 2, 1), key=by_number)
    assert one == same != two
    assert Execution.objects.count() == 2


def test_held_keys_give_back_their_holders() -> None:
    held = door_order.using(key="order-1").start(1)
    assert client.start_many(door_order, orders(1, 2), key=by_number)[0] == held


def test_a_held_key_can_be_an_error_and_nothing_is_stored() -> None:
    held = door_order.using(key="order-2").start(2)
    with transaction.atomic():
        with pytest.raises(KeyConflict):
            client.start_many(door_order, orders(1, 2), key=by_number, on_conflict="error")
        assert Execution.objects.get() == held


def test_a_held_key_can_be_taken_over(operations: Operations) -> None:
    held = door_order.using(key="order-2").start(2)
    started = client.start_many(door_order, orders(1, 2), key=by_number, on_conflict="cancel")
    assert held not in started
    assert list(operations.cancelled) == [held.id]
    assert Execution.objects.unfinished().count() == 2


def test_large_inputs_are_spread_over_statements() -> None:
    requests = [{"text": "x" * 900_000} for _ in range(6)]
    assert len(client.start_many(door_anything, requests)) == 6
    sizes = [len(batch) for batch in bulk._batches(list(bulk_requests(2_500)))]
    assert sizes == [1_000, 1_000, 500]


def bulk_requests(count: int) -> list[Request]:
    return [Request(input="{}", key=None, idempotency_key=None) for _ in range(count)]


@pytest.mark.django_db(transaction=True)
def test_simultaneous_imports_of_one_file_start_each_row_once() -> None:
    """EXE-02, DBF-13: in bulk, whatever the order of the rows."""

    def act(number: int) -> list[UUID]:
        numbers = range(300) if number % 2 else range(299, -1, -1)
        executions = client.start_many(door_order, orders(*numbers), idempotency_key=by_number)
        return sorted(execution.id for execution in executions)

    imports = at_the_same_instant(4, act)
    assert imports == [imports[0]] * 4
    assert Execution.objects.count() == 300


@pytest.mark.django_db(transaction=True)
def test_a_bulk_start_belongs_to_the_callers_transaction() -> None:
    """EXE-06."""
    with rolled_back():
        client.start_many(door_order, orders(1, 2))
    assert not Execution.objects.exists()
