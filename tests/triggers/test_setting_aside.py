"""An event that cannot be dispatched holds up no other: it is tried again, then set aside, and comes back when told."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_workflows import Context, operations, services, workflow
from django_workflows.client import send_event
from django_workflows.engine.database.errors import ConnectionLost
from django_workflows.engine.events import dispatch as dispatching
from django_workflows.engine.events import take
from django_workflows.engine.events.take import MOST_ATTEMPTS
from django_workflows.exceptions import EventNotFound
from django_workflows.models import Event, Execution, Trigger
from django_workflows.triggers import dispatch
from tests.engine.poison import refused
from tests.triggers.common import failures, inputs, listen

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def aside_order(ctx: Context, order: int) -> int:
    return order


@pytest.fixture(autouse=True)
def _alone(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example apps declare triggers, which `migrate` writes."""
    Trigger.objects.all().delete()
    monkeypatch.setattr("django_workflows.engine.database.transactions.time.sleep", lambda seconds: None)
    yield
    take._owed.clear()


def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take, "pause_after", lambda failures: -1.0)


def publish(*orders: int) -> list[Event]:
    listen(aside_order, "order.created")
    return [send_event("order.created", {"order": order}) for order in orders]


def orders() -> list[int]:
    return sorted(value["order"] for value in inputs(aside_order))


def fresh(event: Event) -> Event:
    return Event.objects.get(pk=event.pk)


def test_an_event_that_always_meets_serialization_failures_holds_up_no_other_and_is_tried_again_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_pauses(monkeypatch)
    events = publish(1, 2, 3, 4, 5)
    with refused(events[2].pk, within="SELECT id, triggered_at"):
        for _ in range(MOST_ATTEMPTS + 3):
            services.dispatch("default")
        assert orders() == [1, 2, 4, 5]
        stuck = fresh(events[2])
        assert (stuck.dispatched_at, stuck.set_aside_at) == (None, None)
        assert "restart transaction" in stuck.reason
        assert stuck.attempts > MOST_ATTEMPTS
    services.dispatch("default")
    assert orders() == [1, 2, 3, 4, 5]


def test_an_event_whose_start_breaks_the_dispatch_is_set_aside_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)
    events = publish(1, 2, 3)
    real = dispatch.Triggering._store

    def store(self: Any, cursor: Any, prepared: Any) -> Any:
        if any('"order":2' in one.request.input.replace(" ", "") for one in prepared):
            raise KeyError("nobody has thought of this")
        return real(self, cursor, prepared)

    monkeypatch.setattr(dispatch.Triggering, "_store", store)
    for _ in range(MOST_ATTEMPTS + 1):
        services.dispatch("default")
    assert orders() == [1, 3]
    aside = fresh(events[1])
    assert aside.set_aside_at is not None
    assert "nobody has thought of this" in aside.reason
    assert Event.objects.get(name=take.SET_ASIDE_RECORD).data["event"]["id"] == str(aside.pk)

    monkeypatch.setattr(dispatch.Triggering, "_store", real)
    assert not services.dispatch("default")
    assert operations.redrive(aside, "mended", by="olga")
    assert not operations.redrive(aside)
    services.dispatch("default")
    assert orders() == [1, 2, 3]
    record = Event.objects.get(type="operator", name="redrive")
    assert (record.data["by"], record.data["reason"]) == ("olga", "mended")


def test_an_event_that_was_taken_in_vain_is_taken_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever took it has died with one of its batch."""
    events = publish(1, 2, 3)
    Event.objects.filter(pk__in=[event.pk for event in events[:2]]).update(attempts=1)
    prepared: list[int] = []
    real = dispatch.Triggering.prepare

    def prepare(self: Any, event: Any) -> None:
        prepared.append(Event.objects.filter(retry_at__isnull=False).count())
        real(self, event)

    monkeypatch.setattr(dispatch.Triggering, "prepare", prepare)
    for _ in range(3):
        services.dispatch("default")
    assert prepared == [1, 1, 1]
    assert orders() == [1, 2, 3]


def test_an_event_that_three_workers_have_died_of_is_set_aside() -> None:
    events = publish(1, 2)
    Event.objects.filter(pk=events[0].pk).update(attempts=MOST_ATTEMPTS)
    services.dispatch("default")
    services.dispatch("default")
    assert orders() == [2]
    assert "never ended" in fresh(events[0]).reason


def test_what_another_worker_has_taken_is_left_to_it_until_it_has_died() -> None:
    events = publish(1)
    taken = take.take("default", dispatching._look("default", 10, None))
    assert [event.id for event in taken] == [events[0].pk]
    services.dispatch("default")
    assert orders() == []
    take.free("default")
    services.dispatch("default")
    assert orders() == [1]


def test_a_trigger_that_changes_between_preparing_and_starting_starts_what_it_says_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(1)
    real = dispatch.Triggering.prepare

    def prepare(self: Any, event: Any) -> None:
        real(self, event)
        for trigger in Trigger.objects.exclude(note="changed"):
            trigger.note = "changed"
            trigger.config = {**trigger.config, "input": {"order": 7}}
            trigger.save()

    monkeypatch.setattr(dispatch.Triggering, "prepare", prepare)
    services.dispatch("default")
    assert orders() == []
    services.dispatch("default")
    assert orders() == [7]


def test_what_was_taken_before_an_outage_is_given_back_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (event,) = publish(1)

    def fail(*args: Any, **options: Any) -> Any:
        raise ConnectionLost("gone")

    with monkeypatch.context() as patch:
        patch.setattr(dispatching, "by_halves", fail)
        with pytest.raises(ConnectionLost):
            services.dispatch("default")
    assert fresh(event).attempts == 1
    services.dispatch("default")
    assert orders() == [1]


def test_what_a_workflow_refuses_is_told_once_and_not_set_aside() -> None:
    listen(aside_order, "order.created")
    event = send_event("order.created", {"order": "many"})
    services.dispatch("default")
    assert len(failures()) == 1
    assert fresh(event).dispatched_at is not None
    assert not Execution.objects.filter(workflow=aside_order.name).exists()


def test_the_command_lists_and_redrives() -> None:
    (event,) = publish(1)
    Event.objects.filter(pk=event.pk).update(attempts=MOST_ATTEMPTS)
    services.dispatch("default")
    listed, done = StringIO(), StringIO()
    call_command("workflows", "redrive", stdout=listed)
    assert str(event.pk) in listed.getvalue()
    call_command("workflows", "redrive", "--all", "--reason", "mended", stdout=done)
    assert "Dispatched again" in done.getvalue()
    with pytest.raises(CommandError, match="not set aside"):
        call_command("workflows", "redrive", str(event.pk), stdout=StringIO())
    services.dispatch("default")
    assert orders() == [1]


@pytest.mark.parametrize("id", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_only_published_events_are_redriven(id: str) -> None:
    with pytest.raises(EventNotFound):
        operations.redrive(id)
