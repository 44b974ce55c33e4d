"""Pauses and cancellations that meet several things at once, and the list of workers."""

from __future__ import annotations

import signal
from functools import partial

from django_workflows.models import Execution, Worker
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, fresh, kill
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_branches, sample_line, sample_parent, sample_sleeper

THREE = range(3)


def test_a_pause_waits_for_all_steps_in_flight(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """PAU-02: three branches end what they do, none goes on; PAU-06: it stays paused for the next worker."""
    command = runworkflows.up()
    execution = sample_branches.start("branch")
    for number in THREE:
        eventually(partial(ledger.was_reached, f"branch-{number}"))
    fresh(execution).pause("to look at it")
    for number in THREE:
        assert fresh(execution).status == "running"
        ledger.open(f"branch-{number}")
    row = reach(execution, "paused")
    assert row.reason == "to look at it"
    assert list(row.steps.values_list("status", flat=True)) == ["succeeded"] * 3
    assert len(ledger.calls()) == 3

    command.send(signal.SIGTERM)
    assert command.wait() == 0
    runworkflows.up()
    reach(sample_line.start("other"))
    assert fresh(execution).status == "paused"

    row.resume()
    assert reach(execution).result() == [f"branch-{number}-second" for number in THREE]
    assert max(ledger.calls_by_key().values()) == 1
    check_invariants(ledger)


def test_a_pause_that_its_worker_does_not_survive_is_carried_out(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """PAU-06: asked of a holder that is killed before it could park."""
    command = runworkflows.up(LEASE=60)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    fresh(execution).pause()
    command.kill_a_worker()
    row = reach(execution, "paused")
    assert len(ledger.calls("line-1")) == 1
    row.resume()
    eventually(lambda: len(ledger.calls("line-1")) == 2)
    ledger.open("line-1")
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    check_invariants(ledger)


def test_a_sleeper_that_is_cancelled_ends_at_once_and_never_wakes(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CAN-02."""
    runworkflows.up()
    execution = sample_sleeper.start("nap", 3.0)
    reach(execution, "waiting")
    fresh(execution).cancel()
    row = reach(execution, "cancelled")
    assert (row.wake_at, row.completed_at is not None) == (None, True)
    reach(sample_sleeper.start("other", 3.0))
    assert not ledger.calls("nap-after")
    check_invariants(ledger)


def test_a_parent_that_is_cancelled_while_it_starts_children_leaves_none_behind(
    runworkflows: Commands, reach: Reach
) -> None:
    """CHD-06: some have finished, some run, most are not started, and some are just being started."""
    runworkflows.up("--threads", "4")
    parents = [sample_parent.start(300) for _ in range(4)]
    for parent in parents:
        eventually(Execution.objects.filter(parent=parent.id).exists)
        fresh(parent).cancel()
    for parent in parents:
        reach(parent, "cancelled")
    eventually(lambda: not Execution.objects.unfinished().exists())
    assert not Execution.objects.failed().exists()
    check_invariants()


def test_a_dead_worker_is_shown_as_dead(runworkflows: Commands) -> None:
    """CRS-22."""
    command = runworkflows.up()
    (pid,) = command.workers
    kill(pid)
    eventually(Worker.objects.filter(pid=pid, stopped_at__isnull=False).exists)
    other = eventually(lambda: command.workers)
    assert other != [pid]
    command.send(signal.SIGTERM)
    assert command.wait() == 0
    assert not Worker.objects.filter(stopped_at=None).exists()
