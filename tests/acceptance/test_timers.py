"""Many deadlines at once, and what became due or arrived while nobody was there."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connection, models

from django_workflows.client import send_event
from django_workflows.client import signal as send_signal
from django_workflows.clock import database_now
from django_workflows.models import Execution, Signal, StepResult
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Command, Commands, eventually, fresh
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_alarm, sample_note, sample_receiver, sample_sleeper, sample_subscriber

HERD = 10_000


def stop(command: Command) -> None:
    command.send(signal.SIGTERM)
    assert command.wait() == 0


def values_of(row: models.Model, **others: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields} | others


def multiply(example: Execution, count: int) -> None:
    """Park so many more executions like this one."""
    (step,) = example.steps.all()
    ids = [uuid4() for _ in range(count)]
    rows = [Execution(**values_of(example, id=id)) for id in ids]
    steps = [StepResult(**values_of(step, id=uuid4(), execution_id=id)) for id in ids]
    Execution.objects.bulk_create(rows, batch_size=1000)
    StepResult.objects.bulk_create(steps, batch_size=1000)


def test_ten_thousand_sleepers_that_fall_due_in_one_second_wake_once_each(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """TMR-09: and what matters more is served in their midst."""
    first = runworkflows.up()
    example = sample_alarm.start(time.time() + 3600)
    parked = reach(example, "waiting")
    stop(first)
    multiply(parked, HERD - 1)
    processes = 1 if connection.vendor == "sqlite" else 2
    command = runworkflows.up("--processes", str(processes), workers=processes)
    due_at = database_now() + timedelta(seconds=0.5)
    StepResult.objects.update(deadline=due_at)
    Execution.objects.update(wake_at=due_at)

    eventually(lambda: Execution.objects.for_workflow(sample_alarm).completed().count() > HERD / 10)
    urgent = reach(sample_note.using(priority=9).start("urgent"))
    left = Execution.objects.for_workflow(sample_alarm).unfinished().count()
    eventually(lambda: not Execution.objects.unfinished().exists(), within=90, or_tell=lambda: command.text)
    assert left > 0
    assert urgent.started_at is not None
    assert (urgent.started_at - urgent.created_at).total_seconds() < 10
    herd = Execution.objects.for_workflow(sample_alarm)
    assert set(herd.values_list("status", "claim", "crashes")) == {("completed", parked.claim + 1, 0)}
    assert herd.count() == HERD
    assert StepResult.objects.filter(kind="sleep", status="succeeded").count() == HERD
    assert not StepResult.objects.filter(completed_at__lt=models.F("deadline")).exists()
    assert "Traceback" not in command.text


def test_timers_that_fell_due_while_nobody_was_there_fire_once_oldest_first(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """TMR-10."""
    first = runworkflows.up()
    sleepers = [sample_sleeper.start(f"nap-{number}", 3600.0) for number in range(5)]
    for sleeper in sleepers:
        reach(sleeper, "waiting")
    stop(first)
    order = [3, 0, 4, 1, 2]
    for age, number in enumerate(order):
        due_at = database_now() - timedelta(hours=1, minutes=-age)
        StepResult.objects.filter(execution=sleepers[number].id, kind="sleep").update(deadline=due_at)
        Execution.objects.filter(pk=sleepers[number].id).update(wake_at=due_at)

    assert runworkflows("--drain", "--threads", "1").wait() == 0
    calls = [call.label for call in ledger.calls() if call.label.endswith("after")]
    assert calls == [f"nap-{number}-after" for number in order]
    check_invariants(ledger)


def test_what_is_sent_while_all_workers_are_down_is_delivered(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """EVT-04: a signal to one execution, and an event for another."""
    first = runworkflows.up()
    receiver, subscriber = sample_receiver.start("message"), sample_subscriber.start(7)
    reach(receiver, "waiting")
    reach(subscriber, "waiting")
    stop(first)
    send_signal(receiver, "go", "hello")
    send_event("sample.happened", {"number": 7})
    assert fresh(receiver).status == "waiting"

    runworkflows.up()
    assert reach(receiver).result() == "message-hello"
    assert reach(subscriber).result() == "event-7"
    check_invariants(ledger)


def test_events_and_signals_arrive_while_workers_are_killed(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """EVT-24: thirty of thirty, each once."""
    command = runworkflows.up(LEASE=2)
    subscribers = [sample_subscriber.start(number) for number in range(30)]
    receivers = [sample_receiver.start(f"message-{number}") for number in range(30)]
    for execution in (*subscribers, *receivers):
        reach(execution, "waiting")
    for number in range(30):
        send_event("sample.happened", {"number": number})
        send_signal(receivers[number], "go", number)
        if number % 10 == 5:
            command.kill_a_worker()
    for number in range(30):
        assert reach(subscribers[number]).result() == f"event-{number}"
        assert reach(receivers[number]).result() == f"message-{number}-{number}"
    assert Signal.objects.filter(consumed_at__isnull=False).count() == 60
    assert Signal.objects.count() == 60
    check_invariants(ledger)
