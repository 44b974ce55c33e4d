"""One row that the database refuses again and again stops nobody else: in commits, in claims, in sweeps."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection

from django_workflows.clock import monotonic
from django_workflows.engine.claims.claims import Peek, peek
from django_workflows.engine.claims.leases import extend, release_all
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Verdict
from django_workflows.engine.database import isolation
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import ConnectionLost
from django_workflows.engine.database.transactions import single
from django_workflows.engine.verbs import apply
from django_workflows.engine.verbs.sweep import Sweep
from django_workflows.engine.worker.capabilities import Capabilities, LearnedCapabilities
from django_workflows.engine.worker.claimer import Claimer
from django_workflows.engine.worker.commit_queue import LONGEST_SECONDS, CommitQueue
from django_workflows.engine.worker.in_flight import Watch
from django_workflows.engine.worker.pump import WORTH_TELLING
from django_workflows.models import UNSTORED, Event, Execution, Status
from tests.engine.poison import NEEDS_TRIGGERS, refused, unchangeable
from tests.engine.pumps import make_pump
from tests.engine.test_storing import _taken, _turn
from tests.factories import ago, make_execution

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS = "default"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_workflows.engine.database.transactions.time.sleep", lambda seconds: None)


def _finished_turns(number: int) -> list[Any]:
    turns = [_turn(make_execution(Status.RUNNING)) for _ in range(number)]
    for turn in turns:
        turn.record(turn.new_entry("1", "step", "charge", "succeeded"))
    return turns


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "XX001"])
def test_a_write_that_always_fails_is_postponed_and_the_others_of_its_commit_are_stored(sqlstate: str) -> None:
    turns = _finished_turns(7)
    poison = turns[4].claimed.id
    with refused(poison, sqlstate):
        receipts = store_all(ALIAS, [_taken(turn) for turn in turns])
    verdicts = [receipt.verdict for receipt in receipts]
    assert verdicts == [Verdict.STORED] * 4 + [Verdict.POSTPONED] + [Verdict.STORED] * 2
    assert receipts[4].error is not None
    assert not Execution.objects.get(pk=poison).steps.exists()


@pytest.mark.parametrize("sqlstate", ["53100", "25006", "57014"])
def test_a_database_that_can_store_nothing_is_an_outage_and_no_write_is_singled_out(sqlstate: str) -> None:
    """A full disk, a read-only server: no half would fare better."""
    turns = _finished_turns(2)
    with refused(turns[0].claimed.id, sqlstate), pytest.raises(ConnectionLost):
        store_all(ALIAS, [_taken(turn) for turn in turns])


def test_a_write_is_tried_again_after_growing_pauses_and_its_history_says_why() -> None:
    (turn,) = _finished_turns(1)
    pump = make_pump()
    pump._connect()
    with refused(turn.claimed.id):
        write = _taken(turn)
        (receipt,) = store_all(ALIAS, [write])
    pauses = []
    for _ in range(WORTH_TELLING + 1):
        pump._settle(turn, write, receipt)
        pauses.append(pump._commit_queue._noted[turn])
        write = _taken(turn)
    assert pauses == sorted(pauses)
    assert Event.objects.get(execution_id=turn.claimed.id).name == UNSTORED
    (stored,) = store_all(ALIAS, [write])
    assert stored.verdict is Verdict.STORED
    pump._settle(turn, write, stored)
    assert not pump._commit_queue._failures


def test_the_pauses_of_a_write_have_a_longest() -> None:
    (turn,) = _finished_turns(1)
    commit_queue = CommitQueue()
    for _ in range(100):
        commit_queue.postpone_longer(turn)
    assert commit_queue._noted[turn] - monotonic() <= LONGEST_SECONDS


def test_a_commit_that_fails_in_any_way_loses_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the database says, also while it is asked what became of a commit."""
    (turn,) = _finished_turns(1)
    pump = make_pump()
    pump._connect()

    def fail(*args: Any) -> Any:
        raise OperationalError("restart transaction")

    monkeypatch.setattr("django_workflows.engine.worker.pump.store_all", fail)
    with pytest.raises(OperationalError):
        pump._commit([turn])
    assert turn.pending.has_something


def _look() -> Peek:
    return single(ALIAS, lambda cursor: peek(cursor, dialect_of(connection), ["default"]))


def _claimer() -> Claimer:
    capabilities = Capabilities(queues=("default",), plain=(("fulfil", 1),), asynchronous=())
    return Claimer(uuid4(), LearnedCapabilities(capabilities, ALIAS), alias=ALIAS, held={}, watch=Watch(ALIAS))


@NEEDS_TRIGGERS
def test_an_execution_that_cannot_be_claimed_is_left_alone_and_the_others_are_claimed() -> None:
    executions = [make_execution(wake_at=ago(seconds=60 - number), version=1) for number in range(5)]
    poison, others = executions[2], {row.id for row in executions if row is not executions[2]}
    claimer, taken = _claimer(), list[Loaded]()
    with unchangeable(poison.id):
        for _ in range(6):
            claimer.plan(_look())
            claimer.take({False: 10, True: 0}, taken.extend, lambda: None)
        assert {loaded.claimed.id for loaded in taken} == others
        assert claimer._shunned.now() == [poison.id]
    assert Execution.objects.get(pk=poison.id).status == Status.PENDING


@NEEDS_TRIGGERS
def test_the_leases_of_others_are_extended_and_ended_beside_one_that_cannot_be() -> None:
    worker = uuid4()
    executions = [make_execution(Status.RUNNING, claimed_by=worker, wake_at=ago(seconds=1)) for _ in range(5)]
    poison = executions[3]
    with unchangeable(poison.id):
        assert extend(ALIAS, [worker], 30.0) == {poison.id}
        assert Execution.objects.filter(claimed_by=worker, wake_at__gt=ago(seconds=0)).count() == 4
        assert release_all(ALIAS, [worker], crashed=True) == (4, {poison.id})
    assert Execution.objects.get(claimed_by=worker).id == poison.id


@NEEDS_TRIGGERS
def test_a_verb_that_cannot_be_carried_out_holds_up_no_other() -> None:
    executions = [make_execution(requested="cancel") for _ in range(5)]
    poison = executions[0]
    sweep = Sweep()
    with unchangeable(poison.id):
        changed = {change.id for change in sweep.go(ALIAS)} | {change.id for change in sweep.go(ALIAS)}
    assert changed == {row.id for row in executions[1:]}


def test_an_execution_whose_row_the_code_cannot_cope_with_holds_up_no_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    executions = [make_execution(requested="pause") for _ in range(3)]
    poison = executions[1].id
    plain = apply._STOPPING["pause"]

    def pause(desk: Any, rows: Any, order: Any, parents: Any) -> Any:
        if any(row.id == poison for row in rows):
            raise KeyError("what is stored makes no sense")
        return plain(desk, rows, order, parents)

    monkeypatch.setitem(apply._STOPPING, "pause", pause)
    sweep = Sweep()
    assert {change.id for change in sweep.go(ALIAS)} == {row.id for row in executions if row.id != poison}
    assert sweep.go(ALIAS) == []


def test_what_has_failed_is_left_alone_for_longer_each_time_but_not_for_ever() -> None:
    pauses = [isolation.pause_after(failures) for failures in range(1, 40)]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert pauses[-1] == isolation.LONGEST_PAUSE
