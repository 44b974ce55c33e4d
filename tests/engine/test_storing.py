"""Group commits and claims against the database: an outcome stands, and no claim is held that nobody works on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, database_now, monotonic
from django_workflows.engine.claims.loading import Loaded, load
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import End, Ending, Receipt, Verdict, Write
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.inline import driver
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker import in_flight
from django_workflows.engine.worker.capabilities import Capabilities
from django_workflows.models import Execution, Status, StepStatus
from tests.engine.pumps import Full, make_pump
from tests.engine.test_branch_threads import StoresAtOnce
from tests.engine.test_turn import NoRunner, _claimed
from tests.factories import ago, make_execution, make_signal
from tests.proof.database_faults import ACCIDENTS
from tests.proof.tapping import is_commit, tapped

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS = "default"
LOST = "connection lost"


def _nothing(ctx: Any) -> None: ...


def _turn(execution: Execution, **claimed: Any) -> Turn:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(_nothing, {"name": "fulfil"})
    taken = _claimed(id=execution.id, workflow="fulfil", claim=execution.claim, **claimed)
    clock = DatabaseClock(database_now(), monotonic())
    return Turn(
        Loaded(claimed=taken), definition, clock=clock, committer=StoresAtOnce(), alias=ALIAS, runner=NoRunner()
    )


def _taken(turn: Turn) -> Write:
    write = turn.take_write()
    assert write is not None
    return write


def test_a_step_that_has_stored_its_outcome_is_not_shown_as_running_afterwards() -> None:
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution)
    entry = turn.new_entry("1", "step", "charge", attempts=1)
    turn.bodies.enter(entry)
    turn.bodies.show_long(monotonic() + 1)
    shown = _taken(turn)
    turn.record(turn.final_entry(entry, "5"))  # as a transactional step does, in a transaction of its own
    store_all(ALIAS, [_taken(turn)])
    store_all(ALIAS, [shown])
    step = execution.steps.get()
    assert (step.status, step.output) == (StepStatus.SUCCEEDED, 5)


def test_a_wait_may_open_and_time_out_in_one_commit() -> None:
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution)
    entry = turn.record(turn.new_entry("1", "signal", "go", deadline=ago(seconds=1)))
    final = msgspec.structs.replace(entry, status="succeeded", completed_at=turn.now())
    write = _taken(turn)
    write.unless_moved[final.id] = final
    assert store_all(ALIAS, [write])[0].verdict is Verdict.STORED
    assert execution.steps.get().status == StepStatus.SUCCEEDED


@pytest.mark.parametrize("fault", [None, ConnectionLost("gone"), AmbiguousCommit("gone")])
def test_a_deadline_that_cannot_be_stored_now_is_kept_until_it_can(
    fault: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution, deadline=ago(minutes=1))
    turn.record(turn.new_entry("1", "step", "charge", "succeeded"))
    watch = in_flight.Watch(ALIAS)

    def fail(alias: str, writes: Sequence[Write]) -> list[Receipt]:
        if fault is not None:
            raise fault
        return [Receipt(verdict=Verdict.POSTPONED)]

    with monkeypatch.context() as patch:
        patch.setattr(in_flight, "store_all", fail)
        try:
            watch.attend({turn.claimed.id: turn}, turn.now())
        except (ConnectionLost, AmbiguousCommit):
            assert fault is not None
    assert not turn.flags.abandoned
    watch._look_at = 0.0
    watch.attend({turn.claimed.id: turn}, turn.now())
    execution.refresh_from_db()
    assert execution.status == Status.FAILED
    assert execution.steps.count() == 1
    assert turn.flags.abandoned


def test_a_claim_that_no_turn_has_is_given_back_and_fenced() -> None:
    worker = uuid4()
    mine, known = (make_execution(Status.RUNNING, claimed_by=worker) for _ in range(2))
    others = make_execution(Status.RUNNING)
    pump = make_pump(worker=worker)
    pump.core.hold(_turn(known))
    pump._claimer.release_orphans()
    for execution in (mine, known, others):
        execution.refresh_from_db()
    assert (mine.status, mine.claim, mine.claimed_by) == (Status.PENDING, 2, None)
    assert mine.wake_at is not None
    assert mine.wake_at <= database_now() + timedelta(milliseconds=1)
    assert (known.status, known.claim) == (Status.RUNNING, 1)
    assert (others.status, others.claim) == (Status.RUNNING, 1)


def test_two_parents_of_one_child_both_learn_of_its_end() -> None:
    child = make_execution(Status.COMPLETED)
    turns = [_turn(make_execution(Status.RUNNING, claim=2)) for _ in range(2)]
    for turn in turns:
        turn.record(turn.new_entry("1", "child", "fulfil", child_id=child.id))
    store_all(ALIAS, [_taken(turn) for turn in turns])
    with connection.cursor() as cursor:
        loaded = load(cursor, dialect_of(connection), [turn.claimed for turn in turns])
    assert [set(one.children) for one in loaded] == [{child.id}, {child.id}]


def test_events_for_waits_of_one_generation_are_not_left_to_the_next() -> None:
    execution = make_execution(Status.RUNNING)
    old, signal = make_signal(execution, "paid", step_key="3"), make_signal(execution, "approved")
    turn = _turn(execution)
    turn.set_ending(Ending(end=End.RENEW, input="{}"))
    store_all(ALIAS, [_taken(turn)])
    old.refresh_from_db()
    signal.refresh_from_db()
    assert old.consumed_at is not None
    assert signal.consumed_at is None


@pytest.mark.parametrize("end", [End.COMPLETE, End.FAIL, End.PAUSE, End.SUSPEND])
def test_a_turn_that_is_stored_again_after_an_outage_is_told_as_stored(end: End) -> None:
    """The answer to its commit was lost, and then the database: its receivers must hear of it all the same."""
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution)
    turn.record(turn.new_entry("1", "step", "charge", "succeeded"))
    turn.set_ending(Ending(end=end, reason="a reason"))
    write = _taken(turn)
    first, again = store_all(ALIAS, [write])[0], store_all(ALIAS, [write])[0]
    assert (first.verdict, again.verdict) == (Verdict.STORED, Verdict.STORED)
    assert again.before
    assert execution.steps.count() == 1


@pytest.mark.parametrize("end", [End.COMPLETE, End.SUSPEND])
def test_an_answer_that_is_lost_twice_is_read_back_and_nobody_hears_of_an_error(end: End) -> None:
    """DBF-04: the commit took place, and then the connection broke again while that was being found out."""
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution)
    turn.record(turn.new_entry("1", "step", "charge", "succeeded"))
    turn.set_ending(Ending(end=end))
    answer_lost, lost = (accident for accident in ACCIDENTS if accident.name in {"completion unknown, applied", LOST})
    left = [answer_lost, lost, lost]

    def break_off(connection: Any, sql: str, proceed: Callable[[], Any]) -> Any:
        if left and (is_commit(connection, sql) and not sql.startswith("BEGIN")):
            return left.pop(0).happen(connection, sql, proceed)
        return proceed()

    with tapped(connection, break_off):
        (receipt,) = store_all(ALIAS, [_taken(turn)])
    assert (receipt.verdict, left) == (Verdict.STORED, [])
    assert execution.steps.count() == 1


def test_a_turn_that_somebody_has_taken_over_meanwhile_is_fenced() -> None:
    execution = make_execution(Status.RUNNING)
    turn = _turn(execution)
    turn.set_ending(Ending(end=End.COMPLETE))
    write = _taken(turn)
    store_all(ALIAS, [write])
    Execution.objects.filter(pk=execution.pk).update(claim=execution.claim + 1)
    assert store_all(ALIAS, [write])[0].verdict is Verdict.FENCED


@pytest.mark.parametrize(
    ("plain", "asynchronous", "free", "busy"),
    [
        ((("w", 1),), (("a", 1),), (0, 100), True),
        ((("w", 1),), (("a", 1),), (1, 0), True),
        ((("w", 1),), (("a", 1),), (1, 100), False),
        ((), (("a", 1),), (0, 1), False),
    ],
)
def test_a_worker_is_busy_when_one_colour_has_no_slot_left(
    plain: Any, asynchronous: Any, free: Any, busy: bool
) -> None:
    """Then it tells others of what it has made due: it does not know which colour that is of."""
    capabilities = Capabilities(queues=(), plain=plain, asynchronous=asynchronous)
    pump = make_pump(capabilities, executor=Full(*free))
    assert pump._is_busy() is busy


def test_a_locked_execution_is_waited_for_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """EAGER: whoever has locked it needs the processor too."""
    turn = _turn(make_execution(Status.RUNNING))
    turn.record(turn.new_entry("1", "step", "charge", "succeeded"))
    pauses: list[float] = []
    answers = [*[Receipt(verdict=Verdict.POSTPONED)] * 9, Receipt(verdict=Verdict.STORED)]
    monkeypatch.setattr(driver, "store_all", lambda *args: [answers.pop(0)])
    monkeypatch.setattr(time, "sleep", pauses.append)
    driver.InlineCommitter().flush(turn)
    assert answers == []
    for number, pause in enumerate(pauses):
        most = min(driver.SHORTEST_PAUSE * 2**number, driver.LONGEST_PAUSE)
        assert most / 2 <= pause <= most
    assert len(pauses) == 9
