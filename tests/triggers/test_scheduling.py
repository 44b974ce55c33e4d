"""Schedules fire: one execution for each moment, whoever looks and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import Context, Received, clock, operations, workflow
from django_workflows.models import TRIGGER_BROKEN, Event, Execution, Status, Trigger, Workflow
from django_workflows.testing import Workflows
from django_workflows.triggers import describing, registering
from django_workflows.triggers.scheduling import BATCH, Fired, fire_due
from tests.triggers.common import failures, inputs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_our_triggers(db: None, workflows: Workflows) -> None:
    """Those of the test project have moments of their own."""
    Trigger.objects.all().delete()


@workflow
def sched_plain(ctx: Context) -> None: ...


@workflow
def sched_times(ctx: Context, nominal_time: datetime, actual_time: datetime, place: str = "") -> None: ...


@workflow
def sched_event(ctx: Context, event: Received) -> str:
    return f"{event.name} {event.source} {event.time.isoformat()} {event.data['nominal_time']}"


@workflow
def sched_waits(ctx: Context) -> None:
    ctx.wait_for_signal("go")


@workflow
def sched_fails(ctx: Context) -> None:
    raise ValueError("always")


def schedule(target: Any, text: str = "* * * * *", **config: Any) -> Trigger:
    return registering.create(target.name, "schedule", text, config)


def go_to(moment: datetime) -> None:
    """Move the clock to just after a moment."""
    clock.skip(moment - clock.database_now() + timedelta(milliseconds=20))


def go_to_next(trigger: Trigger) -> datetime:
    """To the moment at which a schedule wants to be looked at, and look; gives back that moment."""
    trigger.refresh_from_db()
    moment = trigger.next_at
    assert moment is not None
    go_to(moment)
    fire_all()
    trigger.refresh_from_db()
    return moment


def fire_all() -> list[Execution]:
    started: list[Execution] = []
    for _ in range(50):
        fired = fire_due("default")
        started += fired.started
        if not fired.looked_at:
            return started
    raise AssertionError("There is no end to what is due.")


def go_on(trigger: Trigger, **span: float) -> list[Execution]:
    """Skip time without anybody looking, then look."""
    clock.skip(timedelta(**span))
    started = fire_all()
    trigger.refresh_from_db()
    return started


def executions(trigger: Trigger) -> list[Execution]:
    return list(Execution.objects.filter(trigger_id=trigger.pk).order_by("idempotency_key"))


def moments(trigger: Trigger) -> list[datetime]:
    return [datetime.fromisoformat((row.idempotency_key or "").split(":", 2)[2]) for row in executions(trigger)]


def test_a_schedule_starts_its_workflow_when_its_moment_comes(workflows: Workflows) -> None:
    trigger = schedule(sched_plain)
    assert fire_all() == []

    moment = go_to_next(trigger)

    [execution] = executions(trigger)
    assert (execution.workflow, execution.status) == ("sched_plain", Status.PENDING)
    assert (trigger.trigger_count, trigger.next_at) == (1, moment + timedelta(minutes=1))
    assert trigger.last_triggered_at is not None
    workflows.run_until_idle()
    assert executions(trigger)[0].status == Status.COMPLETED


def test_looking_again_starts_nothing_again() -> None:
    """SCH-01: one execution for each moment."""
    trigger = schedule(sched_plain)
    go_to_next(trigger)
    Trigger.objects.update(next_at=clock.database_now(), scheduled_until=clock.database_now() - timedelta(minutes=5))

    fire_all()

    assert len(set(moments(trigger))) == len(executions(trigger))
    Trigger.objects.update(next_at=clock.database_now())
    fire_all()
    assert len(set(moments(trigger))) == len(executions(trigger))


def test_the_workflow_gets_the_nominal_and_the_actual_time(workflows: Workflows) -> None:
    """SCH-14: by the names of its parameters."""
    trigger = schedule(sched_times, "@hourly", input={"place": "Ulm"})
    moment = trigger.next_at
    assert moment is not None
    go_to(moment + timedelta(minutes=7))
    fire_all()

    [given] = inputs(sched_times)
    assert datetime.fromisoformat(given["nominal_time"]) == moment
    late = datetime.fromisoformat(given["actual_time"]) - moment
    assert timedelta(minutes=7) <= late < timedelta(minutes=8)
    assert given["place"] == "Ulm"


def test_a_workflow_that_asks_for_the_event_gets_all_of_it(workflows: Workflows) -> None:
    """SCH-14: the event's time is the nominal one."""
    trigger = schedule(sched_event, "every hour")
    moment = go_to_next(trigger)
    workflows.run_until_idle()
    [execution] = executions(trigger)
    assert execution.output == f"schedule every hour {moment.isoformat()} {moment.isoformat()}"


# overlap


def test_skip_starts_nothing_while_the_one_before_goes_on(workflows: Workflows) -> None:
    """SCH-05: skip, and say how often."""
    trigger = schedule(sched_waits, overlap="skip")
    go_to_next(trigger)
    workflows.run_until_idle()
    go_to_next(trigger)
    go_to_next(trigger)
    assert len(executions(trigger)) == 1
    assert (trigger.skipped_count, trigger.trigger_count) == (2, 1)
    assert trigger.last_skipped_at is not None

    executions(trigger)[0].signal("go")
    workflows.run_until_idle()
    go_to_next(trigger)
    assert len(executions(trigger)) == 2


def test_buffer_one_starts_one_as_soon_as_the_one_before_has_finished(workflows: Workflows) -> None:
    """SCH-05: the first that had to wait; those after it are skipped."""
    trigger = schedule(sched_waits, overlap="buffer_one")
    first = go_to_next(trigger)
    workflows.run_until_idle()
    while trigger.scheduled_until is None or trigger.scheduled_until < first + timedelta(minutes=3):
        go_to_next(trigger)
    assert len(executions(trigger)) == 1
    assert (trigger.buffered_at, trigger.skipped_count) == (first + timedelta(minutes=1), 2)

    executions(trigger)[0].signal("go")
    workflows.run_until_idle()
    go_to_next(trigger)
    assert moments(trigger) == [first, first + timedelta(minutes=1)]
    assert trigger.buffered_at is None


def test_allow_starts_them_side_by_side(workflows: Workflows) -> None:
    """SCH-05: allow."""
    trigger = schedule(sched_waits, overlap="allow")
    for _ in range(3):
        go_to_next(trigger)
        workflows.run_until_idle()
    assert [row.status for row in executions(trigger)] == [Status.WAITING] * 3


def test_cancel_other_ends_the_one_before(workflows: Workflows) -> None:
    """SCH-05: cancel the other."""
    trigger = schedule(sched_waits, overlap="cancel_other")
    for _ in range(3):
        go_to_next(trigger)
        workflows.run_until_idle()
    rows = executions(trigger)
    assert [row.status for row in rows] == [Status.CANCELLED, Status.CANCELLED, Status.WAITING]
    assert "cancel_other" in rows[0].reason


def test_a_failing_execution_does_not_stop_the_schedule(workflows: Workflows) -> None:
    """SCH-17: later ticks still fire."""
    trigger = schedule(sched_fails)
    for _ in range(3):
        go_to_next(trigger)
        workflows.run_until_idle()
    assert [row.status for row in executions(trigger)] == [Status.FAILED] * 3


# downtime


def test_after_downtime_the_latest_moment_runs_once() -> None:
    """SCH-04: three hours down, one execution."""
    trigger = schedule(sched_plain)
    assert len(go_on(trigger, hours=3)) == 1
    assert clock.database_now() - moments(trigger)[0] < timedelta(minutes=1)
    assert trigger.next_at is not None
    assert timedelta(0) < trigger.next_at - clock.database_now() <= timedelta(minutes=1)


def test_after_downtime_nothing_runs_that_is_older_than_catch_up() -> None:
    """SCH-04: no catching up."""
    trigger = schedule(sched_plain, "0 0 1 1 *", catch_up=0)
    assert trigger.next_at is not None
    go_to(trigger.next_at + timedelta(hours=1))
    assert fire_all() == []
    trigger.refresh_from_db()
    assert trigger.next_at > clock.database_now()


def test_all_that_was_missed_runs_oldest_first_up_to_a_number() -> None:
    """SCH-04: all, with a cap; each gets its nominal time."""
    trigger = schedule(sched_times, overlap="allow", catch_up_all=100)
    started = go_on(trigger, hours=3)
    nominal = [datetime.fromisoformat(given["nominal_time"]) for given in inputs(sched_times)]
    assert len(started) == len(nominal) == 100
    assert sorted(nominal) == [min(nominal) + timedelta(minutes=n) for n in range(100)]
    assert [row.idempotency_key for row in started] == sorted(row.idempotency_key or "" for row in started)


def test_what_is_caught_up_runs_one_by_one_unless_overlap_is_allowed(workflows: Workflows) -> None:
    """SCH-04: no flood: under `skip` each waits for the one before, and none is skipped."""
    trigger = schedule(sched_plain, "@hourly", catch_up_all=3)
    assert len(go_on(trigger, hours=7)) == 1
    for count in (2, 3):
        workflows.run_until_idle()
        go_to_next(trigger)
        assert len(executions(trigger)) == count
    workflows.run_until_idle()
    assert trigger.skipped_count == 0
    assert [b - a for a, b in zip(moments(trigger), moments(trigger)[1:], strict=False)] == [timedelta(hours=1)] * 2
    assert trigger.next_at is not None
    assert trigger.next_at > clock.database_now()


def test_a_clock_that_is_put_back_repeats_no_moment() -> None:
    """SCH-18: two hours back."""
    trigger = schedule(sched_plain)
    go_to_next(trigger)
    clock.skip(timedelta(hours=-2))
    Trigger.objects.update(next_at=clock.database_now())
    assert fire_all() == []
    trigger.refresh_from_db()
    assert trigger.next_at == moments(trigger)[0] + timedelta(minutes=1)


# switching and changing


def test_a_paused_schedule_starts_nothing_and_says_why() -> None:
    """SCH-06: pausing twice is pausing; nothing is caught up afterwards."""
    trigger = schedule(sched_plain, catch_up_all=50)
    assert registering.disable(trigger, "the supplier is on holiday")
    assert not registering.disable(trigger, "the supplier is on holiday")
    assert go_on(trigger, minutes=30) == []
    assert (trigger.note, trigger.next_at) == ("the supplier is on holiday", None)

    assert registering.enable(trigger)
    assert not registering.enable(trigger)
    assert fire_all() == []
    assert trigger.note == ""
    go_to_next(trigger)
    assert len(executions(trigger)) == 1


def test_a_schedule_can_be_paused_and_resumed_by_sql() -> None:
    """SCH-06: `enabled` is all that an operator has to set."""
    trigger = schedule(sched_plain, catch_up_all=50)
    Trigger.objects.filter(pk=trigger.pk).update(enabled=False)
    assert go_on(trigger, minutes=5) == []
    assert go_on(trigger, minutes=5) == []
    Trigger.objects.filter(pk=trigger.pk).update(enabled=True)
    fire_all()
    assert executions(trigger) == []
    go_to_next(trigger)
    assert len(executions(trigger)) == 1


def test_one_that_a_door_has_paused_can_be_resumed_by_sql() -> None:
    trigger = schedule(sched_plain, catch_up_all=50)
    registering.disable(trigger)
    go_on(trigger, minutes=5)
    Trigger.objects.filter(pk=trigger.pk).update(enabled=True)
    assert fire_all() == []
    go_to_next(trigger)
    assert len(executions(trigger)) == 1


def test_a_schedule_made_by_sql_is_planned() -> None:
    trigger = Trigger.objects.create(workflow="sched_plain", type="schedule", pattern="every minute")
    assert fire_all() == []
    go_to_next(trigger)
    assert len(executions(trigger)) == 1


def test_a_changed_schedule_forgets_what_was_due() -> None:
    """SCH-09: the old definition never fires after the change."""
    trigger = schedule(sched_plain)
    clock.skip(timedelta(minutes=1))
    registering.update(trigger, pattern="0 0 1 1 *")
    assert fire_all() == []
    assert trigger.next_at is not None
    assert (trigger.next_at.month, trigger.next_at.day) == (1, 1)


def test_a_schedule_changed_by_sql_fires_by_its_new_text() -> None:
    """SCH-09: `next_at` only says when to look."""
    trigger = schedule(sched_plain)
    Trigger.objects.update(pattern="0 0 1 1 *")
    assert go_on(trigger, minutes=2) == []


def test_a_deleted_schedule_fires_no_more() -> None:
    """SCH-09: deletion stops it."""
    trigger = schedule(sched_plain)
    clock.skip(timedelta(minutes=1))
    registering.delete(trigger)
    assert fire_all() == []


def test_a_change_that_has_nothing_to_do_with_its_moments_loses_none() -> None:
    trigger = schedule(sched_plain)
    clock.skip(timedelta(minutes=1))
    stale = Trigger.objects.get(pk=trigger.pk)
    fire_all()
    registering.update(stale, config={**stale.config, "overlap": "allow"})
    trigger.refresh_from_db()
    assert (trigger.trigger_count, trigger.config["overlap"]) == (1, "allow")
    assert trigger.scheduled_until is not None
    assert trigger.scheduled_until >= moments(trigger)[0]


def test_a_schedule_that_left_the_code_fires_no_more() -> None:
    """SCH-12: retired, and visible."""
    trigger = schedule(sched_plain)
    Trigger.objects.update(retired_at=clock.database_now())
    assert go_on(trigger, minutes=2) == []
    assert trigger.next_at is None


# what goes wrong


def test_a_disabled_workflow_is_not_started_and_not_caught_up() -> None:
    trigger = schedule(sched_plain, catch_up_all=50)
    Workflow.objects.update_or_create(name="sched_plain", defaults={"enabled": False})
    assert go_on(trigger, minutes=10) == []
    Workflow.objects.filter(name="sched_plain").update(enabled=True)
    assert fire_all() == []
    go_to_next(trigger)
    assert len(executions(trigger)) == 1
    assert failures() == []


def test_a_workflow_that_is_not_here_is_left_to_others_and_blocks_nobody() -> None:
    strange = Trigger.objects.create(workflow="elsewhere", type="schedule", pattern="every minute")
    known = schedule(sched_plain)
    fire_all()
    clock.skip(timedelta(minutes=1, seconds=1))
    fired = fire_due("default")
    assert fired.strange == {"elsewhere"}
    assert len(executions(known)) == 1
    assert fire_due("default", strange=fired.strange) == Fired()

    strange.refresh_from_db()
    due = strange.next_at
    clock.skip(timedelta(seconds=90))
    fire_due("default")
    strange.refresh_from_db()
    assert due is not None
    assert strange.next_at is not None
    assert strange.next_at > clock.database_now()  # it steps back: it must not stand at the head for ever
    assert strange.scheduled_until is not None
    assert strange.scheduled_until < due


def test_a_schedule_that_the_workflow_refuses_is_told_and_goes_on() -> None:
    trigger = schedule(sched_plain, input={"nonsense": 1})
    other = schedule(sched_times, overlap="allow")
    go_to_next(trigger)
    go_to_next(trigger)
    assert executions(trigger) == []
    assert [told["error"]["type"] for told in failures()] == ["InvalidInput"] * 2
    assert len(executions(other)) == 2


@pytest.mark.parametrize(
    ("pattern", "config"),
    [
        ("whenever", {}),
        ("* * * * *", {"tz": "Mars"}),
        ("* * * * *", {"catch_up": 1e300}),
        ("* * * * *", {"catch_up_all": "many"}),
        ("* * * * *", {"jitter": [1]}),
        ("* * * * *", {"tz": 7}),
    ],
)
def test_a_row_that_cannot_be_read_does_not_stop_the_others(
    pattern: str, config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken = schedule(sched_plain)
    Trigger.objects.filter(pk=broken.pk).update(pattern=pattern, config=config)
    other = schedule(sched_times)
    go_on(broken, minutes=1)
    assert len(executions(other)) == 1
    assert broken.next_at is not None
    assert broken.next_at > clock.database_now()
    assert "cannot be read" in caplog.text


def test_a_schedule_that_cannot_be_read_looks_broken_until_it_can(caplog: pytest.LogCaptureFixture) -> None:
    """Its row and the log say why, once; it heals by itself."""
    broken = schedule(sched_plain)
    Trigger.objects.filter(pk=broken.pk).update(config={"tz": "Mars"})
    for _ in range(3):
        go_on(broken, minutes=61)
    assert describing.state_of(broken) == "broken"
    assert "Mars" in broken.broken
    assert broken.broken_at is not None
    [event] = Event.objects.filter(name=TRIGGER_BROKEN)
    assert (event.type, event.data["trigger"]) == ("error", str(broken.pk))

    Trigger.objects.filter(pk=broken.pk).update(config={})
    go_on(broken, minutes=61)
    assert not Trigger.objects.exclude(broken="", broken_at=None).exists()
    assert describing.state_of(broken) == "enabled"


def test_a_broken_schedule_that_is_mended_through_a_door_looks_broken_no_more() -> None:
    trigger = schedule(sched_plain)
    Trigger.objects.filter(pk=trigger.pk).update(broken="It was.", broken_at=clock.database_now())
    trigger.refresh_from_db()
    registering.update(trigger, pattern="every hour")
    trigger.refresh_from_db()
    assert not Trigger.objects.exclude(broken="", broken_at=None).exists()


def test_a_schedule_whose_workflow_nobody_knows_looks_broken_after_a_while() -> None:
    """Until then another worker may have the code."""
    trigger = schedule(sched_plain)
    Trigger.objects.filter(pk=trigger.pk).update(workflow="gone")
    trigger.refresh_from_db()
    assert trigger.next_at is not None
    go_to(trigger.next_at)
    fire_due("default")
    trigger.refresh_from_db()
    assert describing.state_of(trigger) == "enabled"
    clock.skip(timedelta(minutes=2))
    fire_due("default")
    trigger.refresh_from_db()
    assert (describing.state_of(trigger), "'gone'" in trigger.broken) == ("broken", True)


def test_a_schedule_that_never_comes_costs_nothing() -> None:
    never = Trigger.objects.create(workflow="sched_plain", type="schedule", pattern="0 0 30 2 *")
    fire_all()
    never.refresh_from_db()
    assert never.next_at is not None
    assert never.next_at - clock.database_now() > timedelta(hours=23)


# many


def test_a_round_is_bounded() -> None:
    for n in range(BATCH + 5):
        schedule(sched_plain)
        Trigger.objects.filter(variant="UTC").update(variant=str(n))
    clock.skip(timedelta(minutes=1))
    assert len(fire_due("default").started) == BATCH
    assert len(fire_due("default").started) == 5


@pytest.mark.parametrize("others", [0, 3000])
def test_the_cost_does_not_depend_on_how_many_wait(others: int) -> None:
    """Flat with many schedules: what is due is found by an index, and the number of queries stays the same."""
    later = clock.database_now() + timedelta(days=1)
    Trigger.objects.bulk_create(
        Trigger(workflow="sched_plain", type="schedule", pattern="@daily", variant=str(n), next_at=later)
        for n in range(others)
    )
    trigger = schedule(sched_plain)
    clock.skip(timedelta(minutes=1))
    with CaptureQueriesContext(connection) as queries:
        fire_due("default")
    assert len(executions(trigger)) == 1
    assert len(queries) <= 12
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE django_workflows_trigger")  # else it plans for what the table was like before
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(
            f"{explain} SELECT id FROM django_workflows_trigger WHERE next_at IS NOT NULL AND next_at <= %s "
            "ORDER BY next_at LIMIT 25",
            [clock.database_now()],
        )
        shown = "\n".join(str(row) for row in cursor.fetchall())
    assert "workflows_trigger_next" in shown or not others


def test_an_execution_can_start_at_a_moment_once() -> None:
    """SCH-16: one-off at a time; a time that has passed means at once."""
    later = clock.database_now() + timedelta(hours=2)
    waiting = Execution.objects.get(pk=sched_plain.using(start_at=later).start().id)
    assert waiting.wake_at == later
    past = Execution.objects.get(pk=sched_plain.using(start_at=datetime(2020, 1, 1, tzinfo=UTC)).start().id)
    assert past.wake_at is not None
    assert past.wake_at <= clock.database_now()


def test_what_a_schedule_started_can_be_operated_like_any_other(workflows: Workflows) -> None:
    trigger = schedule(sched_waits)
    go_to_next(trigger)
    workflows.run_until_idle()
    operations.cancel(executions(trigger)[0], "enough")
    go_to_next(trigger)
    assert len(executions(trigger)) == 2
