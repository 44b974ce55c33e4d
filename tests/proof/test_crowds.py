"""Many executions at once in real workers, where the moments are those that come."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from django_workflows import TransitionError, client, clock
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.models import Execution, Signal, StepResult
from tests.proof.nursery import Life, Nursery, said
from tests.proof.sampling import RUNS_ALL
from tests.proof.trials import release
from tests.proof.workflows import PATIENCE, proof_async_race, proof_deadline, proof_race, proof_robbed
from tests.sample.ledger import Ledger

pytestmark = pytest.mark.django_db(transaction=True)

RACES = 1000 if RUNS_ALL else 60
DEADLINES = 1000 if RUNS_ALL else 60
SPACE = 0.012  # seconds between two deadlines
NARROW = 0.015  # a message comes at most so many seconds too early or too late,
WIDE = 1.0  # but for every sixth, which is early, and the one after it, which is late, however slow the machine is


@contextmanager
def at_work(nursery: Nursery, *lives: Life) -> Iterator[None]:
    """Workers live meanwhile."""
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.extend(nursery.live(*lives)))
    thread.start()
    yield
    thread.join(PATIENCE)
    assert statuses == [0] * len(lives), said(Path(lives[0].folder))


@pytest.mark.parametrize("workflow", [proof_race, proof_async_race], ids=["def", "async def"])
def test_no_child_of_a_branch_that_lost_a_race_goes_on(
    nursery: Nursery, tmp_path: Path, workflow: WorkflowDefinition[[], Any]
) -> None:
    """CHD-06: not even one that was being started when the race was decided."""
    client.start_many(workflow, [{}] * RACES)
    while Execution.objects.for_workflow(workflow).unfinished().exists():
        assert nursery.live(Life(folder=str(tmp_path))) == [0], said(tmp_path)
    assert nursery.live(Life(folder=str(tmp_path))) == [0], said(tmp_path)
    assert Counter(Execution.objects.values_list("workflow", "status")).keys() <= {
        (workflow.name, "completed"),
        ("proof_sleeper", "cancelled"),
    }


def test_a_worker_that_is_robbed_of_everything_goes_on_without_a_word(nursery: Nursery, tmp_path: Path) -> None:
    """CRS-02, PAR-04: all branches of all its executions meet with a lost claim; asyncio has nothing to complain of."""
    client.start_many(proof_robbed, [{}] * 20)
    life = Life(folder=str(tmp_path), idle=0.5)
    with at_work(nursery, life):
        end = time.monotonic() + PATIENCE
        while not release(life.worker, crashed=False):
            assert time.monotonic() < end
    assert Execution.objects.completed().count() == 20
    assert set(Execution.objects.values_list("claim", flat=True)) > {1}
    assert "Traceback" not in said(tmp_path), said(tmp_path)


@pytest.mark.parametrize("kind", ["signal", "event"])
def test_a_message_at_the_deadline_is_received_or_not(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    """EVT-06: the one winner is recorded, and replayed; a message that came too late is kept and not used."""
    spread = DEADLINES * SPACE
    executions = client.start_many(
        proof_deadline,
        [{"number": n, "seconds": 2.5 + n * SPACE, "is_event": kind == "event"} for n in range(DEADLINES)],
    )
    with at_work(nursery, Life(folder=str(tmp_path), idle=4.0 + spread)):
        accepted = send_at_the_deadline([execution.id for execution in executions], kind)
    called: dict[str, list[str]] = defaultdict(list)
    for call in Ledger(tmp_path).calls():
        called[call.execution].append(call.label)
    winners = Counter(check(execution.id, accepted, called[str(execution.id)]) for execution in executions)
    assert winners.total() == DEADLINES
    assert winners["message"], "All messages came too late."
    assert winners["timeout"], "All messages came in time."


def send_at_the_deadline(executions: list[UUID], kind: str) -> set[UUID]:
    """A message to each, a moment before or after its deadline; those that the engine has accepted."""
    accepted = set()
    for moment, number, id in sorted(moments(executions, Random(kind))):
        time.sleep(max((moment - clock.database_now()).total_seconds(), 0))
        with suppress(TransitionError):
            if kind == "event":
                client.send_event("proof.deadline", {"number": number})
            else:
                client.signal(id, "deadline")
            accepted.add(id)
    return accepted


def moments(executions: list[UUID], random: Random) -> Iterator[tuple[datetime, int, UUID]]:
    """When each message is sent; the number of the execution that it is for, and its id."""
    for number, (id, deadline) in enumerate(deadlines_of(executions).items()):
        off = {0: -WIDE, 1: WIDE}.get(number % 6, random.uniform(-NARROW, NARROW))
        yield deadline + timedelta(seconds=off), number, id


def deadlines_of(executions: list[UUID]) -> Mapping[UUID, Any]:
    """When each wait times out, as soon as all are stored."""
    waits = StepResult.objects.filter(kind__in=("signal", "event"), execution__in=executions)
    end = time.monotonic() + PATIENCE
    while len(found := dict(waits.values_list("execution_id", "deadline"))) < len(executions):
        assert time.monotonic() < end, f"Only {len(found)} executions wait."
        time.sleep(0.01)
    return {id: found[id] for id in executions}


def check(id: UUID, accepted: set[UUID], called: list[str]) -> str:
    """The winner, after everything that tells who it was has been heard."""
    execution, signal = Execution.objects.get(pk=id), Signal.objects.filter(execution_id=id).first()
    wait = StepResult.objects.get(execution_id=id, kind__in=("signal", "event"))
    winner = str(execution.output)
    assert execution.status == "completed", (execution.reason, execution.error)
    assert called == [winner]
    assert (wait.output is not None) == (winner == "message")
    assert (signal is not None and signal.consumed_at is not None) == (winner == "message")
    if signal is not None and wait.deadline is not None and signal.created_at > wait.deadline:
        assert winner == "timeout"
    if signal is None:
        assert wait.kind == "event" or id not in accepted
    return winner
