"""Branches side by side: each with its own place, results in order, the first error in branch order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    Context,
    ExecutionFailed,
    LimitExceeded,
    Retry,
    RetryAfter,
    StepFailed,
    current_step,
    step,
    workflow,
)
from django_workflows.models import Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, Provider, of


def add(a: int, b: int) -> int:
    return a + b


def test_branches_give_their_results_in_order(workflows: Workflows, colour: Colour) -> None:
    """PAR-01: in the order of the branches, whichever ends first."""

    async def branch(ctx: AsyncContext, minutes: int) -> int:
        await ctx.sleep(f"{minutes} minutes")
        return await ctx.do(add, minutes, 100)

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return await ctx.gather(
            lambda c: branch(c, 30), lambda c: branch(c, 10), lambda c: branch(c, 20), lambda c: c.do(add, 1, 1)
        )

    execution, started = flow.start(), workflows.now()
    assert workflows.result(execution) == [130, 110, 120, 2]
    assert (workflows.now() - started).total_seconds() < 1810  # all slept at once
    keys = {row.key for row in workflows.journal(execution)}
    assert keys == {"1.0.1", "1.0.2", "1.1.1", "1.1.2", "1.2.1", "1.2.2", "1.3.1"}


def test_steps_of_one_name_in_several_branches_are_told_apart(workflows: Workflows, colour: Colour) -> None:
    """STP-05: each branch gets its own value, after any number of replays."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        first = await ctx.map(abs, [-n for n in range(10)])
        await ctx.sleep("1 hour")
        return first + await ctx.map(abs, [-n for n in range(10, 20)])

    execution = flow.start()
    assert workflows.result(execution) == list(range(20))
    assert StepResult.objects.filter(execution=execution.id, name="abs").count() == 20


def test_all_branches_finish_before_the_first_error_is_raised(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    """PAR-04: the first in branch order, not in time; nothing is left running."""

    async def fail_late(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")
        raise LookupError("late")

    async def fail_early(ctx: AsyncContext) -> None:
        raise KeyError("early")

    async def work(ctx: AsyncContext) -> None:
        await ctx.sleep("2 hours")
        await ctx.do(counter.count)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.gather(work, fail_late, fail_early)
        except (LookupError, KeyError) as error:
            await ctx.sleep("1 hour")
            return repr(error)
        return ""

    assert workflows.result(flow.start()) == "LookupError('late')"
    assert len(counter) == 1


def test_branches_may_tell_their_outcomes_themselves(workflows: Workflows, colour: Colour) -> None:
    """PAR-06: a list of outcomes, in order."""

    async def outcome(ctx: AsyncContext, fails: bool) -> str:
        try:
            return await ctx.do(step(Provider(9 if fails else 0).charge, retry=ONCE))
        except StepFailed as error:
            return error.type

    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        return await ctx.gather(lambda c: outcome(c, True), lambda c: outcome(c, False), lambda c: outcome(c, True))

    assert workflows.result(flow.start()) == ["ConnectionError", "paid", "ConnectionError"]


def test_branches_in_branches(workflows: Workflows, colour: Colour) -> None:
    """PAR-09: right nesting, each with its own place."""

    async def inner(ctx: AsyncContext, a: int, b: int) -> int:
        await ctx.sleep(f"{10 - b} minutes")
        return await ctx.do(add, 10 * a, b)

    async def outer(ctx: AsyncContext, a: int) -> list[int]:
        numbers = await ctx.gather(*[lambda c, b=b: inner(c, a, b) for b in range(3)])
        return [*numbers, await ctx.do(add, a, 0)]

    @colour()
    async def flow(ctx: AsyncContext) -> list[list[int]]:
        return await ctx.gather(*[lambda c, a=a: outer(c, a) for a in range(3)])

    execution = flow.start()
    assert workflows.result(execution) == [[0, 1, 2, 0], [10, 11, 12, 1], [20, 21, 22, 2]]
    assert "1.2.1.0.2" in {row.key for row in workflows.journal(execution)}


def test_no_branches_are_no_branches(workflows: Workflows, colour: Colour) -> None:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        return n

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.gather(), await ctx.map(abs, []), await ctx.map(child, []), await ctx.do(abs, -1)]

    assert workflows.result(flow.start()) == [[], [], [], 1]


def test_a_map_over_a_step_is_bounded(workflows: Workflows, colour: Colour) -> None:
    """concurrency: so many at once, the rest in turn."""
    waiting: list[int] = []

    def wait_for_help(n: int) -> int:
        if current_step().attempt == 1:
            waiting.append(n)
            raise RetryAfter(timedelta(hours=1))
        return n

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return await ctx.map(step(wait_for_help, retry=Retry(max_attempts=None)), range(6), concurrency=2)

    execution = flow.start()
    workflows.run_until_idle()
    assert sorted(waiting) == [0, 1]
    assert workflows.result(execution) == [0, 1, 2, 3, 4, 5]


def test_a_large_result_of_many_branches_is_as_large_as_its_parts(
    workflows: Workflows, colour: Colour, settings: Any
) -> None:
    """PAR-12: only what is stored as one value must fit."""
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10_000}

    def big(n: int) -> str:
        return str(n) * 7_000

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        parts = await ctx.map(big, range(4))
        return sum(map(len, parts))

    assert workflows.result(flow.start()) == 28_000


def test_the_limit_of_steps_counts_those_of_branches(workflows: Workflows, colour: Colour, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_STEPS": 5}

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.map(abs, range(10))

    with pytest.raises(ExecutionFailed, match=LimitExceeded.__name__):
        workflows.result(flow.start())


def test_a_branch_uses_its_own_context(workflows: Workflows) -> None:
    """The parent's belongs to the parent: mixing them is noticed, as places would depend on timing."""

    @workflow
    def flow(ctx: Context) -> None:
        ctx.gather(lambda c: ctx.do(abs, 1), lambda c: c.do(abs, 2))

    execution = flow.start()
    workflows.run_to_end()
    assert of(execution).status in {Status.FAILED, Status.COMPLETED}


def test_an_async_branch_of_a_def_workflow_is_an_error(workflows: Workflows) -> None:
    """Not a coroutine that nobody awaits."""

    @workflow
    def flow(ctx: Context) -> Any:
        async def branch(c: Any) -> int:
            return 1

        return ctx.gather(branch)

    with pytest.raises(ExecutionFailed, match="declare both alike"):
        workflows.result(flow.start())


def test_handles_of_children_are_branches(workflows: Workflows, colour: Colour) -> None:
    """Semantics 16."""

    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        await ctx.sleep(f"{n} hours")
        return n

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        handles: list[Any] = [await ctx.start("child", n) for n in (3, 1, 2)]
        winner = await ctx.race(*handles)
        return [winner.index, winner.value, await ctx.gather(handles[1], lambda c: c.do(abs, -4))]

    execution = flow.start()
    assert workflows.result(execution) == [1, 1, [1, 4]]
    workflows.run_to_end()
    assert Execution.objects.filter(parent=execution.id).count() == 3
