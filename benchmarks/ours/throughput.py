"""W1 and W2: how many workflows and steps a worker finishes in a second, and what they cost it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from django.db import connection
from django.db.models import Max, Min

from benchmarks.ours import commits
from benchmarks.ours.workers import Workers, completed, wait_until_drained, workers
from benchmarks.protocol import Measurement, Reading, Sizes
from django_workflows.client import start_many
from django_workflows.models import Execution

WARM_UP = 100
THREADS = "128"  # of 32, the default, 64, 100 and 128; what others are best with was tried as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many executions of a workflow, each with so many steps."""

    workflow: str
    executions: int
    steps: int


def rate(load: Load) -> float:
    """Steps per second from the first claim to the last completion, by the database's clock. The load must be due."""
    span = Execution.objects.for_workflow(load.workflow).aggregate(begin=Min("started_at"), end=Max("completed_at"))
    return load.executions * load.steps / float((span["end"] - span["begin"]).total_seconds())


def drain(load: Load) -> None:
    """Start it in one transaction, and wait until the workers have finished it."""
    start_many(load.workflow, [{"number": load.steps}] * load.executions)
    wait_until_drained()


def warm_up(load: Load) -> None:
    """Threads, connections and caches are there before anything is measured."""
    drain(Load(workflow=load.workflow, executions=WARM_UP, steps=load.steps))
    clear()


def clear() -> None:
    """No executions, as in a new database."""
    emptying = "DELETE FROM" if connection.vendor == "sqlite" else "TRUNCATE"
    with connection.cursor() as cursor:
        for table in ("execution", "stepresult", "event"):
            cursor.execute(f"{emptying} django_workflows_{table}")


def measure(load: Load, worker: Workers) -> Reading:
    """Rates, processor time of the worker for a thousand, commits for one. The worker must be idle."""
    warm_up(load)
    counts_commits = connection.vendor == "postgresql"
    before = commits.count() if counts_commits else 0
    used = worker.cpu_seconds()
    start_many(load.workflow, [{"number": load.steps}] * load.executions)
    wait_until_drained()
    used = worker.cpu_seconds() - used
    amount = load.executions * load.steps
    figures = {"rate": rate(load), "cpu": used / amount * 1000}
    if counts_commits:
        figures["commits"] = (commits.count() - before) / amount
    return Reading(figures=figures, completed=completed(load.workflow), expected=load.executions)


def throughput(sizes: Sizes, *, workflow: str) -> Reading:
    load = Load(workflow=workflow, executions=sizes["executions"], steps=sizes.get("steps", 1))
    with workers("--threads", THREADS) as worker:
        return measure(load, worker)


def compared(sizes: Sizes, *, one: tuple[str, ...], many: tuple[str, ...], count: int) -> Reading:
    """The rate with several processes, as a multiple of the rate with one."""
    load = Load(workflow="sequence", executions=sizes["executions"], steps=sizes["steps"])
    rates = []
    for arguments, processes in ((one, 1), (many, count)):
        clear()
        with workers(*arguments, count=processes):
            warm_up(load)
            drain(load)
            rates.append(rate(load))
    return Reading(
        figures={"ratio": rates[1] / rates[0], "rate": rates[1]},
        completed=completed(load.workflow),
        expected=load.executions,
    )


MEASUREMENTS: dict[str, Measurement] = {
    "W1": partial(throughput, workflow="one_step"),
    "W1-async": partial(throughput, workflow="async_one_step"),
    "W2": partial(throughput, workflow="sequence"),
    "W2-async": partial(throughput, workflow="async_sequence"),
    "two-workers": partial(compared, one=(), many=(), count=2),
    "contention": partial(compared, one=("--threads", "32"), many=("--threads", "8"), count=4),
}
