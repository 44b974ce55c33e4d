"""`ctx.loop`: earlier iterations are forgotten, a replay starts at the stored one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from django_workflows import AsyncContext, Break, Context, Continue, ExecutionFailed, workflow
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of


@dataclass
class Balance:
    months: int
    amount: Decimal


def add(a: int, b: int) -> int:
    return a + b


def test_a_loop_hands_its_state_on(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, most: int) -> list[int]:
        async def body(c: AsyncContext, n: int) -> Continue | Break:
            n = await c.do(add, n, 1)
            return Continue(n) if n < most else Break([n])

        result: list[int] = await ctx.loop(body, 0)
        return [*result, await ctx.do(add, 100, 1)]

    execution = flow.start(5)
    assert workflows.result(execution) == [5, 101]
    rows = workflows.journal(execution)
    assert [(row.key, row.kind, row.status) for row in rows if row.status != "forgotten"] == [
        ("1", "loop", "succeeded"),
        ("2", "step", "succeeded"),
    ]
    assert [row.key for row in rows if row.status == "forgotten"] == [f"1#{n}.1" for n in range(1, 6)]


def test_a_replay_starts_at_the_stored_iteration(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """However long it goes on, a turn replays one iteration."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        async def body(c: AsyncContext, n: int) -> Continue | Break:
            counter.count(n)
            await c.sleep("1 day")
            return Continue(n + 1) if n < 19 else Break(n)

        return int(await ctx.loop(body, 0))

    assert workflows.result(flow.start()) == 19
    assert counter.calls == sorted(counter.calls)
    assert max(counter.calls.count(n) for n in range(20)) <= 3


def test_the_state_has_the_type_that_the_body_declares(workflows: Workflows, colour: Colour) -> None:
    """From the first iteration on, as after a replay."""

    @colour()
    async def flow(ctx: AsyncContext) -> Balance:
        async def body(c: AsyncContext, state: Balance) -> Continue | Break:
            assert isinstance(state, Balance)
            assert isinstance(state.amount, Decimal)
            if state.months == 0:
                return Break(state)
            await c.sleep("30 days")
            return Continue(Balance(state.months - 1, state.amount * 2))

        return await ctx.loop(body, Balance(3, Decimal("1.10")))  # type: ignore[no-any-return]  # a loop returns anything

    assert workflows.result(flow.start()) == Balance(0, Decimal("8.80"))


def test_branches_races_and_children_in_a_loop(workflows: Workflows, colour: Colour) -> None:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        return 10 * n

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        async def body(c: AsyncContext, state: list[Any]) -> Continue | Break:
            n = len(state)
            gathered = await c.gather(lambda b: b.do(add, n, 1), lambda b: b.run("child", n))
            winner = await c.race(lambda b: b.sleep("1 day"), lambda b: b.do(add, n, 0))
            state = [*state, [*gathered, winner.index, winner.value]]
            return Continue(state) if n < 2 else Break(state)

        result: list[Any] = await ctx.loop(body, [])
        return result

    execution = flow.start()
    assert workflows.result(execution) == [[1, 0, 1, 0], [2, 10, 1, 1], [3, 20, 1, 2]]
    assert of(execution).children.count() == 3


def test_loops_in_loops(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> int:
        async def inner(c: AsyncContext, n: int) -> Continue | Break:
            n = await c.do(add, n, 1)
            return Break(n) if n % 3 == 0 else Continue(n)

        async def outer(c: AsyncContext, n: int) -> Continue | Break:
            n = await c.loop(inner, n)
            return Break(n) if n >= 9 else Continue(n)

        return int(await ctx.loop(outer, 0))

    assert workflows.result(flow.start()) == 9


def test_a_loop_waits_for_signals_in_order(workflows: Workflows, colour: Colour) -> None:
    """EVT-09: the inbox outlives iterations."""

    @colour()
    async def server(ctx: AsyncContext) -> list[str]:
        async def body(c: AsyncContext, seen: list[str]) -> Continue | Break:
            message = await c.wait_for_signal("command", timeout="60 days")
            if message is None:
                return Continue([*seen, "renewed"])
            if message.data == "destroy":
                return Break(seen)
            return Continue([*seen, message.data])

        result: list[str] = await ctx.loop(body, [])
        return result

    execution = server.start()
    execution.signal("command", "resize")
    workflows.run_until_idle()
    workflows.skip("61 days")
    workflows.run_until_idle()
    execution.signal("command", "reboot")
    execution.signal("command", "destroy")
    assert workflows.result(execution) == ["resize", "renewed", "reboot"]


def test_what_is_forgotten_does_not_count_towards_the_limit(
    workflows: Workflows, colour: Colour, settings: Any
) -> None:
    """STP-17: a loop may go on for long."""
    settings.WORKFLOWS = {"MAX_STEPS": 10}

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        async def body(c: AsyncContext, n: int) -> Continue | Break:
            n = await c.do(add, n, 1)
            return Continue(n) if n < 50 else Break(n)

        return int(await ctx.loop(body, 0))

    assert workflows.result(flow.start()) == 50


@pytest.mark.parametrize("answer", [None, 7, Continue, (1, 2)], ids=repr)
def test_a_body_must_say_whether_to_go_on(workflows: Workflows, colour: Colour, answer: Any) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        async def body(c: AsyncContext, state: Any) -> Any:
            return answer

        await ctx.loop(body)

    with pytest.raises(ExecutionFailed, match=r"returns Continue\(state\) or Break\(value\)"):
        workflows.result(flow.start())


def test_a_state_that_cannot_be_stored_fails(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        async def body(c: AsyncContext, state: Any) -> Continue | Break:
            await c.do(add, 1, 1)
            return Continue(object())

        await ctx.loop(body)

    with pytest.raises(ExecutionFailed, match="Unserializable"):
        workflows.result(flow.start())


def test_an_error_in_an_iteration_is_the_workflows(workflows: Workflows, colour: Colour) -> None:
    """It may be caught around the loop; what the iteration did stays."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        async def body(c: AsyncContext, n: int) -> Continue | Break:
            await c.do(add, n, 1)
            if n == 2:
                raise LookupError("third")
            return Continue(n + 1)

        try:
            await ctx.loop(body, 0)
        except LookupError as error:
            await ctx.sleep("1 hour")
            return str(error)
        return ""

    execution = flow.start()
    assert workflows.result(execution) == "third"
    assert of(execution).status == Status.COMPLETED


def test_a_def_body_of_an_async_workflow_is_an_error(workflows: Workflows) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> None:
        body: Any = lambda c, state: Break(1)  # noqa: E731  # the mistake
        await ctx.loop(body)

    with pytest.raises(ExecutionFailed, match="TypeError"):
        workflows.result(flow.start())


def test_an_async_body_of_a_def_workflow_is_an_error(workflows: Workflows) -> None:
    @workflow
    def flow(ctx: Context) -> None:
        async def body(c: Any, state: Any) -> Break:
            return Break(1)

        wrong: Any = body
        ctx.loop(wrong)

    with pytest.raises(ExecutionFailed, match="declare both alike"):
        workflows.result(flow.start())
