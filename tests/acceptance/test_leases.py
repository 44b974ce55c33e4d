"""Who holds a claim, and who does no more: long steps, steps that hold the GIL, zombies."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from django_workflows.models import Event, Execution, Signal, StepResult
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, is_alive
from tests.sample.faults import (
    ANTIDOTE,
    sample_block_the_loop,
    sample_count_at_gate,
    sample_hold_the_gil,
    sample_impatient,
    sample_take,
    sample_zombie,
)
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line

ZOMBIES = ("nothing", "child", "sleep", "signal", "event", "failure", "atomic", "step")


def everything() -> list[Any]:
    """Every row that a worker may write about executions."""
    return [list(model.objects.order_by("pk").values()) for model in (Execution, StepResult, Signal, Event, Group)]


def test_steps_that_last_for_several_leases_run_once(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-05, CRS-06: also those that keep the GIL, or the event loop, while another worker would take them over."""
    runworkflows.up(LEASE=2)
    runworkflows.up(LEASE=2)
    executions = [
        sample_take.start("long", 5.0),
        sample_block_the_loop.start("loop", 4.5),
        sample_hold_the_gil.start("gil", 5),
    ]
    for execution in executions:
        row = reach(execution)
        assert (row.claim, row.crashes) == (1, 0)
    assert len(ledger.calls()) == 3
    check_invariants(ledger)


def test_a_worker_that_has_not_beaten_for_too_long_is_killed(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-06, RTY-14: beyond `HANG_TIMEOUT` nobody waits for the one who holds the GIL."""
    command = runworkflows.up(LEASE=1, HANG_TIMEOUT=2)
    stuck = sample_hold_the_gil.start("gil", 60)
    (first,) = eventually(partial(ledger.calls, "gil"))
    ledger.open(ANTIDOTE)
    row = reach(stuck)
    assert [call.attempt for call in ledger.calls("gil")] == [1, 2]
    assert row.steps.get().lost == 1
    assert not is_alive(first.pid)
    assert "has not beaten for 2 s" in command.text
    check_invariants(ledger)


def test_a_step_beyond_its_timeout_frees_its_slot_and_its_late_result_is_refused(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """RTY-14."""
    runworkflows.up("--threads", "1")
    execution = sample_impatient.start("slow")
    other = sample_line.start("other")
    reach(other)
    done = reach(execution)
    before = Execution.objects.filter(pk=done.pk).values().get()
    ledger.open("slow")
    reach(sample_line.start("last"))
    assert Execution.objects.filter(pk=done.pk).values().get() == before
    assert [call.attempt for call in ledger.calls("slow")] == [1, 2]
    check_invariants(ledger)


def test_whatever_a_zombie_tries_to_write_is_refused(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-02: results, children, timers, messages, events, completions, failures, transactional steps, releases."""
    zombie = runworkflows.up(LEASE=1)
    executions = {then: sample_zombie.start(then, then) for then in ZOMBIES}
    for then in ZOMBIES:
        eventually(partial(ledger.was_reached, then))
    zombie.send_to_all(signal.SIGSTOP)
    other = runworkflows.up(LEASE=5)
    reach(executions["signal"], "waiting")
    executions["signal"].signal("go")
    reach(executions["failure"], "failed")
    for then in set(ZOMBIES) - {"failure", "step"}:
        reach(executions[then])
    eventually(partial(ledger.was_reached, "step-more"))
    eventually(Event.objects.filter(dispatched_at__isnull=False).exists)
    # the other worker gives its long body a row, which must not come between the two pictures
    eventually(StepResult.objects.filter(execution=executions["step"].id, status="running").exists)

    before = everything()
    for then in ZOMBIES:
        ledger.open(then)
    zombie.send_to_all(signal.SIGCONT)
    zombie.send(signal.SIGTERM)
    assert zombie.wait() == 0
    after = everything()
    held = executions["step"].id
    assert [row for row in after[0] if row["id"] != held] == [row for row in before[0] if row["id"] != held]
    assert after[1:] == before[1:]

    assert Execution.objects.get(pk=held).status == "running"
    ledger.open("step-more")
    row = reach(executions["step"])
    assert row.claim == 2
    (call,) = ledger.calls("step-more")
    assert call.pid in other.workers
    for then in ZOMBIES:
        first = StepResult.objects.get(execution=executions[then].id, key="1")
        assert (first.attempts, first.lost, first.claim) == (2, 1, 2)
    check_invariants(ledger)


def test_a_zombie_that_wakes_up_is_a_healthy_worker_again(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-02: it drops what was taken from it, and goes on with other work."""
    zombie = runworkflows.up(LEASE=1)
    execution = sample_zombie.start("old", "nothing")
    eventually(partial(ledger.was_reached, "old"))
    zombie.send_to_all(signal.SIGSTOP)
    other = runworkflows.up(LEASE=1)
    reach(execution)
    other.kill()
    ledger.open("old")
    zombie.send_to_all(signal.SIGCONT)

    reach(sample_line.start("new"))
    assert {call.pid for call in ledger.calls("new-2")} == set(zombie.workers)
    assert len(zombie.children) == 2
    check_invariants(ledger)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a transaction that hangs holds the only write lock")
def test_a_zombie_cannot_commit_a_transactional_step(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-02: its writes go with the claim it has lost."""
    zombie = runworkflows.up(LEASE=1)
    execution = sample_count_at_gate.start("group")
    eventually(partial(ledger.was_reached, "group-1"))
    zombie.send_to_all(signal.SIGSTOP)
    runworkflows.up(LEASE=1)
    eventually(partial(ledger.was_reached, "group-2"))
    ledger.open("group-2")
    reach(execution)
    ledger.open("group-1")
    zombie.send_to_all(signal.SIGCONT)
    zombie.send(signal.SIGTERM)
    assert zombie.wait() == 0
    assert list(Group.objects.values_list("name", flat=True)) == ["group-2"]
    check_invariants(ledger)
