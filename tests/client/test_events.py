"""Published events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from django_workflows import client, clock
from django_workflows.exceptions import InvalidInput, PayloadError
from django_workflows.models import Event, EventType
from tests.client.conftest import at_the_same_instant, rolled_back

pytestmark = pytest.mark.django_db


def test_an_event_is_stored_to_be_dispatched_now() -> None:
    given = client.send_event("order.paid", {"order_id": 7}, source="shop", headers={"trace": "1"}, id="paid-7")
    stored = Event.objects.get()
    for field in Event._meta.concrete_fields:
        assert getattr(given, field.attname) == getattr(stored, field.attname), field.attname
    assert (stored.type, stored.execution_id, stored.dispatched_at) == (EventType.EVENT, None, None)
    assert (stored.data, stored.headers, stored.source) == ({"order_id": 7}, {"trace": "1"}, "shop")
    assert stored.deliver_at == stored.created_at


def test_an_event_is_one_insert(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        client.send_event("order.paid", id="paid-7")


def test_an_event_can_be_delivered_later() -> None:
    when = datetime(2096, 1, 1, 8, 30, tzinfo=UTC)
    client.send_event("order.paid", deliver_at=when)
    assert Event.objects.get().deliver_at == when


def test_the_same_id_is_published_once() -> None:
    """EVT-08, EVT-17: the first one counts, and the caller's transaction goes on."""
    with transaction.atomic():
        first = client.send_event("order.paid", 1, id="paid-7")
        assert client.send_event("order.paid", 2, id="paid-7") == first
        client.send_event("order.paid", 3, id="paid-8")
    assert {event.data for event in Event.objects.all()} == {1, 3}


def test_events_without_an_id_are_all_published() -> None:
    client.send_event("order.paid")
    client.send_event("order.paid")
    assert Event.objects.count() == 2


def test_an_id_may_be_used_again_after_the_window(settings: Settings) -> None:
    settings.WORKFLOWS = {"EVENT_WINDOW": 60}
    first = client.send_event("order.paid", 1, id="paid-7")
    try:
        clock.skip(timedelta(seconds=59))
        assert client.send_event("order.paid", 2, id="paid-7") == first
        clock.skip(timedelta(seconds=2))
        second = client.send_event("order.paid", 3, id="paid-7")
    finally:
        clock.reset()
    assert second != first
    assert Event.objects.get(pk=first.pk).event_id is None
    assert Event.objects.get(event_id="paid-7") == second


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 201}),
        ("name", {"name": "order\x00paid"}),
        ("id", {"id": ""}),
        ("id", {"id": "x" * 256}),
        ("source", {"source": "a\nb"}),
        ("deliver_at", {"deliver_at": "tomorrow"}),
    ],
)
def test_bad_names_are_refused_by_field(field: str, options: dict[str, Any]) -> None:
    """EXE-14."""
    with pytest.raises(InvalidInput) as caught:
        client.send_event(**{"name": "order.paid"} | options)
    assert list(caught.value.errors) == [field]
    assert not Event.objects.exists()


@pytest.mark.parametrize("data", ["nul \x00", "half \ud800", float("nan"), object()])
def test_data_that_cannot_be_stored_is_refused(data: Any) -> None:
    """SER-08: the same outcome on every database."""
    with pytest.raises(PayloadError):
        client.send_event("order.paid", data)
    with pytest.raises(PayloadError):
        client.send_event("order.paid", headers={"header": data})
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_id_published_simultaneously_counts_once() -> None:
    """EVT-08."""
    published = at_the_same_instant(8, lambda number: client.send_event("order.paid", number, id="paid-7").id)
    assert set(published) == {Event.objects.get().id}


@pytest.mark.django_db(transaction=True)
def test_an_event_belongs_to_the_callers_transaction() -> None:
    with rolled_back():
        client.send_event("order.paid", id="paid-7")
    assert not Event.objects.exists()
    client.send_event("order.paid", id="paid-7")
    assert Event.objects.count() == 1
