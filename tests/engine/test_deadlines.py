"""Deadlines of a turn: none has passed before the database's clock has certainly reached it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Receipt, Verdict
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn import lifecycle
from django_workflows.engine.turn.effects import TimerWait
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.in_flight import Watch
from django_workflows.models import Status, StepKind
from tests.engine.test_turn import NOW, NoRunner, Notebook, _claimed, _nothing
from tests.factories import make_execution, make_wait

WIDE = 10.0  # seconds that the clock's question took


def _turn(claimed_at_least: float = 0.0) -> Turn:
    claimed = _claimed(claimed_at=NOW + timedelta(seconds=claimed_at_least))
    clock = DatabaseClock(NOW, monotonic() - WIDE)
    definition: WorkflowDefinition[[], None] = WorkflowDefinition(_nothing, {"name": "w"})
    return Turn(
        Loaded(claimed=claimed), definition, clock=clock, committer=Notebook(), alias="default", runner=NoRunner()
    )


def test_a_timer_whose_moment_may_not_have_come_goes_on() -> None:
    """TMR-01: it may have passed, by the estimate that deadlines are made from."""
    turn = _turn()
    deadline = NOW + timedelta(seconds=WIDE / 2)
    assert deadline < turn.clock.now()
    assert turn.mailbox.resolve(TimerWait("1", deadline)) is None


def test_what_was_claimed_because_it_was_due_is_due() -> None:
    turn = _turn(claimed_at_least=WIDE / 2)
    assert turn.mailbox.resolve(TimerWait("1", NOW + timedelta(seconds=WIDE / 2))) is True


@pytest.mark.parametrize("delay", [timedelta(), timedelta(seconds=-1)])
def test_no_delay_is_over_at_once(delay: timedelta) -> None:
    turn = _turn()
    assert turn.mailbox.resolve(TimerWait("1", turn.after(delay))) is True


def test_a_delay_is_not_shorter_than_it_was_meant_to_be() -> None:
    turn = _turn()
    latest_now = NOW + timedelta(seconds=WIDE)
    assert turn.after(timedelta(seconds=1)) >= latest_now + timedelta(seconds=1)


def test_what_a_turn_records_stands_in_order_whatever_becomes_of_the_clock() -> None:
    """OBS-02: the present is asked for three times, and the clock is corrected backwards between."""
    turn = _turn()
    first, second = turn.now(), turn.now()
    turn.clock.sync(NOW - timedelta(seconds=1), monotonic())
    assert NOW < first < second < turn.now()


def test_a_turn_records_nothing_before_it_was_claimed_and_nothing_that_may_lie_ahead() -> None:
    """OBS-02: whatever an earlier turn recorded was committed before; what this one records is, after."""
    claimed_at = NOW + timedelta(seconds=WIDE / 2)
    turn = _turn(claimed_at_least=WIDE / 2)
    assert claimed_at < turn.now() < claimed_at + timedelta(seconds=WIDE / 2)


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["deadline", "refused"])
def test_who_ends_a_turn_from_outside_shelves_its_waits_for_events(end: str) -> None:
    """As the turn itself does: nothing finished is left in the index of open waits."""
    row = make_execution(Status.RUNNING, claim=1, claimed_by=uuid4(), deadline=NOW)
    wait = make_wait(row, StepKind.EVENT, "paid")
    fields = {name: getattr(wait, name) for name in ("id", "key", "seq", "name", "kind", "status", "created_at")}
    loaded = Loaded(claimed=_claimed(id=row.pk, deadline=NOW), entries=[Entry(**fields)])
    definition: WorkflowDefinition[[], None] = WorkflowDefinition(_nothing, {"name": "w"})
    clock = DatabaseClock(NOW, monotonic())
    turn = Turn(loaded, definition, clock=clock, committer=Notebook(), alias="default", runner=NoRunner())
    if end == "deadline":
        Watch("default").attend({turn.claimed.id: turn}, NOW)
    else:
        lifecycle.refuse(turn, Receipt(verdict=Verdict.REFUSED))
    row.refresh_from_db()
    wait.refresh_from_db()
    assert (row.status, wait.status) == (Status.FAILED, "pending")


def test_a_timer_is_not_over_at_once_because_the_clock_was_put_back() -> None:
    """TMR-01: a turn is told no earlier moment than before, so its deadlines begin there, too."""
    turn = _turn()
    turn.now()
    turn.clock.sync(NOW - timedelta(hours=1), monotonic())
    assert turn.mailbox.resolve(TimerWait("1", turn.after(timedelta(minutes=1)))) is None
