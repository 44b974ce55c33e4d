"""Numbers for dashboards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_workflows.inspection.metrics import metrics, percentiles
from django_workflows.models import Execution, Status
from tests.factories import ago, make_execution

pytestmark = pytest.mark.django_db


def test_percentiles_are_by_the_nearest_rank() -> None:
    found = percentiles([timedelta(seconds=number) for number in range(100, 0, -1)])

    assert (found.p50, found.p90, found.p99, found.count) == (50, 90, 99, 100)


def test_there_are_no_percentiles_of_nothing() -> None:
    assert percentiles([]).p99 is None
    assert percentiles([timedelta(seconds=-1)]).p50 == 0


def test_rates_and_latencies_are_those_of_the_last_minutes_and_the_newest() -> None:
    begun, ended = ago(minutes=2), ago(minutes=1)
    for _ in range(3):
        make_execution(
            Status.COMPLETED,
            created_at=begun,
            started_at=begun + timedelta(seconds=2),
            completed_at=ended,
            workflow="a",
        )
    make_execution(Status.FAILED, created_at=begun, completed_at=ended, workflow="b")
    make_execution(Status.COMPLETED, created_at=ago(hours=2), completed_at=ago(hours=1), workflow="a")

    found = metrics(Execution.objects.all())

    assert [(count.workflow, count.status, count.count) for count in found.counts] == [
        ("a", "completed", 4),
        ("b", "failed", 1),
    ]
    assert (found.rates.started, found.rates.completed, found.rates.failed) == (4 / 300, 3 / 300, 1 / 300)
    assert found.duration.p50 == pytest.approx(60, abs=1)
    assert found.wait.p50 == pytest.approx(2, abs=0.1)
    assert metrics(Execution.objects.all(), workflow="b").duration.count == 1


def test_the_backlog_tells_how_long_the_oldest_is_due() -> None:
    make_execution(wake_at=ago(minutes=3), queue="mail")

    (backlog,) = metrics(Execution.objects.all()).backlogs

    assert (backlog.queue, backlog.due) == ("mail", 1)
    assert backlog.age > timedelta(minutes=2)


def test_the_numbers_of_some_are_those_of_no_others() -> None:
    make_execution(queue="own")
    make_execution(queue="other")

    found = metrics(Execution.objects.filter(queue="own"), whole=False)

    assert sum(count.count for count in found.counts) == 1
    assert found.backlogs == []
