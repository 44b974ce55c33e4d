"""What user code does to its connections, in threads that are used again; and what the engine does to nobody's."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually
from tests.sample.faults import (
    sample_break_connection,
    sample_count,
    sample_leave_open,
    sample_left_by_workflow,
    sample_query_at_gate,
    sample_wrapped,
    sample_write,
    sample_write_and_wait,
    sample_write_async,
)
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line, sample_line_async

ONE_THREAD = ("--threads", "1", "--async-slots", "1")

on_postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="reads pg_stat_activity")


SMALLEST_POOL = {"SAMPLE_POOL": '{"min_size": 1, "max_size": 1, "timeout": 5}'}


def names() -> set[str]:
    return set(Group.objects.values_list("name", flat=True))


@pytest.mark.parametrize("how", ["atomic", "autocommit"])
def test_a_transaction_that_a_step_leaves_open_is_its_error_and_nobody_elses(
    runworkflows: Commands, reach: Reach, how: str
) -> None:
    """The next step in the same thread writes, and its rows are there."""
    runworkflows.up(*ONE_THREAD)
    guilty = reach(sample_leave_open.start(how), "failed")
    assert "OpenTransaction" in str(guilty.error)
    reach(sample_write.start("after"))
    assert names() == {"after"}
    check_invariants()


def test_a_step_that_breaks_its_connection_gets_a_new_one(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """The second attempt writes, and so does whoever comes next."""
    runworkflows.up(*ONE_THREAD)
    reach(sample_break_connection.start("broken"))
    assert [call.attempt for call in ledger.calls("broken")] == [1, 2]
    reach(sample_write.start("after"))
    assert names() == {"broken", "after"}


def test_a_transaction_around_calls_of_the_context_is_an_error_in_words(runworkflows: Commands, reach: Reach) -> None:
    """It could not hold together what outlives it, and on SQLite it would keep everybody from writing."""
    runworkflows.up(*ONE_THREAD)
    row = reach(sample_wrapped.start("wrapped"), "failed")
    assert "transaction" in row.reason
    assert names() == set()
    reach(sample_line.start("next"))
    check_invariants()


def test_a_transaction_that_a_workflow_leaves_open_harms_nobody(runworkflows: Commands, reach: Reach) -> None:
    runworkflows.up(*ONE_THREAD)
    reach(sample_left_by_workflow.start("guilty"), "failed")
    reach(sample_write.start("after"))
    assert names() == {"guilty-before", "after"}
    check_invariants()


@on_postgres
def test_no_transaction_is_open_while_a_step_runs(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """DBF-17: neither by the engine nor on the step's own connection after its query."""
    runworkflows.up()
    executions = [
        sample_query_at_gate.start("query"),
        sample_line.start("line", gated=1),
        sample_line_async.start("async", gated=1),
    ]
    eventually(lambda: all(map(ledger.was_reached, ("query", "line-1", "async-1"))))
    reached_at = time.monotonic()
    eventually(lambda: time.monotonic() > reached_at + 1.5)
    for _ in range(50):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT state, query FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND xact_start < statement_timestamp() - interval '1 second'"
            )
            assert cursor.fetchall() == []
    for gate in ("query", "line-1", "async-1"):
        ledger.open(gate)
    for execution in executions:
        reach(execution)


@on_postgres
def test_threads_share_a_pool_of_one_connection(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """A step gives its connection back when it ends, though its thread goes on; else the others would fail."""
    runworkflows("--threads", "8", environment=SMALLEST_POOL)
    waiting = sample_write_and_wait.start("waiting")
    eventually(lambda: ledger.was_reached("waiting"))
    steps = [sample_write.start(f"step-{number}") for number in range(8)]
    atomic = [sample_count.start(f"atomic-{number}") for number in range(8)]
    on_loop = [sample_write_async.start(f"async-{number}") for number in range(8)]
    for execution in (*steps, *atomic, *on_loop):
        assert reach(execution).crashes == 0
    ledger.open("waiting")
    reach(waiting)
    assert len(names()) == 1 + 8 + 8 + 2 * 8
    check_invariants()


@on_postgres
@pytest.mark.parametrize("how", ["atomic", "autocommit"])
def test_the_pool_gets_no_transaction_that_a_step_has_left_open(runworkflows: Commands, reach: Reach, how: str) -> None:
    runworkflows("--threads", "2", environment=SMALLEST_POOL).wait_until_up()
    guilty = reach(sample_leave_open.start(how), "failed")
    assert "OpenTransaction" in str(guilty.error)
    for label in ("first", "second"):
        reach(sample_write.start(label))
    assert names() == {"first", "second"}
    check_invariants()


def test_reads_never_go_to_a_replica(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """DBF-08: the router sends every read to a database that has no tables at all."""
    command = runworkflows.typed(environment={"SAMPLE_ROUTER": "tests.sample.routers.ReadsFromReplica"})
    command.wait_until_up()
    reach(sample_line.start("line"))
    reach(sample_line_async.start("async"))
    assert "Traceback" not in command.text
    check_invariants(ledger)
