"""Calls within calls: what each does alone it does in branches, loops and races as well."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from django_workflows import AsyncContext, Break, Continue, Retry, RetryAfter, step, workflow
from django_workflows.authoring.registry import registry
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, of


def add(a: int, b: int) -> int:
    return a + b


def test_races_in_a_loop_lose_no_message(workflows: Workflows, colour: Colour) -> None:
    """EVT-25: whoever wins, in the end each message was received once."""

    async def body(ctx: AsyncContext, seen: list[Any]) -> Any:
        names = ("a", "b", "stop")
        winner = await ctx.race(*[lambda c, name=name: c.wait_for_signal(name) for name in names])
        if winner.index == 2:
            return Break(seen)
        await ctx.do(add, 1, 1)
        return Continue([*seen, winner.value.data])

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        seen = await ctx.loop(body, [])
        for name in "ab":
            while (message := await ctx.wait_for_signal(name, timeout=0)) is not None:
                seen.append(message.data)
        return sorted(seen)

    execution = flow.start()
    workflows.run_until_idle()
    for number in range(6):
        execution.signal("a", number)
        execution.signal("b", 10 + number)
    workflows.run_until_idle()
    execution.signal("stop")
    assert workflows.result(execution) == [*range(6), *range(10, 16)]


def test_a_step_that_backs_off_can_lose_a_race(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    def later() -> None:
        counter.count()
        raise RetryAfter(timedelta(hours=2))

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        winner = await ctx.race(
            lambda c: c.do(step(later, retry=Retry(max_attempts=None))), lambda c: c.sleep("1 hour")
        )
        await ctx.sleep("1 day")
        return winner.index

    execution = flow.start()
    assert workflows.result(execution) == 1
    assert len(counter) == 1
    assert {row.key: row.status for row in workflows.journal(execution)}["1.0.1"] == "skipped"


def test_a_branch_may_pause_cancel_or_renew_the_whole(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    async def act(ctx: AsyncContext, verb: str) -> None:
        if verb == "pause":
            await ctx.pause("look at it")
            await ctx.do(counter.count)
        elif verb == "cancel":
            await ctx.cancel("enough")
        elif verb == "renew":
            await ctx.continue_as_new("rest")

    @colour()
    async def flow(ctx: AsyncContext, verb: str) -> str:
        await ctx.gather(lambda c: c.sleep("1 hour"), lambda c: act(c, verb))
        return verb

    paused, cancelled, renewed = flow.start("pause"), flow.start("cancel"), flow.start("renew")
    workflows.run_to_end()
    assert (of(paused).status, of(paused).reason) == (Status.PAUSED, "look at it")
    assert (of(cancelled).status, of(cancelled).reason) == (Status.CANCELLED, "enough")
    assert workflows.result(renewed) == "rest"
    of(paused).resume()
    assert workflows.result(paused) == "pause"
    assert len(counter) == 1


def test_a_step_of_a_branch_waits_for_an_operator(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    def flaky() -> str:
        if counter.count() == 1:
            raise ValueError("no")
        return "ok"

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return await ctx.gather(lambda c: c.do(step(flaky, retry=ONCE, on_error="pause")), lambda c: c.sleep("1 hour"))

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).status == Status.PAUSED
    of(execution).resume()
    assert workflows.result(execution) == ["ok", None]


def test_a_child_that_lost_as_a_handle_can_still_be_waited_for(workflows: Workflows, colour: Colour) -> None:
    """Only children that a losing branch has started itself are cancelled."""

    @colour(name="nap")
    async def nap(ctx: AsyncContext, hours: int) -> int:
        await ctx.sleep(f"{hours} hours")
        return hours

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        handles: list[Any] = [await ctx.start("nap", hours) for hours in (2, 1)]
        winner = await ctx.race(*handles)
        return [winner.index, await handles[1].result(), await handles[0].result()]

    assert workflows.result(flow.start()) == [1, 1, 2]


def test_branches_that_ask_for_one_key_share_a_child(workflows: Workflows, colour: Colour) -> None:
    @colour(name="nap")
    async def nap(ctx: AsyncContext, number: int) -> int:
        await ctx.sleep("1 hour")
        return number

    keyed: Any = registry.workflow("nap").using(key="k")

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return await ctx.gather(lambda c: c.run(keyed, 1), lambda c: c.run(keyed, 2))

    execution = flow.start()
    first, second = workflows.result(execution)
    assert first == second
    assert of(execution).children.count() == 1


def test_a_group_of_tasks_fails_as_asyncio_says(workflows: Workflows) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> str:
        async def fail() -> None:
            await ctx.sleep("1 hour")
            raise KeyError("x")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.wait_for(ctx.wait_for_signal("never"), None))
        except* KeyError:
            await ctx.sleep("1 hour")
        return "caught"

    assert workflows.result(flow.start()) == "caught"
