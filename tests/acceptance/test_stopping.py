"""How a worker ends when it is asked to, and how it ends when it is asked again."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from django.db import connection

from django_workflows.clock import DatabaseNow
from django_workflows.models import Execution
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants, check_ledger
from tests.acceptance.processes import Command, Commands, eventually, fresh, is_alive, kill
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line, sample_line_async


def asked_politely(command: Command) -> None:
    command.send(signal.SIGTERM)


def asked_with_all(command: Command) -> None:
    command.send_to_all(signal.SIGTERM)


def asked_by_ctrl_c(command: Command) -> None:
    command.send_to_all(signal.SIGINT)


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
@pytest.mark.parametrize("ask", [asked_politely, asked_with_all, asked_by_ctrl_c])
def test_sigterm_lets_the_step_in_flight_end_and_starts_no_other(
    runworkflows: Commands, reach: Reach, ledger: Ledger, workflow: Any, ask: Any
) -> None:
    """The parent alone is asked, or the whole group, as service managers and terminals do: they drain all the same."""
    command = runworkflows.up("-v", "3", LEASE=60)
    execution = workflow.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    ask(command)
    eventually(lambda: "draining" in command.text)
    late = workflow.start("late")
    ledger.open("line-1")

    opened_at = time.monotonic()
    assert command.wait() == 0
    assert time.monotonic() - opened_at < 15  # before the grace time is over
    row = fresh(execution)
    assert (row.status, row.claimed_by, row.crashes) == ("pending", None, 0)
    assert row.steps.get(key="2").status == "succeeded"
    assert Execution.objects.filter(pk=row.pk, wake_at__lte=DatabaseNow()).exists()
    assert not ledger.calls("line-2")
    assert not ledger.calls("late-0")
    assert not command.children
    assert " 2 steps in" in command.text

    runworkflows.up()
    reach(execution)
    reach(late)
    assert max(ledger.calls_by_key().values()) == 1
    check_invariants(ledger)


def test_children_drain_when_only_the_parent_is_asked(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-10: with several worker processes, none is orphaned."""
    count = 1 if connection.vendor == "sqlite" else 3
    command = runworkflows.up("-v", "3", "--processes", str(count), "--threads", "1", workers=count)
    executions = [sample_line.start(f"line-{number}", gated=0) for number in range(count)]
    eventually(lambda: all(ledger.was_reached(f"line-{number}-0") for number in range(count)))
    processes = command.children
    assert len(processes) == count + 1
    command.send(signal.SIGTERM)
    eventually(lambda: command.text.count("draining") == count)
    for number in range(count):
        ledger.open(f"line-{number}-0")
    assert command.wait() == 0
    assert not any(map(is_alive, processes))
    for execution in executions:
        assert fresh(execution).steps.get().status == "succeeded"
    assert f" {count} steps in" in command.text
    check_ledger(ledger)


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_what_does_not_end_within_the_grace_time_is_done_again_elsewhere(
    runworkflows: Commands, reach: Reach, ledger: Ledger, workflow: Any
) -> None:
    """CRS-08: it ends with the grace time, and gives back what it holds."""
    command = runworkflows.up(LEASE=60, GRACE=1)
    execution = workflow.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    asked_at = time.monotonic()
    command.send(signal.SIGTERM)
    assert command.wait() == 0
    assert 0.9 < time.monotonic() - asked_at < 15
    assert "Giving back 1 execution" in command.text
    assert (fresh(execution).status, fresh(execution).claimed_by) == ("pending", None)

    runworkflows.up(LEASE=60)
    eventually(lambda: len(ledger.calls("line-1")) == 2)
    ledger.open("line-1")
    row = reach(execution)
    assert [call.attempt for call in ledger.calls("line-1")] == [1, 2]
    assert row.steps.get(key="2").lost == 1
    check_invariants(ledger)


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_everything_at_once(
    runworkflows: Commands, reach: Reach, ledger: Ledger, again: signal.Signals
) -> None:
    """CRS-09: and what was in flight is free at once, without a crash being counted."""
    command = runworkflows.up(LEASE=60, GRACE=60)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    command.send(signal.SIGTERM)
    eventually(lambda: "stopping" in command.text)
    asked_at = time.monotonic()
    command.send(again)
    command.wait()
    assert time.monotonic() - asked_at < 20
    row = fresh(execution)
    assert (row.status, row.claimed_by, row.crashes) == ("pending", None, 0)

    runworkflows.up(LEASE=60)
    eventually(lambda: len(ledger.calls("line-1")) == 2)
    ledger.open("line-1")
    reach(execution)
    assert len({call.key for call in ledger.calls("line-1")}) == 1


def test_an_idle_worker_ends_at_once(runworkflows: Commands) -> None:
    command = runworkflows.up()
    asked_at = time.monotonic()
    command.send(signal.SIGTERM)
    assert command.wait() == 0
    assert time.monotonic() - asked_at < 15  # before the grace time is over


def test_a_signal_before_the_workers_are_up_is_not_lost(runworkflows: Commands) -> None:
    """A process that was just forked has not set up anything yet."""
    command = runworkflows()
    eventually(lambda: "Quit with" in command.text)
    command.send(signal.SIGTERM)
    assert command.wait() == 0


def test_a_single_worker_process_that_is_asked_to_end_drains_and_is_replaced(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """It is not the whole command that was asked."""
    command = runworkflows.up(LEASE=60)
    execution = sample_line.start("line", gated=1)
    eventually(lambda: ledger.was_reached("line-1"))
    (asked,) = command.workers
    kill(asked, signal.SIGTERM)
    kill(asked, signal.SIGTERM)
    ledger.open("line-1")
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    assert max(ledger.calls_by_key().values()) == 1
    (other,) = eventually(lambda: command.workers)
    assert other != asked
    check_invariants(ledger)
