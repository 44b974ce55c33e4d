"""What asyncio itself offers, in an async workflow: tasks have places of their own, results keep their order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed, step, workflow
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.common import ONCE, Counter, Provider, of


async def echo(value: Any, pause: float = 0) -> Any:
    await asyncio.sleep(pause)
    return value


async def twice(ctx: AsyncContext, value: int) -> list[int]:
    first = await ctx.do(echo, value)
    await ctx.sleep("1 minute")
    return [first, await ctx.do(echo, 10 * value)]


def test_gather_of_steps(workflows: Workflows) -> None:
    """PAR-01: results in the order of the calls."""

    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        return await asyncio.gather(*[ctx.do(echo, n, 0.005 * (5 - n)) for n in range(5)])

    assert workflows.result(flow.start()) == [0, 1, 2, 3, 4]


def test_gather_of_longer_coroutines(workflows: Workflows) -> None:
    """Semantics 1: each in a task of its own, so neither timing nor replay can swap results."""

    @workflow
    async def flow(ctx: AsyncContext) -> list[Any]:
        return await asyncio.gather(*[twice(ctx, n) for n in range(4)])

    execution = flow.start()
    assert workflows.result(execution) == [[n, 10 * n] for n in range(4)]
    assert {row.key for row in workflows.journal(execution)} == {f"~{n}.{m}" for n in range(1, 5) for m in (1, 2, 3)}


def test_gather_in_gather(workflows: Workflows) -> None:
    """PAR-09: nested tasks."""

    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        async def group(n: int) -> Any:
            return await asyncio.gather(twice(ctx, n), twice(ctx, n + 1), ctx.do(echo, "x"))

        return await asyncio.gather(group(1), group(5))

    assert workflows.result(flow.start()) == [
        [[1, 10], [2, 20], "x"],
        [[5, 50], [6, 60], "x"],
    ]


def test_a_task_group(workflows: Workflows) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(twice(ctx, n)) for n in range(3)]
        return [task.result() for task in tasks]

    assert workflows.result(flow.start()) == [[0, 0], [1, 10], [2, 20]]


def test_a_task_group_ends_with_the_first_error(workflows: Workflows, counter: Counter) -> None:
    """PAR-04: what asyncio cancels starts no further step; a replay fails in the same way."""

    async def fail(ctx: AsyncContext) -> None:
        await ctx.do(step(Provider(9).charge, retry=ONCE))

    async def work(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")
        await ctx.do(counter.count)

    @workflow
    async def flow(ctx: AsyncContext) -> str:
        names: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(ctx))
                group.create_task(fail(ctx))
        except ExceptionGroup as errors:
            names = [type(error).__name__ for error in errors.exceptions]
        await ctx.sleep("1 day")
        return f"{names} {len(counter)}"

    assert workflows.result(flow.start()) == "['StepFailed'] 0"


def test_wait_for_the_first(workflows: Workflows) -> None:
    """asyncio.wait: the one that was recorded first is the first on every replay."""

    @workflow
    async def flow(ctx: AsyncContext) -> list[Any]:
        async def after(minutes: int) -> int:
            await ctx.sleep(f"{minutes} minutes")
            return await ctx.do(echo, minutes)

        tasks = [asyncio.create_task(after(minutes)) for minutes in (30, 10, 20)]
        order = []
        for next_one in asyncio.as_completed(tasks):
            order.append(await next_one)
            await ctx.do(echo, "between")
        return order

    assert workflows.result(flow.start()) == [10, 20, 30]


def test_wait_and_cancel_the_others(workflows: Workflows, counter: Counter) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> list[Any]:
        async def after(minutes: int) -> int:
            await ctx.sleep(f"{minutes} minutes")
            await ctx.do(counter.count, minutes)
            return minutes

        tasks = [asyncio.create_task(after(minutes)) for minutes in (30, 10)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await ctx.sleep("1 day")
        return [task.result() for task in done]

    execution = flow.start()
    assert workflows.result(execution) == [10]
    assert counter.calls == [10]
    assert of(execution).status == Status.COMPLETED


def test_a_timeout_of_asyncio_ends_a_durable_wait(workflows: Workflows) -> None:
    """Durable waits have `timeout=`; asyncio.timeout counts only while the execution is in memory."""

    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        winner = await ctx.race(ctx.wait_for_signal("never"), ctx.sleep("1 hour"))
        return winner.index

    assert workflows.result(flow.start()) == 1


def test_awaitables_are_branches(workflows: Workflows) -> None:
    """Semantics 16: coroutines, calls and functions side by side, in gather and in race."""

    @workflow
    async def flow(ctx: AsyncContext) -> list[Any]:
        gathered = await ctx.gather(twice(ctx, 1), ctx.do(echo, 2), lambda c: twice(c, 3))
        winner = await ctx.race(ctx.sleep("1 hour"), twice(ctx, 4), ctx.wait_for_signal("never"))
        return [*gathered, winner.index, winner.value]

    assert workflows.result(flow.start()) == [[1, 10], 2, [3, 30], 1, [4, 40]]


def test_steps_of_both_kinds_run_in_both_colours(workflows: Workflows) -> None:
    def plain(n: int) -> int:
        return n + 1

    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        return await asyncio.gather(ctx.do(plain, 1), ctx.do(echo, 2), ctx.do(plain, 3))

    assert workflows.result(flow.start()) == [2, 2, 4]


def test_a_call_that_nobody_awaits_does_nothing(workflows: Workflows) -> None:
    """Its place is taken, so a replay agrees; the warning is Python's own."""

    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        forgotten: Any = ctx.do(echo, 1)
        result = await ctx.do(echo, 2)
        forgotten.close()
        return result

    execution = flow.start()
    assert workflows.result(execution) == 2
    assert [row.key for row in workflows.journal(execution)] == ["2"]


def test_a_task_that_outlives_its_workflow_is_ended(workflows: Workflows, counter: Counter) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> str:
        async def straggler() -> None:
            await ctx.sleep("1 hour")
            await ctx.do(counter.count)

        tasks.append(asyncio.create_task(straggler()))
        await ctx.do(echo, 1)
        return "done"

    tasks: list[asyncio.Task[None]] = []
    execution = flow.start()
    workflows.run_to_end()
    assert of(execution).status in {Status.COMPLETED, Status.WAITING}
    assert execution.result(timeout=0) == "done"
    assert len(counter) == 0


def test_waiting_for_what_is_not_the_contexts_fails_clearly(workflows: Workflows) -> None:
    """An await that only memory remembers would be lost with the first eviction: the execution goes on without harm."""

    @workflow
    async def flow(ctx: AsyncContext) -> str:
        await asyncio.sleep(0.01)
        await ctx.sleep("1 hour")
        await asyncio.sleep(0.01)
        return "done"

    assert workflows.result(flow.start()) == "done"


def test_cancelling_oneself_is_a_failure(workflows: Workflows) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(echo, 1)
        raise asyncio.CancelledError("by mistake")

    with pytest.raises(ExecutionFailed, match="CancelledError"):
        workflows.result(flow.start())
