"""How soon what was hit moves again: at once while the supervisor lives, within a lease when nobody is left."""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Any

from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, kill
from tests.proof.sampling import RUNS_ALL
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line, sample_line_async

KILLS = 20 if RUNS_ALL else 3
LEASE = 2.0


def has_moved(ledger: Ledger, label: str) -> bool:
    """Whether the step was begun a second time."""
    return len(ledger.calls(label)) > 1


def test_executions_of_a_killed_worker_move_again_within_a_second(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-01: SIGKILL again and again; the lease is a minute, so only the supervisor can have freed them."""
    command = runworkflows.up(LEASE=60)
    seconds, usual = [], []
    for number in range(KILLS):
        workflow: Any = sample_line if number % 2 else sample_line_async
        started_at = time.monotonic()
        execution = workflow.start(f"line{number}", gated=1)
        eventually(partial(ledger.was_reached, f"line{number}-1"))
        usual.append(ledger.calls(f"line{number}-1")[0].began - started_at)
        (victim,) = command.workers
        kill(victim)
        killed_at = time.monotonic()
        eventually(partial(has_moved, ledger, f"line{number}-1"))
        seconds.append(ledger.calls(f"line{number}-1")[1].began - killed_at)
        ledger.open(f"line{number}-1")
        reach(execution)
    busy = 4 * max(usual)  # a machine with other things to do
    assert median(seconds) < 1.0 + busy, seconds
    assert max(seconds) < 2.0 + busy, seconds  # RESTART_PAUSE for one that died young
    check_invariants(ledger)


def test_executions_of_a_lost_machine_move_again_within_a_lease(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-01, CRS-04: all of its processes are gone at once; another machine waits for the lease and no longer."""
    lost = runworkflows.up(LEASE=LEASE)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    other = runworkflows.up(LEASE=LEASE)
    lost.kill()
    killed_at = time.monotonic()
    eventually(partial(has_moved, ledger, "line-1"))
    second = ledger.calls("line-1")[1]
    assert LEASE * 0.5 < second.began - killed_at < LEASE + 10
    assert second.pid in other.workers
    ledger.open("line-1")
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    check_invariants(ledger)
