"""Looking after executions that are under way: none is overlooked, however many and whatever became of others."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_workflows import step
from django_workflows.authoring.current import CurrentStep
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, database_now, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.handlers.invocation import Attempt
from django_workflows.engine.turn.effects import Invoke, MessageWait
from django_workflows.engine.turn.flags import Flags
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker import claimer
from django_workflows.engine.worker.in_flight import AT_ONCE, Watch
from django_workflows.engine.worker.left_behind import LeftBehind
from django_workflows.engine.worker.pump import Pump
from django_workflows.exceptions import StepTimeout
from django_workflows.models import Execution, Status
from tests.engine.pumps import make_pump
from tests.engine.test_turn import NOW, NoRunner, Notebook, _claimed, _nothing
from tests.factories import ago, make_execution, make_signal

ALIAS = "default"


def _turn(execution: Execution | None = None, **claimed: Any) -> Turn:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(_nothing, {"name": "w"})
    if execution is not None:
        claimed = {"id": execution.id, "claim": execution.claim} | claimed
    clock = DatabaseClock(NOW, monotonic())
    loaded = Loaded(claimed=_claimed(**claimed))
    return Turn(loaded, definition, clock=clock, committer=Notebook(), alias=ALIAS, runner=NoRunner())


def _waits_for_go(turn: Turn) -> Turn:
    turn.mailbox.waits["1"] = MessageWait("1", None, "go", False)
    return turn


@pytest.mark.django_db
def test_an_old_turn_that_has_something_to_tell_does_not_hide_the_new_one_that_waits() -> None:
    """EVT-01: it lost its claim and unwinds, but a body of it went on; both are turns of one execution."""
    execution = make_execution(Status.RUNNING, claim=2)
    make_signal(execution, "go")
    old, new = _waits_for_go(_turn(execution, claim=1)), _waits_for_go(_turn(execution))
    old.flags.abandon()
    watch = Watch(ALIAS)
    watch.note([new])
    watch.note([old])
    watch.attend({execution.id: new}, NOW)
    assert [message.name for message in new.mailbox.unread] == ["go"]


@pytest.mark.django_db
def test_each_of_thousands_is_looked_at_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some end meanwhile, and others begin."""
    turns = [_turn() for _ in range(3 * AT_ONCE + 1)]
    for turn in turns:
        turn.bodies.enter(turn.new_entry("1", "step", "long"))
    held = {turn.claimed.id: turn for turn in turns[:-1]}
    monkeypatch.setattr("django_workflows.engine.worker.in_flight.LONG_BODY_SECONDS", -1.0)
    watch = Watch(ALIAS)
    for _ in range(8):
        watch._look_at = 0.0
        watch.attend(held, NOW)
        held.pop(next(iter(held)))
        held[turns[-1].claimed.id] = turns[-1]
    assert all(turn.pending.has_something for turn in held.values())


@pytest.mark.django_db
def test_turns_that_end_while_claims_are_counted_do_no_harm() -> None:
    """Threads drop turns whose claims were lost whenever they come to their end."""
    pump = make_pump()

    class EndsNow(Flags):
        """Another thread drops this turn at the moment at which somebody looks whether it was abandoned."""

        @property
        def abandoned(self) -> bool:
            pump.core.held.popitem()
            return True

        @abandoned.setter
        def abandoned(self, value: bool) -> None: ...

    for _ in range(3):
        turn = _turn()
        turn.flags = EndsNow(NoRunner().has_changed)
        pump.core.hold(turn)
    assert pump._claimer.release_orphans() is False


@pytest.mark.django_db(transaction=True)
def test_a_claim_without_a_turn_is_found_when_a_turn_without_a_claim_makes_up_for_it_in_the_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an outage both come together, and most claims are the first."""
    monkeypatch.setattr(claimer, "ORPHANS_SECONDS", 0.0)
    worker = uuid4()
    lost, orphan = make_execution(Status.PENDING, claim=2), make_execution(Status.RUNNING, claimed_by=worker)
    pump = make_pump(worker=worker)
    pump.core.hold(_turn(lost, claim=1))  # its body goes on, and nobody has told it yet
    assert any(pump._claimer.release_orphans() for _ in range(20))
    orphan.refresh_from_db()
    assert (orphan.status, orphan.claimed_by) == (Status.PENDING, None)
    assert orphan.wake_at is not None
    assert orphan.wake_at <= database_now() + timedelta(milliseconds=1)


# what is left behind


def _held_by(pump: Pump, turn: Turn) -> LeftBehind:
    left = LeftBehind(pump.core.holds)
    pump.core.hold(turn)
    left.begin(turn)
    return left


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("taken", ["cancelled", "taken over"])
def test_a_function_that_never_calls_ctx_is_left_behind_when_its_claim_is_gone(
    monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """CAN-09: nothing that it does would tell it."""
    monkeypatch.setattr(claimer, "ORPHANS_SECONDS", 0.0)
    worker = uuid4()
    execution = make_execution(Status.RUNNING, claimed_by=worker)
    pump, turn = make_pump(worker=worker), _turn(execution)
    left = _held_by(pump, turn)
    pump._claimer.release_orphans()
    assert (len(pump.core.held), left.look(NOW)) == (1, [])

    others = {"claim": execution.claim + 1, "claimed_by": None if taken == "cancelled" else uuid4()}
    Execution.objects.filter(pk=execution.pk).update(**others)
    pump._claimer.release_orphans()
    assert (len(pump.core.held), turn.flags.abandoned) == (0, True)
    seen = {"execution": str(execution.id), "workflow": "w", "step": "", "since": NOW.isoformat()}
    assert left.look(NOW) == [seen]
    assert left.look(NOW + timedelta(hours=1)) == [seen]  # since it was seen first

    turn.flags.end()
    left.end(turn)
    assert left.look(NOW) == []


@pytest.mark.django_db(transaction=True)
def test_a_function_that_has_ended_is_not_dropped_before_its_ending_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be stored already, and the answer was lost: then the claim is gone, rightly."""
    monkeypatch.setattr(claimer, "ORPHANS_SECONDS", 0.0)
    worker = uuid4()
    pump, turn = make_pump(worker=worker), _turn(make_execution(Status.COMPLETED))
    left = _held_by(pump, turn)
    turn.flags.end()
    pump._claimer.release_orphans()
    left.end(turn)
    assert (len(pump.core.held), turn.flags.abandoned, left.look(NOW)) == (1, False, [])


@pytest.mark.django_db
def test_a_turn_that_passed_the_deadline_of_its_execution_is_left_behind_with_its_step() -> None:
    execution = make_execution(Status.RUNNING, claimed_by=uuid4(), deadline=ago(hours=1))
    pump, turn = make_pump(), _turn(execution, deadline=NOW - timedelta(seconds=1))
    left = _held_by(pump, turn)
    turn.bodies.enter(turn.new_entry("1", "step", "charge"))
    pump._watch.attend(pump.core.held, NOW)
    for ended, _ending in pump._watch.take_timed_out():
        pump.core.release(ended)
    [found] = left.look(NOW)
    assert (found["execution"], found["step"]) == (str(execution.id), "charge")


def test_a_body_that_lost_a_race_is_left_behind_until_it_ends() -> None:
    """Its function has returned, and its thread is still taken."""
    pump, turn = make_pump(), _turn()
    left = _held_by(pump, turn)
    entry = turn.new_entry("1", "step", "slow")
    turn.bodies.enter(entry)
    turn.flags.end()
    left.end(turn)
    assert left.look(NOW) == []  # its ending is not stored yet
    pump.core.drop(turn)
    assert [one["step"] for one in left.look(NOW)] == ["slow"]
    turn.bodies.leave(entry.key)
    assert left.look(NOW) == []


def test_a_body_whose_time_was_up_is_left_behind_until_it_ends() -> None:
    """RTY-14: the attempt has failed and its slot is free, but the thread is not."""
    gate, ended = threading.Event(), threading.Event()
    turn = _turn()

    @step(timeout=0.01)
    def deaf() -> None:
        gate.wait(60)

    entry = turn.new_entry("1", "step", "deaf")
    current = CurrentStep(
        execution_id=turn.claimed.id,
        workflow="w",
        key="1",
        name="deaf",
        attempt=1,
        idempotency_key="1",
        last_progress=None,
        report=lambda progress: None,
    )
    attempt = Attempt(turn, Invoke(step=deaf, args=(), kwargs={}, entry=entry, current=current))

    def run() -> None:
        attempt.run()
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert isinstance(attempt.result(0.01).error, StepTimeout)
    left = LeftBehind(make_pump().core.holds)
    assert [(one["execution"], one["step"]) for one in left.look(NOW)] == [(str(turn.claimed.id), "deaf")]
    gate.set()
    assert ended.wait(60)
    assert left.look(NOW) == []
