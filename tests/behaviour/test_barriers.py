"""What is in the database when a step's body begins: everything before it that a replay could find otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed, client, step
from django_workflows.models import Signal, StepResult, StepStatus
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour

PENDING = {StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.RUNNING}


def step_number(number: int) -> int:
    return number


def fail() -> None:
    raise ValueError("no")


async def step_before(ctx: AsyncContext) -> None:
    await ctx.do(step_number, 1)


async def value(ctx: AsyncContext) -> None:
    await ctx.now()


async def no_sleep(ctx: AsyncContext) -> None:
    await ctx.sleep(0)


async def message_that_was_there(ctx: AsyncContext) -> None:
    assert await ctx.wait_for_signal("go")


async def timeout(ctx: AsyncContext) -> None:
    assert await ctx.wait_for_signal("nobody sends it", timeout="1 hour") is None


async def message_in_a_branch(ctx: AsyncContext) -> None:
    await ctx.gather(lambda c: c.wait_for_signal("go"), lambda c: c.wait_for_signal("go"))


async def message_in_a_race(ctx: AsyncContext) -> None:
    await ctx.race(lambda c: c.wait_for_signal("go"), lambda c: c.sleep("1 day"))


async def looked_for(ctx: AsyncContext) -> None:
    assert await ctx.wait_for_event("paid", lookback="1 hour")


BEFORE = [
    step_before,
    value,
    no_sleep,
    message_that_was_there,
    timeout,
    message_in_a_branch,
    message_in_a_race,
    looked_for,
]


@pytest.mark.parametrize("before", BEFORE, ids=lambda before: before.__name__)
def test_what_a_replay_could_find_otherwise_is_stored_before_a_body_begins(
    workflows: Workflows, colour: Colour, before: Callable[[AsyncContext], Awaitable[None]]
) -> None:
    """STP-01: or a crash in the body would let the workflow go another way than the one it had gone."""

    @step
    def what_is_open() -> list[str]:
        rows = StepResult.objects.exclude(name="what_is_open")
        return [row.name for row in rows if row.status in PENDING] if rows else ["nothing is stored"]

    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        await before(ctx)
        return await ctx.do(what_is_open)

    client.send_event("paid")
    execution = flow.start()
    for _ in range(2):
        execution.signal("go")
    assert workflows.result(execution) == []


def test_a_transactional_step_begins_when_all_before_it_is_stored(workflows: Workflows, colour: Colour) -> None:
    """STP-01: its row is committed by itself, and must not be there without the one of the wait."""

    @step(atomic=True)
    def has_been_consumed() -> bool:
        return Signal.objects.get().consumed_at is not None

    @colour()
    async def flow(ctx: AsyncContext) -> bool:
        await ctx.wait_for_signal("go")
        return await ctx.do(has_been_consumed)

    execution = flow.start()
    workflows.run_until_idle()
    execution.signal("go")
    assert workflows.result(execution) is True


def test_what_a_child_that_failed_came_to_is_stored_before_a_body_begins(workflows: Workflows, colour: Colour) -> None:
    """CHD-02: an operator may retry the child meanwhile, which a replay would find running."""

    @colour(name="child")
    async def child(ctx: AsyncContext) -> None:
        await ctx.do(fail)

    @step
    def status_of_child() -> str:
        return StepResult.objects.get(name="child").status

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        try:
            await ctx.run(child)
        except ExecutionFailed:
            return await ctx.do(status_of_child)

    assert workflows.result(flow.start()) == StepStatus.FAILED
