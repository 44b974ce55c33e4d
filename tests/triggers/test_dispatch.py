"""Events start workflows: every enabled trigger that matches, once for each event."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from django_workflows import Context, InvalidInput, Received, workflow
from django_workflows.authoring.registry import registry
from django_workflows.client import send_event
from django_workflows.clock import database_now
from django_workflows.engine.events import dispatch as dispatching
from django_workflows.models import Event, Execution, Trigger, Workflow
from django_workflows.testing import Workflows
from django_workflows.triggers import dispatch, registering
from tests.triggers.common import failures, inputs, listen

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _none_of_the_examples(db: None) -> None:
    """The example apps declare triggers, which `migrate` writes."""
    Trigger.objects.all().delete()


@workflow
def trig_order(ctx: Context, order: int, note: str = "") -> int:
    return order


@workflow
def trig_any(ctx: Context, event: Received) -> str:
    return f"{event.name} {event.id} {event.source} {event.data}"


@workflow
def trig_plain(ctx: Context, event: Any) -> Any:
    return event


@workflow
def trig_relays(ctx: Context, order: int) -> str:
    ctx.send_event("relayed.first")
    ctx.send_event("relayed.second", id=f"order-{order}")
    return "done"


@workflow
def trig_waits(ctx: Context) -> Any:
    message = ctx.wait_for_event("order.paid")
    return message and message.data


def test_an_event_starts_the_workflow_with_its_data(workflows: Workflows) -> None:
    trigger = listen(trig_order, "order.created")

    send_event("order.created", {"order": 7})
    workflows.run_to_end()

    execution = Execution.objects.get()
    assert (execution.workflow, execution.output, execution.trigger_id) == ("trig_order", 7, trigger.pk)
    trigger.refresh_from_db()
    assert (trigger.trigger_count, trigger.last_triggered_at is not None) == (1, True)
    event = Event.objects.get(name="order.created")
    assert event.dispatched_at is not None
    assert event.triggered_at is not None


def test_a_parameter_called_event_gets_all_of_it(workflows: Workflows) -> None:
    listen(trig_any, "order.*")
    listen(trig_plain, "order.*")

    send_event("order.paid", {"order": 7}, id="e-1", source="shop", headers={"x": "y"})
    workflows.run_to_end()

    typed = Execution.objects.get(workflow="trig_any")
    plain = Execution.objects.get(workflow="trig_plain")
    assert typed.output == "order.paid e-1 shop {'order': 7}"
    assert {name: plain.output[name] for name in ("id", "name", "data", "source", "headers")} == {
        "id": "e-1",
        "name": "order.paid",
        "data": {"order": 7},
        "source": "shop",
        "headers": {"x": "y"},
    }


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("order.*", {"order.paid", "order.created"}),
        ("*.paid", {"order.paid", "invoice.paid"}),
        ("**", {"order.paid", "order.created", "invoice.paid", "order.item.paid", "orderXpaid", "order.", "order"}),
        ("order.**", {"order.paid", "order.created", "order.item.paid", "order.", "order"}),
        ("**.paid", {"order.paid", "invoice.paid", "order.item.paid"}),
        ("*.*.paid", {"order.item.paid"}),
        ("order.paid", {"order.paid"}),
        ("*", {"orderXpaid", "order"}),
    ],
)
def test_only_documented_matches_start(workflows: Workflows, pattern: str, names: set[str]) -> None:
    """EVT-26: * is one word, ** any number of them, and a dot is a dot."""
    listen(trig_any, pattern)

    for name in ("order.paid", "orderXpaid", "order.", "order", "order.created", "invoice.paid", "order.item.paid"):
        send_event(name)
    workflows.run_until_idle()

    assert {value["event"]["name"] for value in inputs(trig_any)} == names


def test_a_filter_wants_equal_values_under_nested_keys(workflows: Workflows) -> None:
    """EVT-14: an event without the key never matches; 1 and 1.0 are equal, 1 and "1" are not."""
    listen(trig_any, "paid", **{"order.country": "DE", "amount": 1})

    matching: list[Any] = [
        {"order": {"country": "DE"}, "amount": 1},
        {"order": {"country": "DE", "more": 2}, "amount": 1.0},
        {"order.country": "DE", "amount": 1},
    ]
    others: list[Any] = [
        {"order": {"country": "FR"}, "amount": 1},
        {"order": {"country": "DE"}, "amount": "1"},
        {"order": {"country": "DE"}},
        {"order": "DE", "amount": 1},
        {},
        [],
        None,
        "DE",
    ]
    for data in [*matching, *others]:
        send_event("paid", data)
    workflows.run_until_idle()

    found = [value["event"]["data"] for value in inputs(trig_any)]
    assert sorted(found, key=str) == sorted(matching, key=str)


def test_every_trigger_that_matches_starts_once(workflows: Workflows) -> None:
    for pattern in ("order.paid", "order.*", "**"):
        listen(trig_any, pattern)
    listen(trig_order, "order.paid")

    send_event("order.paid", {"order": 7})
    workflows.run_until_idle()
    workflows.run_until_idle()

    assert Counter(Execution.objects.values_list("workflow", flat=True)) == {"trig_any": 3, "trig_order": 1}


def test_waits_and_triggers_both_get_the_event(workflows: Workflows) -> None:
    waiting = trig_waits.start()
    workflows.run_until_idle()
    listen(trig_order, "order.paid")

    send_event("order.paid", {"order": 7})
    workflows.run_to_end()

    assert waiting.result(timeout=0) == {"order": 7}
    assert inputs(trig_order) == [{"order": 7}]


def test_the_same_id_again_starts_nothing(workflows: Workflows) -> None:
    """EVT-08: within the window, before and after it was dispatched."""
    listen(trig_order, "order.paid")

    first = send_event("order.paid", {"order": 7}, id="evt-1")
    assert send_event("order.paid", {"order": 8}, id="evt-1").pk == first.pk
    workflows.run_until_idle()
    assert send_event("order.paid", {"order": 9}, id="evt-1").pk == first.pk
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 7}]


def test_a_delayed_event_starts_at_its_time(workflows: Workflows) -> None:
    listen(trig_order, "order.paid")
    send_event("order.paid", {"order": 7}, deliver_at=database_now() + timedelta(hours=2))

    workflows.run_until_idle()
    assert inputs(trig_order) == []
    workflows.skip("2 hours")
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 7}]


def test_an_event_of_a_transaction_that_is_rolled_back_starts_nothing(workflows: Workflows) -> None:
    listen(trig_order, "order.paid")

    with transaction.atomic():
        send_event("order.paid", {"order": 7})
        transaction.set_rollback(True)
    workflows.run_until_idle()

    assert inputs(trig_order) == []


@pytest.mark.parametrize("how", ["disabled", "retired", "removed", "workflow disabled"])
def test_what_is_switched_off_starts_nothing(workflows: Workflows, how: str) -> None:
    trigger = listen(trig_order, "order.paid")
    send_event("order.paid", {"order": 1})
    workflows.run_until_idle()  # it is in memory now

    if how == "disabled":
        registering.disable(trigger)
    elif how == "retired":
        Trigger.objects.update(retired_at=database_now())  # typed as SQL: nothing tells the workers
    elif how == "removed":
        registering.delete(trigger)
    else:
        Workflow.objects.update_or_create(name="trig_order", defaults={"enabled": False})
    send_event("order.paid", {"order": 2})
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 1}]
    assert failures() == []
    assert not Event.objects.filter(dispatched_at=None, type="event").exists()


def test_what_is_enabled_again_or_changed_counts_at_once(workflows: Workflows) -> None:
    trigger = listen(trig_order, "order.paid")
    registering.disable(trigger)
    send_event("order.paid", {"order": 1})
    workflows.run_until_idle()

    registering.enable(trigger)
    send_event("order.paid", {"order": 2})
    workflows.run_until_idle()
    registering.update(trigger, pattern="order.settled")
    send_event("order.paid", {"order": 3})
    send_event("order.settled", {"order": 4})
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 2}, {"order": 4}]


def test_a_trigger_that_is_enabled_by_sql_counts_too(workflows: Workflows) -> None:
    listen(trig_order, "order.paid")
    Trigger.objects.update(enabled=False)
    send_event("order.paid", {"order": 1})
    workflows.run_until_idle()

    Trigger.objects.update(enabled=True)
    send_event("order.paid", {"order": 2})
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 2}]


def test_one_trigger_that_cannot_start_does_not_stop_the_others(
    workflows: Workflows, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad input and a workflow that is gone leave a record that says why; the event is done with."""
    bad = listen(trig_order, "paid")
    gone = listen(trig_order, "*")
    Trigger.objects.filter(pk=gone.pk).update(workflow="gone")
    listen(trig_any, "paid")

    send_event("paid", {"order": "seven"}, id="e-1")
    workflows.run_until_idle()
    workflows.run_until_idle()

    assert len(inputs(trig_any)) == 1
    assert {(data["trigger"], data["error"]["type"]) for data in failures()} == {
        (str(bad.pk), "InvalidInput"),
        (str(gone.pk), "UnknownWorkflow"),
    }
    assert all(data["event"] == {"id": "e-1", "name": "paid"} for data in failures())
    assert "did not start trig_order for paid: order:" in caplog.text
    assert not Event.objects.filter(dispatched_at=None, type="event").exists()


@pytest.mark.parametrize("data", [[1], "text", 7, True])
def test_data_that_is_no_object_needs_a_parameter_called_event(workflows: Workflows, data: Any) -> None:
    listen(trig_order, "paid")
    listen(trig_any, "paid")

    send_event("paid", data)
    workflows.run_until_idle()

    assert [value["event"]["data"] for value in inputs(trig_any)] == [data]
    assert "keyword arguments need an object" in failures()[0]["error"]["message"]


def test_what_the_trigger_says_itself_wins(workflows: Workflows) -> None:
    """WHK-12: static values cannot be changed by a sender."""
    registering.create("trig_order", "event", "paid", {"input": {"note": "ours"}})

    send_event("paid", {"order": 1, "note": "theirs"})
    workflows.run_until_idle()

    assert inputs(trig_order) == [{"order": 1, "note": "ours"}]


def test_a_batch_of_one_trigger_is_one_insert(workflows: Workflows, django_assert_max_num_queries: Any) -> None:
    listen(trig_order, "paid")
    for number in range(50):
        send_event("paid", {"order": number})
    send_event("nobody.wants")

    with django_assert_max_num_queries(90):  # one probe for open waits each; the rest is for all together
        dispatching.dispatch("default", dispatch.Triggering("default"))

    assert sorted(value["order"] for value in inputs(trig_order)) == list(range(50))
    assert Trigger.objects.get().trigger_count == 50


def test_a_trigger_for_a_workflow_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="No workflow is registered under 'nobody'"):
        listen("nobody", "paid")


def test_an_old_worker_leaves_an_event_to_those_who_know_the_workflow(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rolling deploy: the trigger and the workflow's row are there already, the code is not."""
    listen(trig_order, "order.paid")
    listen(trig_any, "order.paid")
    Workflow.objects.get_or_create(name="trig_order")
    known = dict(registry._workflows)

    monkeypatch.setattr(registry, "_workflows", {name: known[name] for name in known if name != "trig_order"})
    send_event("order.paid", {"order": 7})
    for _ in range(3):
        workflows.run_until_idle()
    assert (len(inputs(trig_any)), inputs(trig_order), failures()) == (1, [], [])

    monkeypatch.setattr(registry, "_workflows", known)
    workflows.run_until_idle()
    assert (len(inputs(trig_any)), inputs(trig_order), failures()) == (1, [{"order": 7}], [])


def test_an_event_for_a_workflow_that_nobody_knows_is_given_up_after_a_while(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(trig_order, "order.paid")
    Workflow.objects.get_or_create(name="trig_order")
    monkeypatch.setattr(registry, "_workflows", {})

    send_event("order.paid", {"order": 7})
    workflows.run_until_idle()
    workflows.skip("2 minutes")
    workflows.run_until_idle()

    assert [data["error"]["type"] for data in failures()] == ["UnknownWorkflow"]
    assert not Event.objects.filter(dispatched_at=None, type="event").exists()


def test_eager_an_event_starts_and_finishes_what_it_triggers(settings: Any) -> None:
    """In the caller's process, and so does what a workflow publishes itself."""
    settings.WORKFLOWS = {"EAGER": True}
    listen(trig_relays, "order.paid")
    listen(trig_any, "relayed.*")

    send_event("order.paid", {"order": 7})

    assert [row.output for row in Execution.objects.filter(workflow="trig_relays")] == ["done"]
    relayed: Any = Execution.objects.filter(workflow="trig_any")
    assert {row.input["event"]["name"] for row in relayed} == {"relayed.first", "relayed.second"}
    assert {row.status for row in relayed} == {"completed"}


def test_eager_a_transaction_is_waited_for(settings: Any, transactional_db: None) -> None:
    settings.WORKFLOWS = {"EAGER": True}
    Trigger.objects.all().delete()
    listen(trig_order, "order.paid")

    with transaction.atomic():
        send_event("order.paid", {"order": 7})
        assert not Execution.objects.exists()

    assert Execution.objects.get().output == 7
