"""OBS-09: everything that would leave an execution stuck is found and named, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from django_workflows.inspection.doctor import Finding, examine
from django_workflows.models import (
    TRIGGER_FAILED,
    UNSTORED,
    Event,
    EventType,
    Execution,
    Status,
    StepKind,
    StepResult,
    StepStatus,
    Trigger,
    Worker,
    WorkflowVersion,
)
from tests.factories import (
    ago,
    ahead,
    make_execution,
    make_log,
    make_signal,
    make_step,
    make_trigger,
    make_wait,
    make_worker,
    make_workflow,
    now,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def worker(db: None) -> Worker:
    Trigger.objects.all().delete()  # a test that commits leaves behind what the example apps declare
    return make_worker({"fulfil": [1], "ship": [1]}, queues=["default"])


def only(**options: Any) -> Finding:
    [finding] = examine(**options).findings
    return finding


def change(execution: Execution, **columns: Any) -> Execution:
    Execution.objects.filter(pk=execution.pk).update(**columns)
    return execution


def finish_child(wait: StepResult) -> None:
    children = Execution.objects.filter(parent_id=wait.execution_id)
    children.update(status=Status.COMPLETED, completed_at=now(), wake_at=None)


def make_waiting(**columns: Any) -> Execution:
    """Waiting for a signal, as it should be."""
    execution = make_execution(Status.WAITING, **columns)
    make_wait(execution, StepKind.SIGNAL, "approved")
    return execution


def make_healthy() -> None:
    """One of everything that may look odd, and is all right."""
    make_execution()
    make_execution(wake_at=ahead(days=30))
    make_execution(Status.RUNNING)
    make_execution(Status.RUNNING, requested="pause", updated_at=ago(hours=1))
    make_execution(Status.RUNNING, wake_at=ago(seconds=5))  # about to be taken over
    make_execution(Status.PAUSED, workflow="unknown", queue="nobody")
    make_execution(Status.COMPLETED, workflow="unknown", queue="nobody")
    make_waiting()
    failed = make_execution(Status.FAILED)
    make_wait(failed, StepKind.SLEEP, deadline=ahead(hours=1))  # kept for a retry
    busy = make_waiting()
    make_signal(busy, "another")
    woken = make_waiting(wake_at=now())
    make_signal(woken, "approved")
    late = make_execution(Status.WAITING, wake_at=ahead(hours=1))
    make_wait(late, StepKind.SIGNAL, "approved", deadline=ago(seconds=40))
    make_signal(late, "approved", created_at=ago(seconds=20))
    loop = make_waiting()
    make_step(loop, "", StepStatus.RUNNING, kind=StepKind.LOOP)
    parent = make_waiting()  # has a handle that it does not wait for
    finish_child(make_wait(parent, StepKind.CHILD, "ship"))
    left = make_execution(Status.COMPLETED)
    make_wait(left, StepKind.CHILD, "ship")


def test_a_healthy_database_has_no_findings() -> None:
    make_healthy()
    assert examine().findings == []
    assert examine(history=None).is_healthy


def break_lease() -> Execution:
    return make_execution(Status.RUNNING, wake_at=ago(hours=1))


def break_lease_off() -> Execution:
    return make_execution(Status.RUNNING, wake_at=None)


def break_moment() -> Execution:
    return make_execution(wake_at=None)


def break_wait() -> Execution:
    execution = make_execution(Status.WAITING)
    make_step(execution, "charge")
    make_step(execution, "", StepStatus.RUNNING, kind=StepKind.LOOP)
    return execution


def break_wait_of_another_generation() -> Execution:
    execution = make_waiting()
    return change(execution, generation=1)


def break_signal() -> Execution:
    execution = make_waiting()
    make_signal(execution, "approved")
    return execution


def break_signal_in_time() -> Execution:
    execution = make_execution(Status.WAITING, wake_at=ahead(hours=1))
    make_wait(execution, StepKind.SIGNAL, "approved", deadline=ahead(hours=1))
    make_signal(execution, "approved")
    return execution


def break_event() -> Execution:
    execution = make_execution(Status.WAITING)
    wait = make_wait(execution, StepKind.EVENT, "review.posted")
    make_signal(execution, "review.posted", event_id=uuid4(), step_key=wait.key)
    return execution


def break_parent() -> Execution:
    execution = make_execution(Status.WAITING)
    finish_child(make_wait(execution, StepKind.CHILD, "ship"))
    return execution


def break_parent_with_other_waits() -> Execution:
    execution = make_waiting(awaiting=1)
    finish_child(make_wait(execution, StepKind.CHILD, "ship"))
    return execution


def break_claims() -> Execution:
    return make_execution(wake_at=ago(minutes=5))


def break_request() -> Execution:
    return make_execution(Status.FAILED, requested="retry", updated_at=ago(minutes=5))


def break_pause() -> Execution:
    return make_execution(Status.RUNNING, wake_at=ago(seconds=10), requested="pause", updated_at=ago(minutes=5))


def break_end() -> Execution:
    return make_execution(Status.COMPLETED, wake_at=now())


def break_rest() -> Execution:
    return make_execution(Status.PAUSED, wake_at=ahead(hours=1))


def break_holder() -> Execution:
    return make_execution(Status.CANCELLED, claimed_by=uuid4())


def break_time_of_end() -> Execution:
    return make_execution(Status.FAILED, completed_at=None)


def break_status_of_end() -> Execution:
    return make_execution(Status.PAUSED, completed_at=now())


def break_steps() -> Execution:
    execution = make_execution(Status.COMPLETED)
    make_wait(execution, StepKind.SLEEP, deadline=ahead(hours=1))
    return execution


def break_steps_of_cancelled() -> Execution:
    execution = make_execution(Status.CANCELLED)
    make_wait(execution, StepKind.CHILD, "ship")
    return execution


def break_family() -> Execution:
    return make_execution(parent=make_execution(Status.PAUSED))


def break_storing() -> Execution:
    execution = make_execution(Status.RUNNING)
    make_log(execution, EventType.ERROR, UNSTORED, {"error": {"type": "OperationalError"}}, created_at=now())
    return execution


def break_order() -> Execution:
    execution = make_execution()
    make_step(execution, "charge", claim=3)
    make_step(execution, "ship", claim=2)
    return execution


BROKEN: dict[Callable[[], Execution], tuple[str, str]] = {
    break_lease: ("lost-lease", "its worker's lease ended 1 h ago, and nobody has taken it over"),
    break_lease_off: ("lost-lease", "it has no lease"),
    break_moment: ("never-due", "nothing will ever wake it"),
    break_wait: ("waiting-for-nothing", "no step is open"),
    break_wait_of_another_generation: ("waiting-for-nothing", "no step is open"),
    break_signal: ("unread-signal", "the signal that it waits for is stored"),
    break_signal_in_time: ("unread-signal", "the signal that it waits for is stored"),
    break_event: ("unread-event", "the event that it waits for is delivered"),
    break_parent: ("untold-parent", "have finished already"),
    break_parent_with_other_waits: ("untold-parent", "have finished already"),
    break_claims: ("overdue", "5 min ago, and nobody has taken it"),
    break_request: ("unheard-request", "'retry' was requested 5 min ago"),
    break_pause: ("unheard-request", "'pause' was requested 5 min ago"),
    break_end: ("not-at-rest", "it is completed, and still has a timer"),
    break_rest: ("not-at-rest", "it is paused, and still has a timer"),
    break_holder: ("not-at-rest", "it is cancelled, and still has a worker"),
    break_time_of_end: ("not-at-rest", "without the time at which it did"),
    break_status_of_end: ("not-at-rest", "but has not"),
    break_steps: ("open-after-the-end", "a step of it is open"),
    break_steps_of_cancelled: ("open-after-the-end", "a step of it is open"),
    break_family: ("orphan", "no step of its parent stands for it"),
    break_storing: ("not-stored", "refuses again and again to store what it has done"),
    break_order: ("falling-claim", "was recorded by a worker that had lost it"),
}


@pytest.mark.parametrize("cause", BROKEN, ids=lambda cause: cause.__name__)
def test_what_is_broken_is_named_in_words(cause: Callable[[], Execution]) -> None:
    make_healthy()
    execution = cause()
    finding = only()
    check, words = BROKEN[cause]
    assert (finding.check, finding.execution_id) == (check, execution.id)
    assert words in finding.problem
    assert str(execution.id) in finding.problem
    assert finding.remedy


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite cannot drop the constraint that prevents it")
def test_two_outcomes_of_one_step_are_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_workflows_stepresult DROP CONSTRAINT workflows_step_once")
    execution = make_execution()
    make_step(execution, key="1")
    make_step(execution, key="1")
    assert "step 1 of execution" in only().problem
    assert only().check == "double-outcome"


@pytest.mark.parametrize("cause", [break_moment, break_wait, break_signal, break_event, break_parent])
def test_the_advice_for_a_stuck_execution_wakes_it(cause: Callable[[], Execution]) -> None:
    execution = cause()
    statement = only().remedy.removeprefix("Wake it: ").removesuffix(".")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert execution in Execution.objects.due()


def test_the_advice_for_a_row_that_is_not_at_rest_clears_it() -> None:
    break_end()
    with connection.cursor() as cursor:
        cursor.execute(only().remedy.removeprefix("Clear it: ").removesuffix("."))
    assert examine().is_healthy


# workers


def test_a_queue_that_nobody_serves() -> None:
    """QUE-16"""
    executions = [make_execution(queue="typo", wake_at=ago(minutes=5)) for _ in range(3)]
    finding = only()
    assert finding.problem == "no live worker serves the queue 'typo', where 3 executions of fulfil can go on."
    assert finding.remedy == "Start one: manage.py runworkflows --queue typo."
    assert finding.count == 3
    assert finding.execution_id == min(executions, key=lambda one: one.created_at).id


def test_a_version_that_nobody_serves() -> None:
    """VER-13"""
    execution = make_execution(version=7)
    finding = only()
    assert finding.problem == "no live worker of the queue 'default' knows 1 execution of fulfil in version 7."
    assert finding.execution_id == execution.id


def test_a_workflow_that_nobody_knows() -> None:
    """EXE-08"""
    make_execution(workflow="renamed")
    assert "knows 1 execution of renamed in version 1" in only().problem


@pytest.mark.parametrize("columns", [{"seen_at": timedelta(hours=-1)}, {"stopped_at": timedelta(0)}])
def test_a_worker_that_is_gone_serves_nobody(worker: Worker, columns: dict[str, timedelta]) -> None:
    """CRS-22"""
    make_execution()
    Worker.objects.update(**{name: now() + span for name, span in columns.items()})
    assert "no live worker serves the queue 'default'" in only().problem


def test_nobody_is_needed_when_there_is_nothing_to_do() -> None:
    Worker.objects.all().delete()
    make_execution(Status.PAUSED)
    make_execution(Status.COMPLETED)
    assert examine().is_healthy


def test_published_events_that_nobody_hands_on() -> None:
    for minutes in (1.5, 5):
        Event.objects.create(
            type=EventType.EVENT, name="review.posted", created_at=ago(hours=1), deliver_at=ago(minutes=minutes)
        )
    finding = only()
    assert "'review.posted'" in finding.problem
    assert "due 5 min ago" in finding.problem
    assert finding.count == 2


# the bounds


def test_the_output_has_a_bound() -> None:
    for _ in range(7):
        break_moment()
    diagnosis = examine(limit=5)
    assert len(diagnosis.findings) == 5
    assert diagnosis.more == {"never-due": 2}


def test_old_histories_are_looked_at_only_when_asked_for() -> None:
    change(break_order(), created_at=ago(days=3))
    assert examine().is_healthy
    assert only(history=None).check == "falling-claim"


def test_the_oldest_is_named_first() -> None:
    younger, older = make_execution(wake_at=None), make_execution(wake_at=None, created_at=ago(hours=1))
    assert [finding.execution_id for finding in examine().findings] == [older.id, younger.id]


def test_superseded_and_forgotten_rows_do_not_count() -> None:
    execution = make_execution()
    make_step(execution, claim=9, status=StepStatus.SUPERSEDED, superseded=1)
    make_step(execution, claim=9, status=StepStatus.FORGOTTEN)
    make_step(execution, claim=2)
    assert StepResult.objects.count() == 3
    assert examine().is_healthy


# the command


def doctor(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("workflowsdoctor", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_reassures_in_one_line() -> None:
    make_healthy()
    assert doctor() == (0, "Nothing is stuck: every unfinished execution has a reason to wake.\n")


def test_the_command_names_what_is_stuck_and_its_status_says_so() -> None:
    execution = break_signal()
    status, text = doctor()
    assert status == 1
    assert f"unread-signal: fulfil {execution.id} (waiting, queue default): the signal that it waits for" in text
    assert "\n    Wake it: UPDATE django_workflows_execution SET wake_at = CURRENT_TIMESTAMP" in text
    assert f"WHERE id = '{execution.id.hex}'" in text


def test_the_command_says_how_many_more_there_are() -> None:
    for _ in range(3):
        break_moment()
    assert doctor("--limit", "1")[1].endswith("never-due: 2 more.\n")


def test_the_command_speaks_json() -> None:
    assert doctor("--json") == (0, '{\n  "healthy": true,\n  "findings": [],\n  "more": {}\n}\n')
    execution = change(break_order(), created_at=ago(days=3))
    status, text = doctor("--json", "--all")
    [finding] = json.loads(text)["findings"]
    assert status == 1
    assert (finding["check"], finding["execution_id"]) == ("falling-claim", str(execution.id))


def test_schedules_that_nobody_looks_at_are_one_finding() -> None:
    for number in range(3):
        make_trigger("@daily", type="schedule", variant=str(number), next_at=ago(minutes=5 + number))
    make_trigger("@hourly", type="schedule", next_at=ago(minutes=9), enabled=False)
    make_trigger("@weekly", type="schedule", next_at=ago(seconds=5))
    finding = only()
    assert (finding.check, finding.count) == ("late-schedules", 3)
    assert "'@daily' of fulfil, due 7 min ago" in finding.problem.replace("  ", " ")


def old_trigger(pattern: str = "every minute", hours: int = 1, **columns: Any) -> Trigger:
    """A schedule that is not due, made some time ago."""
    trigger = make_trigger(pattern, **{"type": "schedule", "next_at": ahead(hours=1)} | columns)
    Trigger.objects.filter(pk=trigger.pk).update(created_at=ago(hours=hours))
    return trigger


def test_a_trigger_whose_workflow_no_worker_knows_is_named() -> None:
    gone = old_trigger(hours=2, workflow="gone")
    old_trigger("order.*", type="event", workflow="gone")
    old_trigger("first of month", workflow="not_yet", scheduled_until=ago(seconds=1))
    old_trigger(workflow="ship")
    old_trigger(workflow="elsewhere", enabled=False)
    old_trigger(workflow="retired", retired_at=now())
    make_trigger(workflow="just_deployed")
    make_workflow("off", enabled=False)
    old_trigger(workflow="off")

    finding = only()

    assert (finding.check, finding.count) == ("unknown-workflow", 1)
    assert f"no live worker knows gone, which the schedule trigger 'every minute' ({gone.pk})" in finding.problem
    assert f"triggers disable {str(gone.pk)[:8]}" in finding.remedy


def test_a_stored_definition_is_known_where_its_steps_are() -> None:
    for name, action in (("data", "ship"), ("stranded", "nowhere")):
        document: Any = {"name": name, "steps": [{"id": "a", "action": action}]}
        WorkflowVersion.objects.create(workflow=make_workflow(name).name, version=1, definition=document)
        old_trigger(workflow=name)

    assert "stranded" in only().problem


def test_nobody_misses_a_trigger_where_no_worker_lives(worker: Worker) -> None:
    old_trigger(workflow="gone")
    worker.delete()

    assert examine().is_healthy


def refuse(trigger: Trigger, times: int, **past: float) -> None:
    data: Any = {"error": {"type": "InvalidInput", "message": "amount: This argument is required."}}
    for number in range(times):
        Event.objects.create(
            type=EventType.SCHEDULE,
            name=TRIGGER_FAILED,
            source=f"trigger {trigger.pk}",
            data=data,
            created_at=ago(**past) - timedelta(seconds=number),
        )


def test_a_trigger_that_is_refused_again_and_again_is_named() -> None:
    failing = old_trigger()
    refuse(failing, 3, minutes=5)
    refuse(old_trigger("@hourly"), 2, minutes=5)
    refuse(old_trigger("@weekly", last_triggered_at=ago(minutes=1)), 3, minutes=5)
    refuse(old_trigger("@monthly", enabled=False), 3, minutes=5)
    refuse(old_trigger("@yearly"), 3, days=2)
    Event.objects.create(type=EventType.ERROR, name=TRIGGER_FAILED, source="trigger of old", created_at=ago(minutes=1))

    finding = only()

    assert (finding.check, finding.count) == ("failing-trigger", 3)
    assert f"({failing.pk}) was refused 3 times, the last time 5 min ago" in finding.problem
    assert finding.problem.endswith("amount: This argument is required.")


def test_a_schedule_that_cannot_be_read_any_more_is_named() -> None:
    """Its zone was there when it was made."""
    make_trigger("every 5 minutes", type="schedule", workflow="fulfil", config={"tz": "Mars/Olympus"})
    finding = only()
    assert finding.check == "unreadable-schedule"
    assert "Mars/Olympus" in finding.problem


# what is left behind


def _left(execution: Execution, since: Any, step: str = "") -> dict[str, str]:
    return {"execution": str(execution.id), "workflow": "fulfil", "step": step, "since": since.isoformat()}


def test_what_a_worker_has_left_behind_is_found(worker: Worker) -> None:
    """CAN-09: a cancelled function that loops without ctx, and a step whose time was up, keep what they took."""
    execution = make_execution(Status.CANCELLED)
    rows = [_left(execution, ago(minutes=5)), _left(execution, ago(minutes=2), "charge")]
    Worker.objects.update(left_behind=rows)
    function, body = examine().findings
    assert (function.check, function.execution_id) == ("left-behind", execution.id)
    assert worker.name in function.problem
    assert f"still runs fulfil ({execution.id}), for 5" in function.problem
    assert "still runs the step charge of fulfil" in body.problem
    assert "Restart that worker" in body.remedy


@pytest.mark.parametrize(
    "columns",
    [
        {"seen_at": timedelta(hours=-1)},
        {"stopped_at": timedelta()},
    ],
    ids=["gone", "stopped"],
)
def test_a_worker_that_is_gone_has_nothing_left_behind(worker: Worker, columns: dict[str, timedelta]) -> None:
    rows = [_left(make_execution(Status.CANCELLED), ago(minutes=5))]
    Worker.objects.update(left_behind=rows, **{name: now() + span for name, span in columns.items()})
    assert examine().is_healthy


@pytest.mark.parametrize(
    "rows",
    [
        "nonsense",
        [None, {"execution": "?"}, {"execution": 7, "workflow": "w", "step": "", "since": 8}],
        {},
    ],
)
def test_a_workers_row_that_makes_no_sense_stops_no_look(worker: Worker, rows: Any) -> None:
    Worker.objects.update(left_behind=rows)
    assert examine().is_healthy


def test_what_was_left_behind_just_now_may_end_by_itself(worker: Worker) -> None:
    Worker.objects.update(left_behind=[_left(make_execution(Status.CANCELLED), ago(seconds=10))])
    assert examine().is_healthy
