"""Executions that kill their worker: they end alone, in quarantine, and harm nobody else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from django_workflows.models import Execution, StepResult
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, fresh
from tests.proof.sampling import RUNS_ALL
from tests.sample.faults import (
    ANTIDOTE,
    sample_exit,
    sample_innocent,
    sample_leaving,
    sample_leaving_branch,
    sample_poison,
    sample_poisoned,
)
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line

NINE = range(9)


def test_only_the_poison_is_quarantined_and_resumes_after_the_fix(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-12, promise 7: two deaths among nine innocents, three alone, and nobody else's attempts are used up."""
    command = runworkflows.up(LEASE=60)
    poison = sample_poison.start("poison")
    innocents = [sample_innocent.start(f"innocent-{number}") for number in NINE]
    eventually(lambda: len(ledger.calls()) >= 10)
    ledger.open("poison")

    row = reach(poison, "paused")
    assert "Quarantined" in row.reason
    assert row.wake_at is None
    assert [call.attempt for call in ledger.calls("poison")] == [1, 2, 3, 4, 5]
    assert len({call.pid for call in ledger.calls("poison")}) == 5
    for number, innocent in enumerate(innocents):
        assert reach(innocent).result() == [f"innocent-{number}-0", f"innocent-{number}-1"]
    assert not Execution.objects.failed().exists()
    assert command.text.count("SIGKILL") == 5
    assert "paused" in command.text
    check_invariants()

    ledger.open(ANTIDOTE)
    fresh(poison).resume()
    assert reach(poison).result() == "poison"
    step = StepResult.objects.get(execution=poison.id)
    assert (step.attempts, step.lost) == (6, 5)
    check_invariants(ledger)


@pytest.mark.parametrize("kind", ["segfault", "memory", "gil"] if RUNS_ALL else ["segfault"])
def test_no_way_to_kill_a_worker_harms_its_neighbours(
    runworkflows: Commands, reach: Reach, ledger: Ledger, kind: str
) -> None:
    """CRS-12, promise 7: SIGSEGV, killed for memory, a step that holds the GIL for ever; it resumes after the fix."""
    command = runworkflows.up(LEASE=60, HANG_TIMEOUT=2 if kind == "gil" else 30)
    poison = sample_poisoned.start("poison", kind)
    innocents = [sample_innocent.start(f"innocent-{number}") for number in NINE]
    eventually(lambda: len(ledger.calls()) >= 10)
    ledger.open("poison")

    row = reach(poison, "paused")
    assert "Quarantined" in row.reason
    assert len(ledger.calls("poison")) == 5
    for innocent in innocents:
        reach(innocent)
    assert not Execution.objects.failed().exists()
    check_invariants()

    ledger.open(ANTIDOTE)
    fresh(poison).resume()
    assert reach(poison).result() == "poison"
    assert command.process.poll() is None
    check_invariants(ledger)


def test_a_drain_ends_only_when_the_poison_is_quarantined(runworkflows: Commands, ledger: Ledger) -> None:
    """What a worker that died with its executions leaves behind is still work to do. A step that has been running for
    long enough to have a row makes no progress by that.
    """
    poison = sample_poison.start("poison", after=1.6)
    innocent = sample_innocent.start("innocent")
    ledger.open("poison")
    command = runworkflows("--drain")
    assert command.wait() == 0
    assert fresh(poison).status == "paused"
    assert fresh(innocent).status == "completed"
    check_invariants(ledger)


@pytest.mark.parametrize(
    "workflow", [sample_exit, sample_leaving, sample_leaving_branch], ids=["def", "async def", "branch"]
)
def test_a_step_that_asks_for_the_end_of_the_process_fails_nobody(
    runworkflows: Commands, reach: Reach, ledger: Ledger, workflow: Any
) -> None:
    """RTY-16: the worker exits in order, the execution stays claimable, and is quarantined in the end."""
    command = runworkflows.up(LEASE=60)
    innocents = [sample_innocent.start(f"innocent-{number}") for number in NINE]
    leaving = workflow.start("leaving")
    for innocent in innocents:
        reach(innocent)
    row = reach(leaving, "paused")
    assert "Quarantined" in row.reason
    assert len(ledger.calls("leaving")) >= 5
    assert "SystemExit(1)" in command.text
    assert "status 3" in command.text

    ledger.open(ANTIDOTE)
    row.resume()
    assert reach(leaving).result() == "leaving"
    check_invariants(ledger)


def test_an_execution_whose_input_cannot_be_read_is_parked_and_its_worker_lives(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-13."""
    broken = sample_line.using(delay="1 hour").start("broken")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_workflows_execution SET input = '{not JSON', wake_at = created_at")
    command = runworkflows.up()
    workers = command.workers
    row = reach(broken, "paused")
    assert "cannot be read" in row.reason
    reach(sample_line.start("other"))
    assert command.workers == workers
    assert not ledger.calls("broken-0")
    check_invariants(ledger)


def test_a_worker_that_cannot_stay_alive_is_not_restarted_without_a_pause(
    runworkflows: Commands, ledger: Ledger
) -> None:
    """A crash loop of the workers costs no processor."""
    poison = sample_poison.start("poison")
    ledger.open("poison")
    runworkflows.up()
    eventually(lambda: fresh(poison).status == "paused")
    calls = ledger.calls("poison")
    pauses = [second.began - first.began for first, second in pairwise(calls)]
    assert min(pauses) > 0.3
