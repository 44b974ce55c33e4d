"""Numbers for dashboards, at a cost that has a bound: nothing here reads a whole table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from django_workflows import clock
from django_workflows.inspection.counts import LIMIT, Backlog, Count, backlogs, count_by_status
from django_workflows.models import Execution

WINDOW = timedelta(minutes=5)
SAMPLE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Executions per second over the last minutes; with `at_least` there were more than could be counted."""

    window: timedelta
    started: float
    completed: float
    failed: float
    cancelled: float
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Seconds that half, nine tenths and 99 hundredths stayed below; None of nothing."""

    p50: float | None
    p90: float | None
    p99: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How it goes: `wait` from creation to the first worker, `duration` from creation to the end, of the newest."""

    time: datetime
    workflow: str
    counts: Sequence[Count]
    rates: Rates
    wait: Percentiles
    duration: Percentiles
    backlogs: Sequence[Backlog]


def metrics(executions: QuerySet[Execution], *, workflow: str = "", whole: bool = True) -> Metrics:
    """The numbers of these executions, of one workflow or of all.

    `whole` says that `executions` are all there are: then counts come by index, and the queues are looked at.
    """
    now = clock.database_now(executions.db)
    rows = executions.filter(workflow=workflow) if workflow else executions
    counts = count_by_status(workflow=workflow) if whole else _count(rows)
    newest = list(
        rows.filter(completed_at__isnull=False)
        .order_by("-completed_at")
        .values_list("created_at", "started_at", "completed_at")[:SAMPLE]
    )
    return Metrics(
        time=now,
        workflow=workflow,
        counts=counts,
        rates=_rates(rows, now),
        wait=percentiles([started - created for created, started, _ in newest if started is not None]),
        duration=percentiles([ended - created for created, _, ended in newest if ended is not None]),
        backlogs=backlogs() if whole else [],
    )


def _count(rows: QuerySet[Execution]) -> list[Count]:
    """By status among the newest."""
    found = list(rows.order_by("-created_at").values_list("workflow", "status")[:LIMIT])
    return [
        Count(workflow=workflow, status=status, count=count, at_least=len(found) == LIMIT)
        for (workflow, status), count in sorted(Counter(found).items())
    ]


def _rates(rows: QuerySet[Execution], now: datetime) -> Rates:
    since, seconds = now - WINDOW, WINDOW.total_seconds()
    started = rows.filter(created_at__gt=since).order_by("-created_at").values_list("id")[:LIMIT].count()
    ended = list(rows.filter(completed_at__gt=since).order_by("-completed_at").values_list("status", flat=True)[:LIMIT])
    by_status = Counter(ended)
    return Rates(
        window=WINDOW,
        started=started / seconds,
        completed=by_status["completed"] / seconds,
        failed=by_status["failed"] / seconds,
        cancelled=by_status["cancelled"] / seconds,
        at_least=LIMIT in {started, len(ended)},
    )


def percentiles(spans: Sequence[timedelta]) -> Percentiles:
    """By the nearest rank."""
    ordered = sorted(max(span.total_seconds(), 0.0) for span in spans)

    def rank(share: float) -> float | None:
        return round(ordered[max(math.ceil(share * len(ordered)) - 1, 0)], 6) if ordered else None

    return Percentiles(p50=rank(0.5), p90=rank(0.9), p99=rank(0.99), count=len(ordered))
