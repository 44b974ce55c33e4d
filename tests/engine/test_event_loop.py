"""Turns of `async def` workflows: none may hang, be forgotten, or stay in memory when it is over."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from django_workflows.authoring.context import AsyncContext
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.runners.event_loop import LoopRunner
from django_workflows.engine.runners.task_scopes import task_factory
from django_workflows.engine.turn.effects import Outcome
from django_workflows.engine.turn.turn import Turn
from tests.engine.test_branch_threads import PATIENCE, StoresAtOnce
from tests.engine.test_turn import NOW, _claimed


class Here:
    """Everything in the loop's thread: nothing here touches the database."""

    async def call_in_thread(self, fn: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        return fn()

    async def run_apart(self, fn: Callable[[], None]) -> None:
        fn()

    async def tend(self, body: Callable[[], Awaitable[Outcome]]) -> Outcome:
        return await body()

    async def flush(self, turn: Turn) -> None:
        StoresAtOnce().flush(turn)


def _runner(fn: Callable[[AsyncContext], Awaitable[Any]]) -> LoopRunner:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(fn, {"name": "w"})
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    return LoopRunner(
        Loaded(claimed=_claimed()),
        definition,
        clock=DatabaseClock(NOW, monotonic()),
        committer=StoresAtOnce(),
        alias="default",
        host=Here(),
        loop=loop,
    )


def _run(fn: Callable[[AsyncContext], Awaitable[Any]]) -> Ending | None:
    async def main() -> Ending | None:
        return await asyncio.wait_for(_runner(fn).run(), PATIENCE)

    return asyncio.run(main())


def test_a_workflow_that_awaits_a_task_which_it_has_cancelled_fails_instead_of_hanging() -> None:
    async def flow(ctx: AsyncContext) -> None:
        task = asyncio.ensure_future(ctx.sleep("1 hour"))
        await asyncio.sleep(0)
        task.cancel()
        await task

    ending = _run(flow)
    assert ending is not None
    assert ending.end is End.FAIL
    assert "CancelledError" in ending.reason


def test_a_timer_that_rings_early_is_set_again_while_something_else_goes_on() -> None:
    async def main() -> Ending | None:
        done = asyncio.Event()

        async def body() -> None:
            await asyncio.wait_for(done.wait(), PATIENCE)

        async def flow(ctx: AsyncContext) -> None:
            async def timer(inner: AsyncContext) -> None:
                await inner.sleep(timedelta(seconds=0.05))
                done.set()

            await ctx.gather(timer, lambda inner: inner.do("body", body))

        runner = _runner(flow)
        running = asyncio.ensure_future(runner.run())
        await asyncio.sleep(0.02)
        runner.turn.clock.sync(NOW, monotonic())  # the clock is read anew: what was estimated before was 20 ms ahead
        return await asyncio.wait_for(running, PATIENCE)

    ending = asyncio.run(main())
    assert ending is not None
    assert ending.end is End.COMPLETE


def test_a_parked_turn_is_not_kept_in_memory_by_its_timers() -> None:
    async def main() -> weakref.ref[LoopRunner]:
        async def flow(ctx: AsyncContext) -> None:
            await ctx.sleep("2 days")

        runner = _runner(flow)
        ending = await runner.run()
        assert ending is not None
        assert ending.end is End.SUSPEND
        timer = runner._tasks.timer
        assert timer is not None
        assert timer.cancelled()
        return weakref.ref(runner)

    runner = asyncio.run(main())
    gc.collect()
    assert runner() is None
