"""W5, W6, recovery and many at once: what happens when there is a lot of something."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from django.db import connection
from django.db.models import Max, Min

from benchmarks.ours.latency import wait_for
from benchmarks.ours.workers import PATIENCE, completed, wait_until_drained, workers
from benchmarks.protocol import Measurement, Reading, Sizes, percentile, wait_until
from django_workflows import codec
from django_workflows.client import start, start_many
from django_workflows.clock import database_now
from django_workflows.models import Execution, Status, StepResult


def fan_out(sizes: Sizes) -> Reading:
    """Children per second, from the parent's first claim to its completion; one parent at a time."""
    children, rates = sizes["children"], []
    with workers():
        for _ in range(1 + sizes["executions"]):
            parent = start("fan_out", children)
            wait_for(parent.id, Status.COMPLETED)
            row = Execution.objects.get(pk=parent.id)
            rates.append(children / _seconds(row.started_at, row.completed_at))
    return Reading(figures={"rate": median(rates[1:])}, completed=completed("child"), expected=len(rates) * children)


def sleepers(sizes: Sizes) -> Reading:
    """Park them, look at the worker's memory, and let all fall due at one moment."""
    count = sizes["executions"]
    with workers() as worker:
        start_many("sleeper", [{"until": database_now()}] * 100)
        wait_until_drained()
        before = worker.memory_mb()
        until = database_now() + timedelta(seconds=count / 1500 + 4)
        start_many("sleeper", [{"until": until}] * count)
        wait_until(lambda: _parked() >= count, within=PATIENCE, every=0.2, what="the sleepers to be parked")
        parked = worker.memory_mb()
        fresh = Execution.objects.filter(completed_at=None)
        parking = fresh.aggregate(begin=Min("started_at"), end=Max("updated_at"))
        if parking["end"] > until:
            raise RuntimeError("Some were due before all were parked.")
        wait_until_drained()
        resumed = Execution.objects.filter(completed_at__gt=until).aggregate(
            first=Min("completed_at"), last=Max("completed_at")
        )
        figures = {
            "rate": count / _seconds(parking["begin"], parking["end"]),
            "memory": parked,
            "growth": max(parked, worker.memory_mb()) - before,
            "first": _seconds(until, resumed["first"]),
            "last": _seconds(until, resumed["last"]),
        }
    return Reading(figures=figures, completed=completed("sleeper"), expected=count + 100)


def recovery(sizes: Sizes) -> Reading:
    """Kill the worker process, not its supervisor, while all executions are in the middle."""
    count, steps = sizes["executions"], sizes["steps"]
    with workers() as worker:
        start_many("busy", [{"steps": steps, "least": 0.02, "most": 0.03}] * count)
        journal = StepResult.objects.filter(status="succeeded")
        wait_until(lambda: journal.count() >= 2 * count, within=PATIENCE, every=0.02, what="the first steps")
        killed = database_now()
        os.kill(worker.pids[0], signal.SIGKILL)
        unfinished = Execution.objects.filter(completed_at=None).count()
        wait_until_drained()
    moved = journal.filter(created_at__gt=killed + timedelta(milliseconds=50)).aggregate(first=Min("created_at"))
    ended = Execution.objects.aggregate(last=Max("completed_at"))
    return Reading(
        figures={"first": _seconds(killed, moved["first"]), "last": _seconds(killed, ended["last"])},
        completed=completed("busy"),
        expected=count,
        facts={"unfinished when killed": str(unfinished)},
    )


def active(sizes: Sizes) -> Reading:
    """The time between the end of a step's body and the begin of the next one's, with so many executions under way."""
    count, steps = sizes["executions"], sizes["steps"]
    least, most = sizes["least_ms"] / 1000, sizes["most_ms"] / 1000
    with workers("--async-slots", str(count)):
        start_many("busy", [{"steps": 1, "least": 0.0, "most": 0.0}] * 10)
        wait_until_drained()
        start_many("busy", [{"steps": steps, "least": least, "most": most}] * count)
        wait_until_drained()
    gaps = _gaps()
    return Reading(
        figures={"p50": percentile(gaps, 50), "p99": percentile(gaps, 99)},
        completed=completed("busy"),
        expected=count + 10,
    )


def _gaps() -> list[float]:
    """In milliseconds, of all executions."""
    query = (
        "SELECT execution_id, output FROM django_workflows_stepresult WHERE kind = 'step' ORDER BY execution_id, seq"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows: list[tuple[Any, str]] = cursor.fetchall()
    times = [(id, *codec.decode(output)) for id, output in rows]
    return [(later[1] - earlier[2]) * 1000 for earlier, later in pairwise(times) if earlier[0] == later[0]]


def _parked() -> int:
    return Execution.objects.waiting().count()


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    assert begin is not None
    assert end is not None
    return (end - begin).total_seconds()


MEASUREMENTS: dict[str, Measurement] = {
    "W5": fan_out,
    "W6": sleepers,
    "recovery": recovery,
    "active-100": active,
    "active-10000": active,
}
