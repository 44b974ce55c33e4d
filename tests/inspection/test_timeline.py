"""The history of an execution: steps, log and inbox as one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_workflows import Context, Retry, current_step, step, workflow
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.inspection import HistoryItem, door, history, recent, timeline, why_waiting
from django_workflows.inspection.timeline import InvalidPosition
from django_workflows.models import EventType, Execution, Status, StepKind, StepStatus
from tests.factories import ERROR, damage, make_execution, make_log, make_signal, make_step, make_wait

pytestmark = pytest.mark.django_db


def titles(execution: Execution, **options: Any) -> list[str]:
    return [item.title for item in timeline(execution, **options)]


def test_steps_failures_and_the_end_stand_in_the_order_of_time() -> None:
    """OBS-02"""
    execution = make_execution(Status.FAILED)
    at = execution.created_at
    make_step(execution, "reserve")
    make_step(
        execution,
        "charge",
        StepStatus.FAILED,
        attempts=2,
        created_at=at + timedelta(seconds=1),
        completed_at=at + timedelta(seconds=9),
    )
    for number in (1, 2):
        data = {"step": "2", "attempt": number, "error": ERROR}
        make_log(execution, EventType.ERROR, "charge", data, created_at=at + timedelta(seconds=number + 1))

    items = timeline(execution)

    assert [item.title for item in items] == [
        "Created",
        "Taken by a worker for the first time",
        "Step reserve started",
        "Step reserve succeeded",
        "Step charge started",
        "Step charge: attempt 1 failed: ProviderError",
        "Step charge: attempt 2 failed: ProviderError",
        "Step charge failed: ProviderError, after 2 attempts",
        "Failed",
    ]
    assert [item.time for item in items] == sorted(item.time for item in items)
    assert [item.step_key for item in items] == ["", "", "1", "1", "2", "2", "2", "2", ""]
    began = (at + timedelta(seconds=1)).isoformat()
    assert items[-2].data == {
        "kind": "step",
        "status": "failed",
        "attempts": 2,
        "started_at": began,
        "error": ERROR,
    }


def test_waits_are_told_with_what_came_of_them() -> None:
    execution = make_execution(Status.COMPLETED)
    at = execution.created_at
    for number, (kind, name, output) in enumerate(
        [
            (StepKind.SLEEP, "", None),
            (StepKind.SIGNAL, "approved", {"data": True}),
            (StepKind.SIGNAL, "approved", None),
            (StepKind.EVENT, "review.posted", {"data": 5}),
            (StepKind.CHILD, "ship", "sent"),
        ]
    ):
        begins = at + timedelta(seconds=number + 1)
        make_step(
            execution, name, kind=kind, output=output, created_at=begins, completed_at=begins + timedelta(seconds=0.5)
        )

    assert titles(execution)[2:-1] == [
        "Went to sleep",
        "Woke up",
        "Waits for the signal approved",
        "Got the signal approved",
        "Waits for the signal approved",
        "Waited in vain for the signal approved",
        "Waits for the event review.posted",
        "Got the event review.posted",
        "Child workflow ship started",
        "Child workflow ship ended",
    ]


def test_an_open_wait_has_begun_and_no_more() -> None:
    execution = make_execution(Status.WAITING)
    wait = make_wait(execution, StepKind.SLEEP, "before the mail", deadline=execution.created_at)

    item = timeline(execution)[-1]

    assert item.title == "Went to sleep: before the mail"
    assert item.data == {"kind": "sleep", "status": "started", "deadline": wait.deadline.isoformat()}  # type: ignore[union-attr]  # given above


def test_messages_and_verbs_are_part_of_it() -> None:
    execution = make_execution(Status.WAITING)
    make_signal(execution, "approved", {"by": "ada"})
    make_signal(execution, "review.posted", event_id=uuid4(), step_key="3")
    make_log(execution, EventType.OPERATOR, "pause", {"by": "ada", "reason": "stock"})
    make_log(execution, EventType.LIFECYCLE, "resumed")

    items = timeline(execution)[2:]

    assert {(item.type, item.title) for item in items} == {
        ("operator", "Pause, by ada"),
        ("lifecycle", "Resumed"),
        ("signal", "Signal approved received"),
        ("event", "Event review.posted matched"),
    }
    assert next(item for item in items if item.type == "signal").data["data"] == {"by": "ada"}


def test_errors_that_belong_to_no_attempt_are_told_too() -> None:
    execution = make_execution(Status.PAUSED)
    make_log(execution, EventType.ERROR, "workflow failed", {"error": ERROR})
    make_log(execution, EventType.ERROR, "journal mismatch", {"step": "3", "expected": "a", "found": "b"})
    make_log(execution, EventType.ERROR, "retry", {"error": {"type": "TransitionError"}, "requested": "retry"})

    assert set(titles(execution)[2:]) == {
        "Workflow failed: ProviderError",
        "Journal mismatch",
        "Retry was asked for and did not apply",
    }


def test_what_a_retry_replaced_stays_visible() -> None:
    execution = make_execution(Status.COMPLETED)
    make_step(execution, "charge", StepStatus.SUPERSEDED, error=ERROR)
    make_step(execution, "charge", key="1")

    assert titles(execution)[2:-1] == [
        "Step charge started",
        "Step charge failed: ProviderError (done again since)",
        "Step charge started",
        "Step charge succeeded",
    ]


def test_no_title_quotes_a_message() -> None:
    execution = make_execution(Status.FAILED, reason="card 4711")
    make_step(execution, status=StepStatus.FAILED)
    make_log(execution, EventType.ERROR, "charge", {"attempt": 1, "error": ERROR})
    make_log(execution, EventType.OPERATOR, "retry", {"by": "ada", "reason": "card 4711"})

    assert "4711" not in " ".join(titles(execution))


def test_the_history_is_read_fresh_however_old_the_handle_is() -> None:
    execution = make_execution()
    make_completed = Execution.objects.filter(pk=execution.pk)
    make_completed.update(status=Status.COMPLETED, completed_at=execution.created_at, wake_at=None)

    assert titles(execution) == ["Created", "Completed"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_join_without_gap_or_repetition(size: int) -> None:
    """OBS-01"""
    execution = make_execution(Status.COMPLETED)
    same = execution.created_at + timedelta(seconds=1)
    for _ in range(4):  # one group commit: all at one instant
        make_step(execution, created_at=same, completed_at=same)
        make_log(execution, EventType.ERROR, "charge", {"attempt": 1}, created_at=same)
    whole = timeline(execution)

    forward: list[HistoryItem] = []
    backward: list[HistoryItem] = []
    after = before = ""
    while page := timeline(execution, limit=size, after=after):
        forward += page
        after = page[-1].position
    while page := recent(execution, limit=size, before=before):
        backward = page + backward
        before = page[0].position

    assert forward == whole
    assert backward == whole
    assert len(whole) == 3 + 8


def test_the_most_recent_things_are_given_oldest_first() -> None:
    execution = make_execution(Status.COMPLETED)
    make_step(execution)

    assert [item.title for item in recent(execution, limit=2)] == ["Step charge succeeded", "Completed"]


def test_steps_that_took_no_time_are_told_once() -> None:
    execution = make_execution(Status.RUNNING)
    make_step(execution, "now", kind=StepKind.VALUE)
    make_step(execution, "order.paid", kind=StepKind.SEND)

    assert titles(execution)[2:] == ["Recorded now", "Sent order.paid"]


@step(name="history_reserve", retry=Retry(max_attempts=3, initial_interval=0))
def history_reserve(order_id: int) -> int:
    if current_step().attempt == 1:
        raise ValueError("shelf is empty")
    return order_id


@workflow(name="history_order")
def history_order(ctx: Context, order_id: int) -> str:
    ctx.do(history_reserve, order_id)
    message = ctx.wait_for_signal("approved", timeout="3 days")
    return message.data if message else "nobody"


def test_what_the_engine_writes_reads_as_a_story(settings: Any) -> None:
    """OBS-02"""
    settings.WORKFLOWS = {"EAGER": True}

    execution = history_order.start(order_id=42)
    row = Execution.objects.get(pk=execution.id)
    assert why_waiting(row).startswith("waiting for signal approved until ")
    execution.signal("approved", "ada")
    execution.refresh_from_db()

    assert execution.status == Status.COMPLETED
    told = [item["title"] for item in execution.history()]
    assert told[0] == "Created"
    assert told[-1] == "Completed"
    story = [
        "Step history_reserve: attempt 1 failed: ValueError",
        "Step history_reserve succeeded, after 2 attempts",
        "Waits for the signal approved",
        "Got the signal approved",
    ]
    assert [title for title in told if title in story] == story


def test_the_door_gives_dicts() -> None:
    execution = make_execution(Status.CANCELLED)

    last = door.history(execution)[-1]

    assert last["name"] == "cancelled"
    assert last["data"] == {"reason": "ordered twice"}
    assert set(last) == {"time", "type", "name", "title", "data", "step_key", "position"}
    assert history(execution, limit=1)[0]["name"] == "created"


def test_a_damaged_payload_does_not_hide_the_history() -> None:
    """SER-10"""
    execution = make_execution(Status.FAILED)
    damage(make_step(execution, status=StepStatus.FAILED), "error")
    damage(make_log(execution, EventType.ERROR, "charge", {"attempt": 1}), "data")
    damage(execution, "error")

    assert titles(execution)[2:] == [
        "Step charge started",
        "Step charge failed: unknown",
        "Charge",
        "Failed",
    ]


def test_who_asks_for_nobody_is_told() -> None:
    with pytest.raises(ExecutionNotFound):
        timeline(uuid4())


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01~1~x", "2026-01-01T00:00:00~1~" + "0" * 32, "~~"])
def test_a_position_that_nobody_gave_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidPosition):
        timeline(make_execution(), after=text)
