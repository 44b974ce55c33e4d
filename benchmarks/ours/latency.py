"""W3 and W4: how long people wait. Each sample on a worker that has nothing else to do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import connection

from benchmarks.ours.workers import PATIENCE, workers
from benchmarks.protocol import Measurement, Reading, Sizes, percentile, wait_until
from django_workflows.client import start, start_many
from django_workflows.models import Execution, Status

LOOK_SECONDS = 0.0005  # to see that it has completed as soon as anybody could
WARM_UP = 10

STATUS_OF = "SELECT status FROM django_workflows_execution WHERE id = %s"


def wait_for(id: UUID, *statuses: str) -> None:
    """Ask for an execution's status, from this process, until it is one of these."""

    def is_there() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(STATUS_OF, [id])
            return cursor.fetchone()[0] in statuses

    wait_until(is_there, within=PATIENCE, every=LOOK_SECONDS, what=f"{id} to be {statuses}")


def sampled(sample: Callable[[], float], sizes: Sizes) -> list[float]:
    """So many samples in milliseconds, at moments that have nothing to do with the worker's own."""
    values = []
    for _ in range(WARM_UP + sizes["samples"]):
        time.sleep(random.uniform(0.02, 0.06))
        values.append(sample() * 1000)
    return values[WARM_UP:]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": percentile(values, 50), "p99": percentile(values, 99)}


def start_to_completed(sizes: Sizes) -> Reading:
    """From before `start()` until this process sees the execution completed."""

    def sample() -> float:
        began = time.perf_counter()
        wait_for(start("one_step", 1).id, Status.COMPLETED)
        return time.perf_counter() - began

    with workers():
        values = sampled(sample, sizes)
    return Reading(figures=percentiles(values), completed=len(values), expected=sizes["samples"])


def signal_to_resumed(sizes: Sizes) -> Reading:
    """From before `signal()` until the next step's body runs; both processes read the clock of this machine."""

    def sample() -> float:
        execution = start("resumed")
        wait_for(execution.id, Status.WAITING)
        time.sleep(random.uniform(0.01, 0.04))
        began = time.time()
        execution.signal("go")
        wait_for(execution.id, Status.COMPLETED)
        return _output(execution.id) - began

    with workers():
        values = sampled(sample, sizes)
    return Reading(figures=percentiles(values), completed=len(values), expected=sizes["samples"])


def lateness(sizes: Sizes) -> Reading:
    """How much longer than a second a sleep of one second lasts; they begin one after the other, and overlap."""
    with workers():
        wait_for(start("late", 0.1).id, Status.COMPLETED)
        executions = []
        for _ in range(sizes["samples"]):
            executions += start_many("late", [{"seconds": 1.0}])
            time.sleep(random.uniform(0.02, 0.06))
        for execution in executions:
            wait_for(execution.id, Status.COMPLETED)
        values = [_output(execution.id) * 1000 for execution in executions]
    return Reading(figures=percentiles(values), completed=len(values), expected=sizes["samples"])


def _output(id: UUID) -> float:
    return float(str(Execution.objects.values_list("output", flat=True).get(pk=id)))


MEASUREMENTS: dict[str, Measurement] = {
    "W3": start_to_completed,
    "W4": signal_to_resumed,
    "W4-sleep": lateness,
}
