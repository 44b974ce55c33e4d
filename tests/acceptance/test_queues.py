"""Who takes what, how much, and what it costs to find nothing."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from django_workflows.client import signal, start_many
from django_workflows.models import Execution, Worker
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, fresh
from tests.sample.apps import QUERIES
from tests.sample.ledger import Ledger
from tests.sample.workflows import (
    sample_child,
    sample_line,
    sample_line_async,
    sample_mail,
    sample_new,
    sample_note,
    sample_receiver,
)

COUNTED = {"SAMPLE_COUNTS_QUERIES": "1"}

# Who is told needs not look for long; where nobody can be told, only a look finds what is new.
SELDOM: dict[str, Any] = {"POLL_INTERVAL": 0.2, "LISTEN_POLL_INTERVAL": 30}
PROMPT = 1.5  # seconds, also beside other work on the machine


def queries(folder: Path) -> int:
    return (folder / QUERIES).stat().st_size


def queries_per_second(folder: Path, seconds: float) -> float:
    """What all workers ask the database within some seconds."""
    began, before = time.monotonic(), queries(folder)
    time.sleep(seconds)
    return (queries(folder) - before) / (time.monotonic() - began)


def test_an_idle_worker_asks_little(runworkflows: Commands, tmp_path: Path) -> None:
    """QUE-21: at most five queries per second and worker, also beside 200 executions that sleep."""
    start_many("sample_child", [{"number": number} for number in range(200)], delay="1 hour")
    command = runworkflows.typed(environment=COUNTED).wait_until_up()
    runworkflows.typed(environment=COUNTED).wait_until_up()
    eventually(lambda: Worker.objects.count() == 2)
    assert queries_per_second(tmp_path, 3.0) / 2 <= 5
    assert command.process.poll() is None


def test_code_that_is_not_here_blocks_nobody_and_does_not_make_a_worker_spin(
    runworkflows: Commands, reach: Reach, tmp_path: Path, ledger: Ledger
) -> None:
    """EXE-08: a worker with old code leaves them alone without an attempt; one with the new code completes them."""
    start_many(sample_new, [{"label": f"new-{number}"} for number in range(200)])
    runworkflows.typed(environment=COUNTED | {"SAMPLE_IS_OLD": "1"}).wait_until_up()
    reach(sample_line.start("known"))
    assert queries_per_second(tmp_path, 2.0) <= 12
    unknown = Execution.objects.for_workflow(sample_new)
    assert set(unknown.values_list("status", "claim", "crashes", "claimed_by")) == {("pending", 0, 0, None)}

    other = runworkflows.up()
    eventually(lambda: unknown.completed().count() == 200, within=15)
    assert {call.pid for call in ledger.calls() if call.label.startswith("new")} == set(other.workers)
    check_invariants(ledger)


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_exactly_the_free_slots_are_claimed(runworkflows: Commands, ledger: Ledger, workflow: Any) -> None:
    """QUE-18: what one worker cannot start, it leaves to the next."""
    slots = ("--threads", "4", "--async-slots", "4")
    start_many(workflow, [{"label": f"line-{number}", "steps": 1, "gated": 0} for number in range(20)])
    first = runworkflows.up(*slots)
    eventually(lambda: len(ledger.calls()) == 4)
    second = runworkflows.up(*slots)
    eventually(lambda: len(ledger.calls()) == 8)
    assert Execution.objects.running().count() == 8
    assert Execution.objects.pending().filter(claim=0).count() == 12
    for worker in (first, second):
        assert sum(call.pid in worker.workers for call in ledger.calls()) == 4

    for number in range(20):
        ledger.open(f"line-{number}-0")
    eventually(lambda: Execution.objects.completed().count() == 20)
    check_invariants(ledger)


def test_a_worker_serves_the_queues_it_names_and_no_others(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """QUE-20."""
    mail = runworkflows.up("--queue", "mail")
    line, letter = sample_line.start("line"), sample_mail.start("letter-1")
    reach(letter)
    reach(sample_mail.start("letter-2"))
    assert (fresh(line).status, fresh(line).claim) == ("pending", 0)
    everything = runworkflows.up()
    reach(line)
    assert {call.pid for call in ledger.calls("letter-2")} <= set(mail.workers)
    assert {call.pid for call in ledger.calls("line-0")} == set(everything.workers)


def test_higher_priorities_go_first(runworkflows: Commands, ledger: Ledger) -> None:
    """QUE: with one slot, what was started last goes first when it matters more."""
    for priority in (0, 1, 9, 4):
        sample_note.using(priority=priority).start(f"priority-{priority}")
    assert runworkflows("--drain", "--threads", "1").wait() == 0
    assert [call.label[-1] for call in ledger.calls()] == ["9", "4", "1", "0"]


def test_two_supervisors_on_one_database_never_execute_one_execution_twice(
    runworkflows: Commands, ledger: Ledger
) -> None:
    """CRS-04: both are alive all the time, with a lease that is as short as it may be in earnest."""
    few = ("--threads", "2", "--async-slots", "2")
    first, second = [runworkflows.up(*few, LEASE=2, POLL_INTERVAL=0.01, LISTEN=False) for _ in range(2)]
    for _ in range(5):
        start_many(sample_line, [{"label": "line", "steps": 2}] * 40)
        start_many(sample_line_async, [{"label": "line", "steps": 2}] * 20)
    eventually(lambda: Execution.objects.completed().count() == 300)
    assert max(ledger.calls_by_key().values()) == 1
    pids = {call.pid for call in ledger.calls()}
    assert pids == {*first.workers, *second.workers}
    assert set(Execution.objects.values_list("crashes", flat=True)) == {0}
    check_invariants(ledger)


def test_what_another_process_starts_is_executed_at_once(runworkflows: Commands, reach: Reach) -> None:
    """OBS: from the start here to the completion there; by NOTIFY where the database has it, else by polling."""
    runworkflows.up(**SELDOM)
    delays = []
    for number in range(9):
        row = reach(sample_child.start(number))
        assert row.completed_at is not None
        delays.append((row.completed_at - row.created_at).total_seconds())
    assert statistics.median(delays) < PROMPT


def test_a_signal_from_another_process_arrives_at_once(runworkflows: Commands, reach: Reach) -> None:
    """The same for what waits already."""
    runworkflows.up(**SELDOM)
    delays = []
    for number in range(5):
        execution = sample_receiver.start(f"message-{number}")
        reach(execution, "waiting")
        sent = signal(execution, "go", number)
        row = reach(execution)
        assert row.completed_at is not None
        delays.append((row.completed_at - sent.created_at).total_seconds())
    assert statistics.median(delays) < PROMPT
