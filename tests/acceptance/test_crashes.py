"""What is killed goes on: the steps that were done stay done, the one that was lost is done again."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from django_workflows.client import start_many
from django_workflows.models import Execution
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, is_alive, kill
from tests.sample.ledger import Ledger
from tests.sample.workflows import (
    sample_child,
    sample_line,
    sample_line_async,
    sample_mixed,
    sample_mixed_async,
    sample_sleeper,
)


def more_are_completed(than: int) -> bool:
    return Execution.objects.completed().count() > than


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_a_killed_worker_is_replaced_and_its_execution_moves_at_once(
    runworkflows: Commands, reach: Reach, ledger: Ledger, workflow: Any
) -> None:
    """CRS-01, STP-02: the lease is a minute long, so nothing but the supervisor can have freed it."""
    command = runworkflows.up(LEASE=60)
    execution = workflow.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    (victim,) = command.workers

    kill(victim)
    killed_at = time.monotonic()
    first, second = eventually(lambda: ledger.calls("line-1")[1:] and ledger.calls("line-1"))

    assert second.began - killed_at < 20
    assert (first.pid, first.attempt, second.attempt) == (victim, 1, 2)
    assert second.pid != victim
    assert first.key == second.key
    ledger.open("line-1")
    row = reach(execution)
    assert row.result() == ["line-0", "line-1", "line-2"]
    assert len(ledger.calls("line-0")) == 1
    step = row.steps.get(key="2")
    assert (step.status, step.attempts, step.lost) == ("succeeded", 2, 1)
    assert row.crashes == 0
    assert "SIGKILL" in command.text
    check_invariants(ledger)


def test_a_worker_that_dies_whole_is_taken_over_when_its_lease_ends(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-01: nobody was left to free the claim."""
    command = runworkflows.up(LEASE=1)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    command.kill()
    killed_at = time.monotonic()
    other = runworkflows.up(LEASE=1)

    eventually(lambda: len(ledger.calls("line-1")) == 2)
    assert time.monotonic() - killed_at < 20
    ledger.open("line-1")
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    assert [call.attempt for call in ledger.calls("line-1")] == [1, 2]
    assert {call.pid for call in ledger.calls("line-2")} == set(other.workers)
    check_invariants(ledger)


def test_killing_everything_again_and_again_loses_nothing(runworkflows: Commands, ledger: Ledger) -> None:
    """CRS-14, CRS-17: a thousand mixed executions, and nothing of a worker survives six times."""
    rng = random.Random(14)
    start_many(sample_mixed, [{"number": number} for number in range(700)])
    start_many(sample_mixed_async, [{"number": 1000 + number} for number in range(300)])
    started = Execution.objects.count()

    for _ in range(6):
        command = runworkflows.up(LEASE=1)
        enough = min(Execution.objects.completed().count() + rng.randint(20, 120), 990)
        eventually(partial(more_are_completed, enough))
        command.kill()
    last = runworkflows("--drain", LEASE=1)
    assert last.wait(90) == 0

    assert started == 1000
    assert not Execution.objects.unfinished().exists(), Execution.objects.unfinished().values()[:5]
    assert Execution.objects.completed().count() == 1000 + 140
    assert Execution.objects.for_workflow(sample_child).count() == 140
    check_invariants(ledger)


def test_a_keeper_that_dies_is_replaced_and_leases_live_on(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """The steps of living workers lose nothing, and a worker that dies afterwards is still released at once."""
    command = runworkflows.up(LEASE=4)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    keeper = command.keeper
    kill(keeper)
    eventually(lambda: not is_alive(keeper) and command.keeper)
    held_until = Execution.objects.get().wake_at
    eventually(Execution.objects.filter(wake_at__gt=held_until).exists)
    assert len(ledger.calls("line-1")) == 1

    command.kill_a_worker()
    eventually(lambda: len(ledger.calls("line-1")) == 2)
    ledger.open("line-1")
    reach(execution)
    assert Execution.objects.get().claim == 3


def test_workers_end_when_their_supervisor_is_gone(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """Nobody extends their leases any more: they store what they can and give the rest back."""
    command = runworkflows.up(LEASE=2)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    processes = command.children
    kill(command.process.pid)
    eventually(lambda: not any(map(is_alive, processes)))

    runworkflows.up(LEASE=2)
    eventually(lambda: len(ledger.calls("line-1")) == 2)
    ledger.open("line-1")
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    check_invariants(ledger)


def test_a_sleep_survives_the_death_of_everything(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """TMR-02: it wakes when it would have, not later by the time it was dead."""
    command = runworkflows.up()
    execution = sample_sleeper.start("nap", 1.5)
    row = reach(execution, "waiting")
    deadline = row.steps.get(kind="sleep").deadline
    command.kill()
    runworkflows.up()

    row = reach(execution)
    assert ledger.calls("nap-after")[0].began - ledger.calls("nap-before")[0].began > 1.49
    assert row.steps.filter(kind="sleep", deadline=deadline, completed_at__gte=F("deadline")).exists()
