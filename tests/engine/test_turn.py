"""What a turn collects and what becomes of it: no result may be counted as stored, or lost, that is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.claims.loading import Loaded, Unread
from django_workflows.engine.commit.values import Receipt, Verdict
from django_workflows.engine.history.journal import Journal
from django_workflows.engine.turn.effects import MessageWait
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import NonDeterminism

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Notebook:
    def note(self, turn: Turn) -> None: ...
    def flush(self, turn: Turn) -> None: ...


def _claimed(**values: Any) -> Claimed:
    columns: dict[str, Any] = dict.fromkeys(Claimed.__struct_fields__)
    columns |= {"id": uuid4(), "workflow": "w", "version": 1, "generation": 0, "queue": "default", "claim": 1}
    columns |= {"inbox": 0, "crashes": 0, "created_at": NOW, "started_at": NOW, "claimed_at": NOW}
    return Claimed(**(columns | values))


def _message(number: int, name: str = "go", step_key: str = "") -> Unread:
    return Unread(id=uuid4(), number=number, name=name, data="1", event_id=None, step_key=step_key, created_at=NOW)


def _nothing(ctx: Any) -> None: ...


class NoRunner:
    """For turns whose function nobody runs."""

    def has_changed(self) -> None: ...

    def unwind(self) -> None: ...


@pytest.fixture
def turn() -> Turn:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(_nothing, {"name": "w"})
    clock = DatabaseClock(NOW, monotonic())
    return Turn(
        Loaded(claimed=_claimed()), definition, clock=clock, committer=Notebook(), alias="default", runner=NoRunner()
    )


def test_who_waits_for_a_later_write_is_answered_when_it_was_merged_with_one_that_came_back(turn: Turn) -> None:
    turn.record(turn.new_entry("1", "step", "a"))
    under_way = turn.take_write()
    assert under_way is not None
    turn.record(turn.new_entry("2", "step", "b"))
    mark = turn.pending.mark()
    turn.put_back(under_way)  # its row was locked, or the connection was lost
    assert turn.pending.mark() == mark
    merged = turn.take_write()
    assert merged is not None
    assert len(merged.entries) == 2
    assert not turn.pending.is_stored(mark)
    turn.receive(merged, Receipt(verdict=Verdict.STORED))
    assert turn.pending.is_stored(mark)


def test_a_message_is_consumed_by_one_of_two_branches_that_wait_for_it(turn: Turn) -> None:
    message = _message(1)
    turn.mailbox.feed(1, [message], [])
    first, second = (turn.new_entry(key, "signal", "go") for key in ("1.0.1", "1.1.1"))
    assert turn.take(first, message, "1") is not None
    assert turn.take(second, message, "1") is None


def test_a_message_whose_consumption_is_being_stored_is_not_read_again(turn: Turn) -> None:
    message = _message(1)
    turn.mailbox.feed(1, [message], [])
    turn.take(turn.new_entry("1", "signal", "go"), message, "1")
    turn.take_write()
    turn.mailbox.feed(2, [message, _message(2)], [])
    assert [unread.number for unread in turn.mailbox.unread] == [2]


def test_a_timeout_is_not_proposed_when_a_message_came_in_the_last_moment(turn: Turn) -> None:
    entry = turn.record(turn.new_entry("1", "signal", "go", deadline=NOW + timedelta(hours=1)))
    wait = MessageWait("1", entry.deadline, "go", False)
    turn.mailbox.feed(1, [_message(1)], [])
    assert turn.settle_unless_moved(entry, "succeeded", wait) is None


def test_a_timeout_is_proposed_with_the_inbox_that_was_read_last(turn: Turn) -> None:
    entry = turn.record(turn.new_entry("1", "signal", "go", deadline=NOW))
    turn.mailbox.feed(3, [], [])
    turn.settle_unless_moved(entry, "succeeded", MessageWait("1", NOW, "go", False))
    write = turn.take_write()
    assert write is not None
    assert write.seen_inbox == 3


def test_an_event_for_a_wait_of_an_earlier_generation_is_not_taken_for_another_event(turn: Turn) -> None:
    turn.mailbox.feed(1, [_message(1, "order.paid", step_key="3")], [])
    assert turn.mailbox.message_for(MessageWait("3", None, "order.shipped", True)) is None
    assert turn.mailbox.message_for(MessageWait("3", None, "order.paid", True)) is not None


def test_what_an_iteration_did_not_ask_for_is_a_mismatch(turn: Turn) -> None:
    journal = Journal([turn.new_entry("1#1.1", "step", "a"), turn.new_entry("1#1.2", "step", "b")])
    journal.visit("1#1.1", "step", "a")
    with pytest.raises(NonDeterminism):
        journal.check_nothing_left("1#1.")


def test_a_step_never_ends_before_it_began_when_the_clock_is_corrected_meanwhile(turn: Turn) -> None:
    """A look whose answer came quicker corrects the estimate backwards."""
    entry = turn.new_entry("1", "step", "a", started_at=turn.now())
    turn.clock.sync(NOW - timedelta(seconds=1), monotonic())
    ended, began = turn.settle(entry, "succeeded").completed_at, entry.started_at
    assert ended is not None
    assert began is not None
    assert ended > began
