"""What a body activates for itself ends with it: languages, time zones, precisions, context variables of any kind."""

from __future__ import annotations

import asyncio
import decimal
import zoneinfo
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone, translation

from django_workflows import AsyncContext, Break, Continue, StepFailed, step
from django_workflows.engine.worker.thread_pool import Pool
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def look() -> list[Any]:
    return [
        translation.get_language(),
        timezone.get_current_timezone_name(),
        decimal.getcontext().prec,
        tenant.get(),
    ]


async def look_async() -> list[Any]:
    await asyncio.sleep(0)
    return look()


def change() -> None:
    translation.activate("de")
    timezone.activate(zoneinfo.ZoneInfo("Asia/Tokyo"))
    decimal.getcontext().prec = 4
    tenant.set("somebody")


def change_and_fail() -> None:
    change()
    raise ValueError("no paper")


async def change_async() -> None:
    await asyncio.sleep(0)
    change()
    await asyncio.sleep(0)
    assert tenant.get() == "somebody"


async def change_async_and_fail() -> None:
    await change_async()
    raise ValueError("no paper")


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[list[Any]]:
    """What the test has, which must be what every body has, and what the test has in the end."""
    decimal.setcontext(decimal.Context())
    before = look()
    yield before
    assert look() == before


@pytest.fixture(params=[look, look_async], ids=["def step", "async step"])
def looking(request: pytest.FixtureRequest) -> Any:
    return step(request.param)


@pytest.mark.parametrize("body", [change, change_and_fail, change_async, change_async_and_fail])
def test_what_a_step_activates_ends_with_it(
    workflows: Workflows, colour: Colour, body: Any, looking: Any, surroundings: list[Any]
) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        with suppress(StepFailed):
            await ctx.do(step(body, retry=ONCE))
        return [await ctx.do(looking), look()]

    assert workflows.result(flow.start()) == [surroundings, surroundings]


@pytest.mark.parametrize("body", [change, change_and_fail])
def test_a_step_with_a_timeout_has_surroundings_of_its_own(
    workflows: Workflows, colour: Colour, body: Any, surroundings: list[Any]
) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        with suppress(StepFailed):
            await ctx.do(step(body, retry=ONCE, timeout=60))
        return await ctx.do(step(look, timeout=60))

    assert workflows.result(flow.start()) == surroundings


def test_an_atomic_step_has_surroundings_of_its_own(
    workflows: Workflows, colour: Colour, surroundings: list[Any]
) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        await ctx.do(step(change, atomic=True))
        return await ctx.do(step(look, atomic=True))

    assert workflows.result(flow.start()) == surroundings


def test_what_a_workflow_activates_is_not_there_for_the_next_execution(
    workflows: Workflows, colour: Colour, surroundings: list[Any]
) -> None:
    @colour(name="changing")
    async def changing(ctx: AsyncContext) -> None:
        change()
        await ctx.sleep("1 day")

    @colour(name="looking")
    async def flow(ctx: AsyncContext) -> list[Any]:
        return look()

    workflows.result(changing.start())
    assert workflows.result(flow.start()) == surroundings


def test_a_workflow_hands_its_surroundings_to_its_steps(workflows: Workflows, colour: Colour) -> None:
    """As a caller does to what it calls."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        tenant.set("workflow")
        decimal.getcontext().prec = 5
        await ctx.do(change)
        return [await ctx.do(lambda: tenant.get()), await ctx.do(lambda: decimal.getcontext().prec), tenant.get()]

    assert workflows.result(flow.start()) == ["workflow", 5, "workflow"]


def test_branches_do_not_see_what_others_activate(
    workflows: Workflows, colour: Colour, surroundings: list[Any]
) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        async def guilty(ctx: AsyncContext) -> str:
            change()
            return await ctx.do(lambda: tenant.get())

        async def innocent(ctx: AsyncContext) -> list[Any]:
            return await ctx.do(look)

        together = await ctx.gather(guilty, innocent)
        return [*together, look()]

    assert workflows.result(flow.start()) == ["somebody", surroundings, surroundings]


def test_an_iteration_does_not_see_what_the_one_before_activated(
    workflows: Workflows, colour: Colour, surroundings: list[Any]
) -> None:
    """A replay would not have run it."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        async def body(ctx: AsyncContext, number: int) -> Any:
            seen = look()
            change()
            await ctx.sleep("1 hour")
            return Break(seen) if number else Continue(1)

        return await ctx.loop(body, 0)  # type: ignore[no-any-return]  # a list

    assert workflows.result(flow.start()) == surroundings


def test_tasks_that_an_async_step_starts_see_what_it_has_set(workflows: Workflows) -> None:
    async def body() -> list[str]:
        tenant.set("step")

        async def task() -> str:
            await asyncio.sleep(0)
            return tenant.get()

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            one = group.create_task(task())
        return [one.result(), await asyncio.to_thread(tenant.get)]

    @Colour("async def")()
    async def flow(ctx: AsyncContext) -> list[str]:
        return await ctx.do(body)

    assert workflows.result(flow.start()) == ["step", "step"]


def test_a_cache_is_not_made_anew_for_each_call_of_a_thread() -> None:
    """Its client would connect anew."""
    pool, seen = Pool(1, "a-pool"), SimpleQueue[Any]()
    for _ in range(2):
        pool.submit(lambda: seen.put(caches["default"]))
    assert seen.get(timeout=60) is seen.get(timeout=60)


def test_what_a_call_of_a_thread_activates_ends_with_it(surroundings: list[Any]) -> None:
    """Also where receivers of the engine's signals are called."""
    pool, seen = Pool(1, "a-pool"), SimpleQueue[Any]()
    pool.submit(change)
    pool.submit(lambda: seen.put(look()))
    assert seen.get(timeout=60) == surroundings
