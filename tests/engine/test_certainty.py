"""A body need not wait until an outcome is stored that every replay would find again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_workflows.authoring.context import Context
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import ChildOutcome, Loaded
from django_workflows.engine.commit.values import End, Receipt, Verdict
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.thread_pool import Helpers
from tests.engine.test_branch_threads import StoresAtOnce
from tests.engine.test_turn import NOW, NoRunner, _claimed, _message, _nothing


class Counts(StoresAtOnce):
    """A committer that tells how many commits somebody has waited for."""

    def __init__(self) -> None:
        self.flushes = 0

    def flush(self, turn: Turn) -> None:
        self.flushes += 1
        super().flush(turn)


CHILD = uuid4()
LAST_TURN = NOW - timedelta(minutes=1)
CHILD_DEFINITION: WorkflowDefinition[..., Any] = WorkflowDefinition(_nothing, {"name": "c"})


def commits_before_the_body(before: Callable[[Context], Any], *entries: Entry) -> int:
    """How many commits a turn waits for between the calls of `before` and the body of the step after them."""
    committer, seen = Counts(), list[int]()

    def flow(ctx: Context) -> None:
        before(ctx)
        ctx.do("work", lambda: seen.append(committer.flushes))

    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(flow, {"name": "w"})
    child = ChildOutcome(id=CHILD, workflow="c", status="completed", output="1", error=None, reason="")
    runner = ThreadRunner(
        Loaded(claimed=_claimed(), entries=list(entries), inbox=[_message(1)], children={CHILD: child}),
        definition,
        clock=DatabaseClock(NOW, monotonic()),
        committer=committer,
        alias="default",
        helpers=Helpers(4),
    )
    ending = runner.run()
    assert ending is not None
    assert ending.end is End.COMPLETE, ending.reason
    return seen[0]


def recorded(kind: str, name: str, *, key: str = "1", **values: Any) -> Entry:
    """What an earlier turn has stored."""
    return Entry(id=uuid4(), key=key, seq=1, kind=kind, name=name, status="scheduled", created_at=LAST_TURN, **values)


def test_a_body_begins_at_once_after_a_message() -> None:
    """EVT-01: it is the oldest one, and will be for every replay."""
    assert commits_before_the_body(lambda ctx: ctx.wait_for_signal("go"), recorded("signal", "go")) == 0


def test_a_body_begins_at_once_after_a_sleep() -> None:
    """TMR-01: the moment has passed for every replay."""
    slept = recorded("sleep", "", deadline=NOW - timedelta(seconds=1))
    assert commits_before_the_body(lambda ctx: ctx.sleep(59), slept) == 0


def test_a_body_begins_at_once_after_a_child_that_completed() -> None:
    """CHD-01: what has completed stays so."""
    started = recorded("child", "c", child_id=CHILD)
    assert commits_before_the_body(lambda ctx: ctx.run(CHILD_DEFINITION), started) == 0


def test_after_several_of_them_a_body_begins_at_once_as_well() -> None:
    slept = recorded("sleep", "", deadline=NOW - timedelta(seconds=1))
    received = recorded("signal", "go", key="2")
    assert commits_before_the_body(lambda ctx: (ctx.sleep(59), ctx.wait_for_signal("go")), slept, received) == 0


@pytest.mark.parametrize("wait", [lambda ctx: ctx.sleep(0), lambda ctx: ctx.wait_for_signal("go")])
def test_a_body_waits_until_it_is_stored_that_there_was_a_wait(wait: Callable[[Context], Any]) -> None:
    """VER-01: or nothing would tell that changed code, which has no wait there, does not match the journal."""
    assert commits_before_the_body(wait) == 1


@pytest.mark.parametrize("first", ["message", "step"])
def test_a_body_waits_for_a_step_whatever_else_was_recorded(first: str) -> None:
    """STP-01: one write holds both."""

    def both(ctx: Context) -> None:
        if first == "step":
            ctx.do("before", int)
        ctx.wait_for_signal("go")
        if first == "message":
            ctx.do("before", int)

    received = recorded("signal", "go", key="1" if first == "message" else "2")
    assert commits_before_the_body(both, received) == 1


def test_a_body_waits_for_a_message_that_another_branch_could_have_got() -> None:
    """PAR-01: in a replay it might."""

    def branches(ctx: Context) -> None:
        ctx.race(lambda c: c.wait_for_signal("go"), lambda c: c.wait_for_signal("go"))

    assert commits_before_the_body(branches) == 1


def test_a_body_waits_for_the_state_that_people_see() -> None:
    def change(ctx: Context) -> None:
        ctx.wait_for_signal("go")
        ctx.state["phase"] = "approved"

    assert commits_before_the_body(change) == 1


def test_a_write_that_came_back_is_waited_for_again() -> None:
    """DBF-06: the number of the write that bodies wait for is that of the one that holds what was put back."""
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(_nothing, {"name": "w"})
    clock = DatabaseClock(NOW, monotonic())
    loaded = Loaded(claimed=_claimed())
    turn = Turn(loaded, definition, clock=clock, committer=Counts(), alias="default", runner=NoRunner())
    turn.record(turn.new_entry("1", "step", "a"))
    under_way = turn.take_write()
    assert under_way is not None
    turn.pending.call_certain(turn.settle(recorded("sleep", "", key="2"), "succeeded"))
    assert turn.pending.mark(but_certain=True) == 1
    turn.put_back(under_way)
    assert turn.pending.mark(but_certain=True) == 2
    merged = turn.take_write()
    assert merged is not None
    turn.receive(merged, Receipt(verdict=Verdict.STORED))
    assert turn.pending.is_stored(2)
    turn.pending.call_certain(turn.settle(recorded("sleep", "", key="3"), "succeeded"))
    assert (turn.pending.mark(but_certain=True), turn.pending.mark()) == (2, 3)
