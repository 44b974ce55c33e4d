"""What operators do with triggers: fire one now, backfill a period, ask when it is next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_workflows import Context, InvalidInput, Received, clock, workflow
from django_workflows.exceptions import UnknownWorkflow, WorkflowDisabled
from django_workflows.models import Execution, Trigger, Workflow
from django_workflows.testing import Workflows
from django_workflows.triggers import manual, registering
from django_workflows.triggers.manual import Backfilled
from django_workflows.triggers.scheduling import fire_due
from tests.triggers.common import inputs

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)


@workflow
def fired_plain(ctx: Context) -> None: ...


@workflow
def fired_times(ctx: Context, nominal_time: datetime) -> None: ...


@workflow
def fired_event(ctx: Context, event: Received) -> Any:
    return event.name, event.data


def schedule(target: Any, text: str, **config: Any) -> Trigger:
    return registering.create(target.name, "schedule", text, config)


def test_a_backfill_starts_what_the_period_would_have_started() -> None:
    """SCH-08: both ends included; six of them."""
    trigger = schedule(fired_times, "0 */4 * * *")
    done = manual.backfill(trigger, MONDAY, MONDAY + timedelta(hours=20))
    assert done == Backfilled(started=6, moments=6)
    nominal = sorted(datetime.fromisoformat(given["nominal_time"]) for given in inputs(fired_times))
    assert nominal == [MONDAY + timedelta(hours=hours) for hours in range(0, 24, 4)]
    trigger.refresh_from_db()
    assert trigger.trigger_count == 6


def test_repeating_a_backfill_starts_nothing_more() -> None:
    """SCH-08: not for the same period, nor for what another one has in common with it."""
    trigger = schedule(fired_plain, "@hourly")
    manual.backfill(trigger, MONDAY, MONDAY + timedelta(hours=5))
    assert manual.backfill(trigger, MONDAY, MONDAY + timedelta(hours=5)) == Backfilled(started=0, moments=6)
    later = manual.backfill(trigger, MONDAY + timedelta(hours=4), MONDAY + timedelta(hours=7))
    assert later == Backfilled(started=2, moments=4)
    assert Execution.objects.count() == 8


def test_a_backfill_leaves_alone_what_ran_at_its_moment() -> None:
    trigger = schedule(fired_plain, "* * * * *")
    clock.skip(timedelta(minutes=1))
    fire_due("default")
    now = clock.database_now()
    done = manual.backfill(trigger, now - timedelta(minutes=5), now)
    assert (done.started, done.moments) == (4, 5)


@pytest.mark.parametrize(
    ("text", "start", "end", "field"),
    [
        ("* * * * *", MONDAY, MONDAY - timedelta(hours=1), "end"),
        ("* * * * *", MONDAY, MONDAY + timedelta(days=40_000), "end"),
        ("* * * * *", MONDAY - timedelta(days=60), MONDAY, "end"),
        ("* * * * *", MONDAY.replace(tzinfo=None), MONDAY, "start"),
    ],
)
def test_a_period_that_makes_no_sense_is_refused(text: str, start: datetime, end: datetime, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        manual.backfill(schedule(fired_plain, text), start, end)
    assert list(caught.value.errors) == [field]
    assert not Execution.objects.exists()


def test_only_schedules_have_a_past() -> None:
    trigger = registering.create("fired_plain", "event", "order.paid")
    with pytest.raises(InvalidInput, match="Only schedules"):
        manual.backfill(trigger, MONDAY, MONDAY)
    assert manual.upcoming(trigger) == []


def test_a_backfill_of_a_workflow_that_is_off_or_gone_says_so() -> None:
    trigger = schedule(fired_plain, "@daily")
    Workflow.objects.update_or_create(name="fired_plain", defaults={"enabled": False})
    with pytest.raises(WorkflowDisabled):
        manual.backfill(trigger, MONDAY, MONDAY)
    gone = Trigger.objects.create(workflow=f"gone-{uuid4()}", type="schedule", pattern="@daily")
    with pytest.raises(UnknownWorkflow):
        manual.backfill(gone, MONDAY, MONDAY)


def test_fire_starts_one_now_whatever_the_schedule_says(workflows: Workflows) -> None:
    trigger = schedule(fired_times, "0 0 1 1 *")
    registering.disable(trigger)
    before = clock.database_now()
    execution = manual.fire(trigger)
    assert execution.trigger_id == trigger.pk
    [given] = inputs(fired_times)
    assert before <= datetime.fromisoformat(given["nominal_time"]) <= clock.database_now()
    assert manual.fire(trigger).pk != execution.pk
    trigger.refresh_from_db()
    assert trigger.trigger_count == 2


def test_the_same_idempotency_key_fires_once() -> None:
    trigger = schedule(fired_plain, "@daily")
    assert manual.fire(trigger, idempotency_key="a").pk == manual.fire(trigger, idempotency_key="a").pk


def test_an_event_trigger_can_be_tried_with_data(workflows: Workflows) -> None:
    trigger = registering.create("fired_event", "event", "order.paid")
    execution = manual.fire(trigger, {"order": 7})
    assert workflows.result(execution) == ["order.paid", {"order": 7}]


def test_the_next_moments_are_told() -> None:
    trigger = schedule(fired_plain, "0 9 * * *", tz="Asia/Tokyo")
    moments = manual.upcoming(trigger, 3)
    assert [moment.hour for moment in moments] == [0, 0, 0]
    assert moments[0] > clock.database_now()
    assert trigger.next_at == moments[0]
    registering.disable(trigger)
    assert manual.upcoming(trigger) == []
