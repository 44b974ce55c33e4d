"""Races: the first to finish wins for good, and the others leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    ExecutionFailed,
    StepFailed,
    step,
)
from django_workflows.client import send_event
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, Provider, of


def add(a: int, b: int) -> int:
    return a + b


def test_the_first_to_finish_wins_for_good(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """PAR-05: index and value are recorded; a replay asks the winner alone, whatever the loser has by then."""

    async def by_signal(ctx: AsyncContext) -> Any:
        message = await ctx.wait_for_signal("approve")
        return message and message.data

    async def by_time(ctx: AsyncContext) -> str:
        await ctx.sleep("1 hour")
        return f"timeout {await ctx.do(counter.count)}"

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        winner = await ctx.race(by_signal, by_time)
        await ctx.do(add, 1, 1)
        await ctx.sleep("1 day")
        late = await ctx.wait_for_signal("approve", timeout=0)
        return [winner.index, winner.value, late and late.data]

    execution = flow.start()
    workflows.run_until_idle()
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    execution.signal("approve", "too late")
    assert workflows.result(execution) == [1, "timeout 1", "too late"]
    assert len(counter) == 1
    statuses = {row.key: row.status for row in workflows.journal(execution)}
    assert statuses["1.0.1"] == "skipped"


def test_two_that_are_ready_at_once(workflows: Workflows, colour: Colour) -> None:
    """EVT-25: the first in branch order; the loser's message stays for a later wait."""

    async def wait(ctx: AsyncContext, name: str) -> Any:
        message = await ctx.wait_for_signal(name)
        return message and message.data

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        winner = await ctx.race(lambda c: wait(c, "a"), lambda c: wait(c, "b"))
        other = await ctx.wait_for_signal("b", timeout="1 hour")
        return [winner.index, winner.value, other and other.data]

    execution = flow.start()
    workflows.run_until_idle()
    execution.signal("b", 2)
    execution.signal("a", 1)
    assert workflows.result(execution) == [0, 1, 2]


@pytest.mark.parametrize("lookback", [None, "1 hour"])
def test_an_event_that_a_loser_got_is_there_for_a_later_wait_that_it_fits(
    workflows: Workflows, colour: Colour, lookback: str | None
) -> None:
    """EVT-25: both come in one commit; each later wait gets what fits it, once."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        winner = await ctx.race(lambda c: c.wait_for_event("a"), lambda c: c.wait_for_event("b"))
        other = await ctx.wait_for_event("b", match={"x": 2}, timeout="1 minute", lookback=lookback)
        found = await ctx.wait_for_event("b", match={"x": 1}, timeout="1 hour", lookback=lookback)
        again = await ctx.wait_for_event("b", timeout="1 minute", lookback=lookback)
        return [winner.index, other, found and found.data, again]

    execution = flow.start()
    workflows.run_until_idle()
    send_event("a")
    send_event("b", {"x": 1})
    winner, other, found, again = workflows.result(execution)

    assert again is None
    assert (winner, other, found) == (0, None, {"x": 1}) or winner == 1


def test_a_race_between_an_event_a_signal_and_a_timer(workflows: Workflows, colour: Colour) -> None:
    """EVT-25: whichever comes first."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        winner = await ctx.race(
            lambda c: c.wait_for_event("paid"), lambda c: c.wait_for_signal("go"), lambda c: c.sleep("1 hour")
        )
        return winner.index

    first, second, third = flow.start(), flow.start(), flow.start()
    workflows.run_until_idle()
    second.signal("go")
    workflows.run_until_idle()
    assert second.result(timeout=0) == 1
    first_wait = of(first).steps.get(kind="event")
    assert first_wait.status == "scheduled"
    of(third).steps.filter(kind="event").update(name="other")
    send_event("paid")
    workflows.run_until_idle()
    assert first.result(timeout=0) == 0
    of(third).steps.filter(kind="event").update(name="paid")
    assert workflows.result(third) == 2


def test_a_race_cancels_the_children_of_the_losers(workflows: Workflows, colour: Colour) -> None:
    @colour(name="slow")
    async def slow(ctx: AsyncContext) -> None:
        await ctx.sleep("1 day")

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        winner = await ctx.race(lambda c: c.run("slow"), lambda c: c.sleep("1 hour"))
        return winner.index

    execution = flow.start()
    assert workflows.result(execution) == 1
    workflows.run_to_end()
    assert of(execution).children.get().status == Status.CANCELLED


def test_a_loser_starts_no_further_step(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    async def loser(ctx: AsyncContext) -> None:
        await ctx.sleep("2 hours")
        await ctx.do(counter.count)

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        winner = await ctx.race(loser, lambda c: c.sleep("1 hour"))
        await ctx.sleep("1 day")
        return winner.index

    assert workflows.result(flow.start()) == 1
    assert len(counter) == 0


def test_a_loser_that_cleans_up_starts_no_step_for_that(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """It is called once more by no replay: what it did could not be told from what it did not."""

    async def loser(ctx: AsyncContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.do(counter.count, "finally")

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        winner = await ctx.race(loser, lambda c: c.sleep("1 hour"))
        await ctx.sleep("1 hour")
        return winner.index

    execution = flow.start()
    assert workflows.result(execution) == 1
    assert len(counter) == 0
    assert [row.status for row in workflows.journal(execution) if row.key.startswith("1.0")] == ["skipped"]


def test_an_error_wins_a_race_too(workflows: Workflows, colour: Colour) -> None:
    async def fail(ctx: AsyncContext) -> None:
        await ctx.do(step(Provider(9).charge, retry=ONCE))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.race(lambda c: c.sleep("1 hour"), fail)
        except StepFailed as error:
            await ctx.sleep("1 day")
            return error.type
        return ""

    assert workflows.result(flow.start()) == "ConnectionError"


def test_a_race_without_branches_is_an_error(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.race()

    with pytest.raises(ExecutionFailed, match="at least one branch"):
        workflows.result(flow.start())
