"""`ctx.continue_as_new`: the same execution with new input and an empty journal."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed
from django_workflows.client import send_event
from django_workflows.models import Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of


def test_it_keeps_its_identity_and_empties_its_journal(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """EXE-17: id, key, tags and waiters stay; each generation has its own steps."""

    @colour()
    async def flow(ctx: AsyncContext, n: int = 0) -> list[Any]:
        await ctx.do(counter.count, n)
        await ctx.do(counter.count, n)
        if n < 9:
            await ctx.continue_as_new(n + 1)
        return [str(ctx.execution.id), ctx.execution.key, ctx.execution.tags, ctx.execution.generation]

    execution = flow.using(key="k", tags={"tenant": "acme"}).start()
    assert workflows.result(execution) == [str(execution.id), "k", {"tenant": "acme"}, 9]
    assert counter.calls == [n for n in range(10) for _ in range(2)]
    assert len(workflows.journal(execution)) == 2
    assert len(workflows.journal(execution, generation=4)) == 2
    assert of(execution).input == {"n": 9}
    assert Execution.objects.count() == 1


def test_no_signal_is_lost_while_it_rolls_over(workflows: Workflows, colour: Colour) -> None:
    """EXE-17: a thousand handled one by one, in order, a hundred per generation."""
    most = 200

    @colour()
    async def flow(ctx: AsyncContext, done: int = 0, total: int = 0) -> int:
        for _ in range(50):
            message = await ctx.wait_for_signal("add")
            assert message is not None
            assert message.data == done
            done, total = done + 1, total + message.data
            if done == most:
                return total
        return await ctx.continue_as_new(done, total=total)

    execution = flow.start()
    for n in range(most):
        execution.signal("add", n)
        if n % 30 == 0:
            workflows.run_until_idle()
    assert workflows.result(execution) == sum(range(most))
    assert of(execution).generation == 3
    assert StepResult.objects.filter(execution=execution.id, generation=0).count() == 50


def test_a_parent_waits_for_the_last_generation(workflows: Workflows, colour: Colour) -> None:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> str:
        await ctx.sleep("1 hour")
        if n:
            await ctx.continue_as_new(n - 1)
        return "last"

    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return await ctx.run("child", 3)

    execution = parent.start()
    assert workflows.result(execution) == "last"
    assert of(execution).children.get().generation == 3


def test_an_event_wait_of_an_earlier_generation_is_closed(workflows: Workflows, colour: Colour) -> None:
    """What was open then gets nothing now."""

    @colour()
    async def flow(ctx: AsyncContext, again: bool = True) -> list[Any]:
        winner = await ctx.race(lambda c: c.wait_for_event("paid"), lambda c: c.sleep("1 hour"))
        if again:
            await ctx.continue_as_new(again=False)
        return [winner.index, winner.value and winner.value.data]

    execution = flow.start()
    workflows.run_until_idle()
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    assert of(execution).generation == 1
    send_event("paid", 7)
    assert workflows.result(execution) == [0, 7]
    assert [row.status for row in workflows.journal(execution, generation=0) if row.kind == "event"] == ["skipped"]


def test_input_that_does_not_fit_fails(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, n: int = 0) -> None:
        await ctx.continue_as_new(wrong=1)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="InvalidInput: wrong"):
        workflows.result(execution)
    assert of(execution).generation == 0


def test_nothing_after_it_counts(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """Semantics 7: it passes through `except Exception`; what `finally` does is ignored."""

    @colour()
    async def flow(ctx: AsyncContext, n: int = 0) -> str:
        if n:
            return "second"
        try:
            await ctx.continue_as_new(1)
        except Exception:
            return "caught"
        finally:
            counter.count()

    execution = flow.start()
    assert workflows.result(execution) == "second"
    assert (len(counter), of(execution).status) == (1, Status.COMPLETED)


def test_what_it_publishes_stays(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, n: int = 0) -> None:
        ctx.state[f"generation {n}"] = True
        if n == 0:
            await ctx.continue_as_new(1)

    execution = flow.start()
    workflows.run_to_end()
    assert of(execution).state is not None
    assert of(execution).state["generation 1"] is True
