"""Processes that steps start: they end as they are told, and their worker does not notice."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from django_workflows.models import Execution
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, kill
from tests.sample.children import sample_calling, sample_fork_in_workflow, sample_forking_on_the_loop
from tests.sample.ledger import Ledger

on_postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="asks the server for its sessions")
METHODS = ["fork", "spawn", "forkserver"]


def outcome(runworkflows: Commands, reach: Reach, execution: Any) -> Any:
    """Of an execution that one worker process has begun and ended, and is there for the next."""
    command = runworkflows.started[-1]
    workers = command.workers
    result = reach(execution).result()
    assert command.workers == workers
    reach(sample_calling.start("sample_signals_of_program"))
    assert command.workers == workers
    assert "draining" not in command.text
    return result


@pytest.mark.parametrize(("method", "pause"), [*((method, 0.3) for method in METHODS), ("fork", 0.0)])
def test_a_child_that_a_step_terminates_ends(runworkflows: Commands, reach: Reach, method: str, pause: float) -> None:
    """However soon after its birth."""
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start("sample_terminate", method, pause)) == -15


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_with_work_left_can_be_left(runworkflows: Commands, reach: Reach, method: str) -> None:
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start("sample_leave_pool", method)) < 20


def test_a_program_hears_of_an_interrupt(runworkflows: Commands, reach: Reach) -> None:
    """`SIG_IGN` would have been handed on to it."""
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start("sample_interrupt_program")) == -2


def test_a_program_begins_with_no_signal_blocked_nor_those_of_the_worker_ignored(
    runworkflows: Commands, reach: Reach
) -> None:
    runworkflows.up("-v", "3")
    shown = outcome(runworkflows, reach, sample_calling.start("sample_signals_of_program"))
    blocked, ignored = (int(line.split("\\t")[1].split("\\n")[0], 16) for line in shown.split(", '"))
    assert blocked == 0
    assert not ignored & (1 << 1 | 1 << 14)  # SIGINT, SIGTERM


@pytest.mark.parametrize(("how", "status"), [("return", 0), ("exit", 7), ("raise", 1)])
@pytest.mark.parametrize("step", ["sample_fork", "sample_fork_async", "sample_fork_atomic"])
def test_a_child_that_comes_to_the_end_of_the_body_ends_there(
    runworkflows: Commands, reach: Reach, ledger: Ledger, step: str, how: str, status: int
) -> None:
    """The body's outcome is its parent's; nothing is stored, committed or waited for in the child."""
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start(step, how)) == status
    assert len(ledger.calls("child")) == 1
    assert Group.objects.count() == (step == "sample_fork_atomic")
    check_invariants()


def test_a_child_on_the_event_loop_ends_with_its_body(runworkflows: Commands, reach: Reach) -> None:
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_forking_on_the_loop.start("exit")) == 7


@pytest.mark.parametrize(("then", "status"), [("nothing", 0), ("step", 1)])
def test_a_workflow_that_forks_goes_on_once(runworkflows: Commands, reach: Reach, then: str, status: int) -> None:
    """The child can do nothing with its `ctx`."""
    command = runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_fork_in_workflow.start(then)) == status
    assert ("forked from it" in command.text) is (then == "step")


@on_postgres
def test_a_child_has_connections_of_its_own(runworkflows: Commands, reach: Reach) -> None:
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start("sample_child_writes")) == ["after", "before", "child"]


@on_postgres
def test_a_child_can_start_executions(runworkflows: Commands, reach: Reach) -> None:
    runworkflows.up("-v", "3")
    assert outcome(runworkflows, reach, sample_calling.start("sample_child_starts", "by a child")) == 0
    reach(Execution.objects.get(workflow="sample_named"))


@on_postgres
def test_a_transaction_of_a_dead_worker_ends_though_its_child_lives(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """The child holds none of its sockets, so the server notices."""
    command = runworkflows.up("-v", "3")
    execution = sample_calling.start("sample_orphan", "orphan")
    eventually(lambda: ledger.was_reached("orphan"))
    assert sessions_in_transaction() == 1
    kill(command.workers[0])
    eventually(lambda: sessions_in_transaction() == 0, within=10)
    ledger.open("orphan")
    reach(execution)


def sessions_in_transaction() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        return int(cursor.fetchone()[0])
