"""How many there are, and how far each queue is behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_workflows.inspection import Count, backlogs, count_by_status, queues
from django_workflows.models import Status
from tests.factories import ago, ahead, make_execution

pytestmark = pytest.mark.django_db


def test_executions_are_counted_by_workflow_and_status() -> None:
    """OBS-08"""
    for status in (Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.RUNNING):
        make_execution(status)
    make_execution(Status.COMPLETED, workflow="invoice")

    counts = {(count.workflow, count.status): count.count for count in count_by_status()}

    assert counts == {
        ("fulfil", "completed"): 2,
        ("fulfil", "failed"): 1,
        ("fulfil", "running"): 1,
        ("invoice", "completed"): 1,
    }
    assert count_by_status(workflow="invoice") == [Count(workflow="invoice", status="completed", count=1)]


def test_a_count_that_stopped_at_the_limit_says_so() -> None:
    for _ in range(3):
        make_execution(Status.FAILED)

    assert count_by_status(limit=2) == [Count(workflow="fulfil", status="failed", count=2, at_least=True)]
    assert not count_by_status(limit=4)[0].at_least


def test_each_queue_tells_what_is_due_and_for_how_long() -> None:
    make_execution(wake_at=ago(seconds=10))
    make_execution(wake_at=ago(seconds=90), priority=7)
    make_execution(wake_at=ahead(hours=1), queue="bulk")
    make_execution(Status.COMPLETED, queue="old")

    bulk, default = backlogs()

    assert queues() == ["bulk", "default"]
    assert (default.queue, default.due, default.at_least) == ("default", 2, False)
    assert timedelta(seconds=90) <= default.age < timedelta(seconds=100)
    assert (bulk.due, bulk.age) == (0, timedelta(0))
    assert bulk.next_at is not None


def test_a_long_backlog_is_counted_to_the_limit() -> None:
    for _ in range(3):
        make_execution(wake_at=ago(seconds=10))

    assert backlogs(limit=2)[0].due == 2
    assert backlogs(limit=2)[0].at_least


def test_nothing_due_anywhere() -> None:
    assert backlogs() == []
    assert count_by_status() == []
