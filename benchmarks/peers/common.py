"""The same measurements for every peer. What differs is how it starts, signals and is asked: see `Peer`.

A worker is `run.py work MODE`, a process of its own that says "ready" on its standard output. MODE is "fast" for those
of the settings we have tried with which the peer did most in a second, "async" for the same of its `async def` side,
"prompt" for those with which it answered soonest, "default" for those it comes with. A peer may have further modes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import psycopg

from benchmarks import processes
from benchmarks.protocol import Measurement, Reading, Sizes, percentile, wait_until

PATIENCE = 60.0
LOOK_SECONDS = 0.0005
WARM_UP = 5
SETTLED_SECONDS = 1.2

STATISTICS = """
SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(),
    xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""


class Peer(ABC):
    """What the measurements need to know of one."""

    def __init__(self) -> None:
        self.url = os.environ["DATABASE_URL"]
        self.connection = psycopg.connect(self.url, autocommit=True)
        self.asked = 0  # questions to the database that are ours, not the peer's

    @abstractmethod
    def start(self, workflow: str, value: float) -> str:
        """Start one, in a transaction of its own; its id."""

    @abstractmethod
    def start_many(self, workflow: str, values: Sequence[float]) -> list[str]:
        """Start them by the fastest means that the peer offers."""

    @abstractmethod
    def output(self, id: str) -> Any:
        """What it came to, None as long as it is not completed."""

    @abstractmethod
    def completed(self) -> int:
        """How many executions have completed."""

    @abstractmethod
    def span(self) -> tuple[float, float]:
        """When the first began and when the last completed, in seconds."""

    def mode(self, workflow: str) -> str:
        """The mode of the worker whose throughput is measured."""
        return "async" if workflow.startswith("async_") else "fast"

    def signal(self, id: str) -> None:
        """Let an execution of "resumed" go on."""
        raise NotImplementedError

    def parked(self) -> int:
        """How many executions sleep."""
        raise NotImplementedError

    def ask(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The first row."""
        self.asked += 1
        return self.connection.execute(query, parameters).fetchone()

    def commits(self) -> int:
        """Transactions so far, without ours; waits until everybody has told."""
        time.sleep(SETTLED_SECONDS)
        return int(self.ask(STATISTICS)[2]) - self.asked


@contextmanager
def worker(mode: str = "fast", *, kill: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A worker process, once it is ready."""
    process = subprocess.Popen([sys.executable, sys.argv[0], "work", mode], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                raise RuntimeError("The worker did not start.")
        yield process
    finally:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def throughput(peer: Peer, sizes: Sizes, *, workflow: str) -> Reading:
    """They are enqueued first, so that the worker does nothing else than work."""
    count, steps = sizes["executions"], sizes.get("steps", 1)
    peer.start_many(workflow, [steps] * count)
    before = peer.commits()
    with worker(peer.mode(workflow)) as process:
        used = processes.cpu_seconds([process.pid])
        wait_until(lambda: peer.completed() >= count, within=PATIENCE, every=0.1, what="completions")
        used = processes.cpu_seconds([process.pid]) - used
    begin, end = peer.span()
    amount = count * steps
    figures = {
        "rate": amount / (end - begin),
        "cpu": used / amount * 1000,
        "commits": (peer.commits() - before) / amount,
    }
    return Reading(figures=figures, completed=peer.completed(), expected=count)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    kept = values[WARM_UP:]
    return {"p50": percentile(kept, 50) * 1000, "p99": percentile(kept, 99) * 1000}


def sampled(peer: Peer, sizes: Sizes, sample: Callable[[], float]) -> Reading:
    values = []
    with worker("prompt"):
        for _ in range(WARM_UP + sizes["samples"]):
            time.sleep(random.uniform(0.02, 0.06))
            values.append(sample())
    return Reading(figures=percentiles(values), completed=sizes["samples"], expected=sizes["samples"])


def outcome(peer: Peer, id: str) -> Any:
    """Wait for it, looking as soon as anybody could."""
    found: list[Any] = []

    def is_there() -> bool:
        found[:] = [peer.output(id)]
        return found[0] is not None

    wait_until(is_there, within=PATIENCE, every=LOOK_SECONDS, what="a completion")
    return found[0]


def start_to_completed(peer: Peer, sizes: Sizes) -> Reading:
    def sample() -> float:
        began = time.perf_counter()
        outcome(peer, peer.start("one_step", 1))
        return time.perf_counter() - began

    return sampled(peer, sizes, sample)


def signal_to_resumed(peer: Peer, sizes: Sizes) -> Reading:
    def sample() -> float:
        id = peer.start("resumed", 0)
        time.sleep(random.uniform(0.2, 0.25))  # it waits by then
        began = time.time()
        peer.signal(id)
        return float(outcome(peer, id)) - began

    return sampled(peer, sizes, sample)


def lateness(peer: Peer, sizes: Sizes) -> Reading:
    with worker("prompt"):
        outcome(peer, peer.start("late", 0.1))
        ids = []
        for _ in range(WARM_UP + sizes["samples"]):
            ids.append(peer.start("late", 1.0))
            time.sleep(random.uniform(0.02, 0.06))
        values = [float(outcome(peer, id)) for id in ids]
    return Reading(figures=percentiles(values), completed=sizes["samples"], expected=sizes["samples"])


def fan_out(peer: Peer, sizes: Sizes) -> Reading:
    """The parent tells how long it took, from its first to its last line."""
    children, lasted = sizes["children"], []
    with worker():
        for _ in range(1 + sizes["executions"]):
            lasted.append(float(outcome(peer, peer.start("fan_out", children))))
    expected = len(lasted) * children
    return Reading(figures={"rate": children / median(lasted[1:])}, completed=expected, expected=expected)


def sleepers(peer: Peer, sizes: Sizes) -> Reading:
    """All fall due at one moment, some seconds after the last should be parked."""
    count = sizes["executions"]
    until = time.time() + count / 100 + 6
    peer.start_many("sleeper", [until] * count)
    with worker() as process:
        before = processes.memory_mb(process.pid)
        began = time.time()
        wait_until(lambda: peer.parked() >= count, within=PATIENCE, every=0.05, what="the sleepers to be parked")
        ended, parked = time.time(), processes.memory_mb(process.pid)
        if ended > until:
            raise RuntimeError("Some were due before all were parked.")
        wait_until(lambda: peer.completed() > 0, within=PATIENCE, every=0.005, what="the first to resume")
        first = time.time()
        wait_until(lambda: peer.completed() >= count, within=PATIENCE, every=0.05, what="the last to resume")
        figures = {
            "rate": count / (ended - began),
            "memory": parked,
            "growth": parked - before,
            "first": first - until,
            "last": time.time() - until,
        }
    return Reading(figures=figures, completed=peer.completed(), expected=count)


def recovery(peer: Peer, sizes: Sizes, *, journal: Callable[[Peer], int]) -> Reading:
    """Kill the worker, and start another at once: these have no supervisor that would."""
    count, steps = sizes["executions"], sizes["steps"]
    peer.start_many("busy", [steps] * count)
    with worker(kill=True):
        wait_until(lambda: journal(peer) >= 2 * count, within=PATIENCE, every=0.02, what="the first steps")
    killed, known = time.time(), journal(peer)
    with worker():
        wait_until(lambda: journal(peer) > known, within=PATIENCE, every=0.01, what="anything to move")
        moved = time.time()
        wait_until(lambda: peer.completed() >= count, within=PATIENCE, every=0.05, what="completions")
        ended = time.time()
    figures = {"first": moved - killed, "last": ended - killed}
    return Reading(figures=figures, completed=peer.completed(), expected=count)


def starts(peer: Peer, sizes: Sizes, *, in_bulk: bool = True) -> Reading:
    peer.start("one_step", 0)
    began = time.perf_counter()
    for number in range(sizes["samples"]):
        peer.start("one_step", number)
    figures = {"rate": sizes["samples"] / (time.perf_counter() - began)}
    if in_bulk:
        values = list(range(sizes["executions"]))
        began = time.perf_counter()
        peer.start_many("one_step", values)
        figures["many"] = len(values) / (time.perf_counter() - began)
    return Reading(figures=figures, missing={} if in_bulk else {"many": "It starts them one by one."})


def idle(peer: Peer, sizes: Sizes) -> Reading:
    """With the settings it comes with."""
    with worker("default"):
        time.sleep(3)
        first, began = peer.commits(), time.monotonic()
        time.sleep(sizes["seconds"])
        last, lasted = peer.commits(), time.monotonic() - began
    return Reading(figures={"queries": (last - first) / lasted})


def measurements(make: Callable[[], Peer], *, in_bulk: bool = True) -> dict[str, Measurement]:
    """What can be measured of any peer; it replaces what it cannot do."""

    def bound(measure: Callable[..., Reading], **options: Any) -> Measurement:
        return lambda sizes: partial(measure, make(), **options)(sizes)

    return {
        "W1": bound(throughput, workflow="one_step"),
        "W1-async": bound(throughput, workflow="async_one_step"),
        "W2": bound(throughput, workflow="sequence"),
        "W2-async": bound(throughput, workflow="async_sequence"),
        "W3": bound(start_to_completed),
        "W4": bound(signal_to_resumed),
        "W4-sleep": bound(lateness),
        "W5": bound(fan_out),
        "W6": bound(sleepers),
        "W7": bound(starts, in_bulk=in_bulk),
        "W8": bound(idle),
    }
