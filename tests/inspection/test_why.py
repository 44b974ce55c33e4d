"""Why an execution does not move, in one sentence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import Retry, step, workflow
from django_workflows.inspection import why_waiting, why_waiting_many
from django_workflows.models import Execution, Status, StepKind, StepStatus
from tests.factories import (
    ago,
    ahead,
    make_execution,
    make_retry,
    make_step,
    make_wait,
    make_worker,
)

pytestmark = pytest.mark.django_db


@step(name="why_charge", retry=Retry(max_attempts=5))
def why_charge() -> None: ...


@workflow(name="why_fulfil")
def why_fulfil(ctx: Any) -> None: ...


def waiting(**columns: Any) -> Execution:
    return make_execution(Status.WAITING, **columns)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_finished_execution_waits_for_nothing(status: Status) -> None:
    assert why_waiting(make_execution(status)) == ""


def test_a_sleeper_says_until_when() -> None:
    execution = waiting()
    deadline = make_wait(execution, StepKind.SLEEP, deadline=ahead(days=2, hours=3, seconds=30)).deadline

    assert deadline is not None
    assert why_waiting(execution) == f"sleeping until {deadline:%Y-%m-%d %H:%M} (in 2 d 3 h)"


def test_a_labelled_sleep_says_what_for() -> None:
    execution = waiting()
    make_wait(execution, StepKind.SLEEP, "Before the mail", deadline=ahead(minutes=5, seconds=1))

    assert why_waiting(execution).startswith("Before the mail: sleeping until ")


def test_a_back_off_counts_the_attempts_that_the_code_allows() -> None:
    execution = waiting(workflow="why_fulfil")
    make_retry(execution, "why_charge", attempts=2)

    assert why_waiting(execution) == "why_charge: retry 3/5 in 12 s"


def test_attempts_lost_with_their_worker_use_up_none() -> None:
    execution = waiting(workflow="why_fulfil")
    make_retry(execution, "why_charge", attempts=6, lost=3)

    assert why_waiting(execution) == "why_charge: retry 7/8 in 12 s"


def test_a_back_off_of_unknown_code_names_no_limit() -> None:
    execution = waiting()
    make_retry(execution, "gone", attempts=2)

    assert why_waiting(execution) == "gone: retry 3 in 12 s"


def test_a_wait_for_an_event_says_since_when() -> None:
    execution = waiting()
    since = make_wait(execution, StepKind.EVENT, "review.posted", created_at=ago(hours=3)).created_at

    assert why_waiting(execution) == f"waiting for event review.posted since {since:%Y-%m-%d %H:%M}"


def test_a_wait_for_a_signal_says_until_when() -> None:
    execution = waiting()
    make_wait(execution, StepKind.SIGNAL, "approved", deadline=ahead(days=3, seconds=30))

    assert why_waiting(execution).startswith("waiting for signal approved until ")
    assert why_waiting(execution).endswith("(in 3 d)")


def test_one_child_is_named_and_many_are_counted() -> None:
    one, many = waiting(), waiting()
    make_wait(one, StepKind.CHILD, "ship")
    for _ in range(37):
        make_wait(many, StepKind.CHILD, "ship")

    assert why_waiting(one) == "waiting for child ship"
    assert why_waiting(many) == "waiting for 37 children"


def test_of_several_waits_the_one_that_ends_first_is_told() -> None:
    execution = waiting()
    make_wait(execution, StepKind.EVENT, "review.posted")
    make_wait(execution, StepKind.SIGNAL, "approved", deadline=ahead(hours=1, seconds=1))
    make_wait(execution, StepKind.SLEEP, deadline=ahead(days=1))

    assert why_waiting(execution).startswith("waiting for signal approved until ")
    assert why_waiting(execution).endswith(", and 2 more")


def test_what_an_earlier_generation_left_does_not_count() -> None:
    execution = waiting(generation=1, wake_at=ahead(hours=1, seconds=1))
    make_wait(execution, StepKind.SIGNAL, "approved", generation=0)

    assert why_waiting(execution).startswith("waiting until ")


def test_a_waiting_execution_without_anything_to_wake_it_is_found_out() -> None:
    """OBS-09"""
    assert why_waiting(waiting()) == "nothing will wake it: it has no open step"


def test_a_paused_execution_gives_its_reason_to_those_who_may_read_it() -> None:
    execution = make_execution(Status.PAUSED, reason="Step 'charge' failed: card 4711 declined")

    assert why_waiting(execution) == "paused: Step 'charge' failed: card 4711 declined"
    assert why_waiting(execution, reveal=False) == "paused"


def test_a_delayed_execution_says_when_it_starts() -> None:
    execution = make_execution(wake_at=ahead(hours=2, seconds=30))

    assert why_waiting(execution).startswith("starts 20")
    assert why_waiting(execution).endswith("(in 2 h)")


def test_due_and_nobody_comes() -> None:
    make_worker()
    execution = make_execution(wake_at=ago(seconds=40))

    assert why_waiting(execution) == "due, no worker has taken it for 40 s"


def test_due_and_nobody_is_there() -> None:
    make_worker(seen_at=ago(hours=1))
    make_worker(stopped_at=ago(seconds=1))

    assert why_waiting(make_execution()) == "due, but no worker is there"


def test_due_on_a_queue_that_nobody_serves() -> None:
    make_worker()

    assert why_waiting(make_execution(queue="bulk")) == "no worker serves the queue bulk"


def test_due_in_a_version_that_nobody_serves() -> None:
    make_worker({"fulfil": [1, 2]})

    # put off for a few seconds by workers that lack the code
    execution = make_execution(version=3, wake_at=ahead(seconds=20))

    assert why_waiting(execution) == "nobody serves version 3 of fulfil"


def test_a_long_step_says_for_how_long_it_has_been_running() -> None:
    execution = make_execution(Status.RUNNING)
    make_step(execution, status=StepStatus.RUNNING, started_at=ago(seconds=40), attempts=2)

    assert why_waiting(execution) == "running charge for 40 s, attempt 2"
    assert why_waiting(make_execution(Status.RUNNING)) == "running"


def test_a_lost_worker_is_told() -> None:
    execution = make_execution(Status.RUNNING, wake_at=ago(seconds=5))

    assert why_waiting(execution) == "its worker is lost; waiting to be taken over for 5 s"


@pytest.mark.parametrize(
    ("status", "requested", "expected"),
    [
        (Status.RUNNING, "pause", "will pause as soon as the running steps are stored"),
        (Status.RUNNING, "cancel", "a worker will carry out: cancel"),
        (Status.PAUSED, "resume", "a worker will carry out: resume"),
    ],
)
def test_a_verb_that_was_typed_as_sql_is_told(status: Status, requested: str, expected: str) -> None:
    assert why_waiting(make_execution(status, requested=requested)) == expected


def test_steps_that_are_known_already_are_not_read_again() -> None:
    execution = waiting()
    steps = [
        make_step(execution),
        make_wait(execution, StepKind.CHILD, "ship"),
        make_wait(execution, StepKind.CHILD, "ship"),
    ]

    assert why_waiting(execution, steps) == why_waiting(execution) == "waiting for 2 children"
    assert why_waiting(execution, []) == "nothing will wake it: it has no open step"


def test_a_list_costs_three_queries_whatever_its_length() -> None:
    make_worker()
    executions = [waiting() for _ in range(12)] + [make_execution() for _ in range(5)]
    for execution in executions[:12]:
        make_wait(execution, StepKind.SIGNAL, "approved")

    with CaptureQueriesContext(connection) as queries:
        reasons = why_waiting_many(executions)

    assert len(queries) == 3
    assert len(reasons) == 17
    assert reasons[executions[0].id].startswith("waiting for signal approved since ")


def test_finished_executions_cost_nothing() -> None:
    executions = [make_execution(Status.COMPLETED) for _ in range(3)]

    with CaptureQueriesContext(connection) as queries:
        why_waiting_many(executions)

    assert len(queries) == 0


def test_a_worker_that_tells_nonsense_serves_nothing() -> None:
    worker = make_worker()
    worker.workflows = [1, 2]
    worker.id = uuid4()
    worker.save()
    execution = make_execution(workflow="other", wake_at=ago(seconds=1.5) + timedelta(seconds=0))

    assert why_waiting(execution) == "nobody serves version 1 of other"
