"""Published events: whoever waits for one that matches gets it, once, and nobody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, transaction

from django_workflows import AsyncContext, ExecutionFailed, services
from django_workflows.client import send_event
from django_workflows.models import Event, Signal, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of
from tests.factories import damage


def waiter(colour: Colour, count: int = 1, **keywords: Any) -> Any:
    """A workflow that waits so many times for `paid` and returns what came."""

    @colour(name="waiter")
    async def wait(ctx: AsyncContext, order: int | None = None) -> list[Any]:
        if order is not None:
            keywords["match"] = {"order": order}
        seen = []
        for _ in range(count):
            message = await ctx.wait_for_event("paid", **keywords)
            seen.append(message and message.data)
        return seen

    return wait


def started(workflows: Workflows, definition: Any, *args: Any) -> Any:
    execution = definition.start(*args)
    workflows.run_until_idle()
    return execution


def test_an_event_wakes_who_waits_for_it(workflows: Workflows, colour: Colour) -> None:
    """EVT-01: with its data, once; the row says what is waited for."""
    execution = started(workflows, waiter(colour))
    assert (of(execution).status, of(execution).current_step) == (Status.WAITING, "paid")
    send_event("paid", {"amount": 7})
    workflows.run_until_idle()
    assert execution.result(timeout=0) == [{"amount": 7}]
    assert Event.objects.get(type="event", execution=None).dispatched_at is not None


def test_all_who_wait_get_it_once(workflows: Workflows, colour: Colour) -> None:
    """EVT-13: many executions, one event."""
    definition = waiter(colour, 2, timeout="1 hour")
    executions = definition.start_many([{}] * 20)
    workflows.run_until_idle()
    send_event("paid", 1)
    workflows.run_until_idle()
    assert Signal.objects.count() == 20
    workflows.run_to_end()
    assert [execution.result(timeout=0) for execution in executions] == [[1, None]] * 20


def test_only_who_matches_gets_it(workflows: Workflows, colour: Colour) -> None:
    """EVT-14: by the values of (dotted) keys in its data."""

    @colour()
    async def flow(ctx: AsyncContext, match: dict[str, Any]) -> Any:
        message = await ctx.wait_for_event("paid", match=match, timeout="1 hour")
        return message and message.data["n"]

    matches: list[dict[str, Any]] = [
        {},
        {"order": 7},
        {"order": "7"},
        {"order": 7, "customer.name": "ada"},
        {"customer.name": "bob"},
        {"missing": None},
        {"none": None},
        {"list": [1, {"a": 2}]},
        {"order": 7.0},
        {"yes": 1},
        {"dotted.key": 1},
    ]
    executions = [flow.start(match) for match in matches]
    workflows.run_until_idle()
    data = {"n": 1, "order": 7, "customer": {"name": "ada"}, "none": None, "list": [1, {"a": 2}], "yes": True}
    send_event("paid", data | {"dotted.key": 1})
    workflows.run_to_end()
    got = [execution.result(timeout=0) for execution in executions]
    assert got[:8] == [1, 1, None, 1, None, None, 1, 1]
    assert got[9:] == [None, 1]


@pytest.mark.parametrize("data", [None, 7, "text", [1, 2], [], {}], ids=repr)
def test_an_event_without_keys_matches_only_who_asks_for_none(workflows: Workflows, colour: Colour, data: Any) -> None:
    any_event = started(workflows, waiter(colour, timeout="1 hour"))
    keyed = started(workflows, waiter(colour, timeout="1 hour"), 7)
    send_event("paid", data)
    workflows.run_to_end()
    assert any_event.result(timeout=0) == [data]
    assert keyed.result(timeout=0) == [None]


IMPOSSIBLE: list[Any] = [
    [("order", 7)],
    "order",
    {"order": float("nan")},
    {"order": object()},
    {"a,b": 1},
    {"": 1},
    {7: 1},
    {"x" * 150 + str(n): n for n in range(4)},
]


@pytest.mark.parametrize("match", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_a_match_that_can_never_hold_fails_at_once(workflows: Workflows, colour: Colour, match: Any) -> None:
    """EVT-14: not silently for ever."""
    execution = waiter(colour, match=match).start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)


def test_an_event_before_the_wait_is_not_for_it(workflows: Workflows, colour: Colour) -> None:
    """Semantics: "the next event" is one dispatched after the wait was stored."""
    send_event("paid", "before")
    execution = started(workflows, waiter(colour))
    assert of(execution).status == Status.WAITING
    send_event("paid", "after")
    assert workflows.result(execution) == ["after"]


def test_one_execution_never_gets_the_same_event_twice(workflows: Workflows, colour: Colour) -> None:
    """EVT-08: not by looking back, not by several waits at once."""
    execution = started(workflows, waiter(colour, 3, lookback="1 hour", timeout="1 day"))
    send_event("paid", 1)
    workflows.run_until_idle()
    send_event("paid", 2)
    assert workflows.result(execution) == [1, 2, None]


def test_the_same_event_id_is_published_once(workflows: Workflows, colour: Colour) -> None:
    """EVT-08: within the window."""
    execution = started(workflows, waiter(colour, 2, timeout="1 hour"))
    for n in range(3):
        send_event("paid", n, id="evt-7")
        workflows.run_until_idle()
    assert workflows.result(execution) == [0, None]


def test_an_event_that_nobody_can_read_is_for_nobody(workflows: Workflows, colour: Colour) -> None:
    """SER-10: the others are dispatched."""
    execution = started(workflows, waiter(colour, timeout="1 hour"))
    damage(send_event("paid", 1), "data")
    send_event("paid", 2)
    assert workflows.result(execution) == [2]


def test_events_arrive_in_order(workflows: Workflows, colour: Colour) -> None:
    """EVT-09: one sender, one receiver, each event for the wait that was open."""
    execution = started(workflows, waiter(colour, 5))
    for n in range(5):
        send_event("paid", n)
        workflows.run_until_idle()
    assert execution.result(timeout=0) == [0, 1, 2, 3, 4]


def test_a_timed_out_wait_swallows_nothing(workflows: Workflows, colour: Colour) -> None:
    """EVT-16: the later event is for the later wait."""
    execution = started(workflows, waiter(colour, 2, timeout="1 hour"))
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    assert [row.status for row in workflows.journal(execution)] == ["succeeded", "scheduled"]
    send_event("paid", "late")
    assert workflows.result(execution) == [None, "late"]


def test_a_timeout_of_a_wait_is_remembered(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """EVT-05: a replay after the event sees the timeout again."""

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        message = await ctx.wait_for_event("paid", timeout="1 second")
        await ctx.do(counter.count)
        await ctx.sleep("1 hour")
        return message

    execution = started(workflows, flow)
    workflows.skip("2 seconds")
    workflows.run_until_idle()
    send_event("paid", 1)
    assert workflows.result(execution) is None
    assert len(counter) == 1


def test_an_event_that_is_published_after_the_deadline_is_too_late(workflows: Workflows, colour: Colour) -> None:
    """EVT-06: even when nobody has looked since."""
    execution = started(workflows, waiter(colour, 1, timeout="1 hour"))
    workflows.skip("61 minutes")
    send_event("paid", 1)
    assert workflows.result(execution) == [None]
    assert not Signal.objects.filter(consumed_at=None).exists()


@pytest.mark.parametrize(("offset", "outcome"), [(-1, [1]), (0, [1]), (1, [None])], ids=str)
def test_an_event_delivered_exactly_at_the_deadline_beats_it(
    workflows: Workflows, colour: Colour, offset: int, outcome: list[Any]
) -> None:
    """EVT-06: the recorded times decide."""
    execution = started(workflows, waiter(colour, 1, timeout="1 hour"))
    deadline = workflows.journal(execution)[0].deadline
    assert deadline is not None
    send_event("paid", 1)
    while services.dispatch(DEFAULT_DB_ALIAS):
        pass
    Signal.objects.update(created_at=deadline + timedelta(microseconds=offset))
    workflows.skip("2 hours")
    assert workflows.result(execution) == outcome


def test_an_event_may_be_delivered_later(workflows: Workflows, colour: Colour) -> None:
    execution = started(workflows, waiter(colour))
    send_event("paid", 1, deliver_at=workflows.now() + timedelta(hours=1))
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    assert workflows.result(execution) == [1]
    row = of(execution)
    assert row.completed_at is not None
    assert row.completed_at - row.created_at > timedelta(hours=1)


def test_an_event_of_a_transaction_that_is_rolled_back_was_never_published(
    workflows: Workflows, colour: Colour
) -> None:
    """Semantics 13."""
    execution = started(workflows, waiter(colour, timeout="1 hour"))
    with transaction.atomic():
        send_event("paid", 1)
        transaction.set_rollback(True)
    assert workflows.result(execution) == [None]


def test_a_workflow_publishes_once(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """ctx.send_event: in the journal, and with an id once for all."""

    @colour()
    async def publisher(ctx: AsyncContext) -> None:
        await ctx.send_event("paid", {"n": 1})
        await ctx.do(counter.count)
        await ctx.send_event("paid", {"n": 2}, id="evt-2")
        await ctx.sleep("1 hour")

    execution = started(workflows, waiter(colour, 2, lookback="1 hour"))
    first = started(workflows, publisher)
    workflows.result(first)
    assert sorted(workflows.result(execution), key=str) == [{"n": 1}, {"n": 2}]
    assert Event.objects.filter(type="event", execution=None).count() == 2
    workflows.assert_journal(first, [("send", "paid"), ("step", "count"), ("send", "paid"), ("sleep", "")])


def test_a_paused_execution_gets_its_event_after_resume(workflows: Workflows, colour: Colour) -> None:
    """PAU-05."""
    execution = started(workflows, waiter(colour))
    of(execution).pause()
    send_event("paid", 1)
    workflows.run_until_idle()
    assert of(execution).status == Status.PAUSED
    of(execution).resume()
    assert workflows.result(execution) == [1]


def test_names_are_names_not_patterns(workflows: Workflows, colour: Colour) -> None:
    """EVT-26: a wait is for one name."""
    execution = started(workflows, waiter(colour, timeout="1 hour"))
    for name in ("paid.", "PAID", "pai*", "xpaid", "paid\u200b"):
        send_event(name, 1)
    assert workflows.result(execution) == [None]


def test_an_event_with_an_id_is_not_published_in_the_group_commit(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    """EVT-08: a unique id may be in somebody else's transaction; the first one counts, and its row is the journal's."""

    @colour()
    async def publisher(ctx: AsyncContext, n: int) -> None:
        await ctx.do(counter.count)
        await ctx.send_event("paid", {"n": n}, id="evt-1")
        await ctx.do(counter.count)

    first, second = started(workflows, publisher, 1), started(workflows, publisher, 2)

    assert [event.data for event in Event.objects.filter(event_id="evt-1")] == [{"n": 1}]
    for execution in (first, second):
        workflows.assert_journal(execution, [("step", "count"), ("send", "paid", "succeeded"), ("step", "count")])
    assert len(counter) == 4


def test_what_has_ended_keeps_no_open_wait_and_a_retry_waits_again(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    """Its row leaves the index of open waits when the execution fails, and comes back with a retry."""

    @colour(timeout="1 day")
    async def waits(ctx: AsyncContext) -> Any:
        message = await ctx.wait_for_event("paid")
        return message and message.data

    execution = started(workflows, waits)
    workflows.skip("2 days")
    workflows.run_until_idle()
    assert of(execution).status == Status.FAILED
    assert not StepResult.objects.filter(status="scheduled").exists()
    send_event("paid", 1)
    workflows.run_until_idle()
    assert not Signal.objects.exists()

    of(execution).retry()
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    send_event("paid", 2)
    assert workflows.result(execution) == 2
