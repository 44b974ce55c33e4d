"""The workflows that are measured: nothing but what is measured."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime
from typing import Any

from django_workflows import AsyncContext, Context, step, workflow


@step
def give_back(number: int) -> int:
    return number


@step
async def give_back_soon(number: int) -> int:
    return number


@step
def tell_time() -> float:
    return time.time()


@step
async def take(least: float, most: float) -> tuple[float, float]:
    """When it began and when it ended: it lasts between `least` and `most` seconds."""
    began = time.time()
    await asyncio.sleep(random.uniform(least, most))
    return began, time.time()


@workflow
def one_step(ctx: Context, number: int) -> int:
    return ctx.do(give_back, number)


@workflow
async def async_one_step(ctx: AsyncContext, number: int) -> int:
    return await ctx.do(give_back_soon, number)


@workflow
def sequence(ctx: Context, number: int) -> int:
    return sum(ctx.do(give_back, index) for index in range(number))


@workflow
async def async_sequence(ctx: AsyncContext, number: int) -> int:
    total = 0
    for index in range(number):
        total += await ctx.do(give_back_soon, index)
    return total


@workflow
def resumed(ctx: Context) -> float:
    """When it went on after the signal."""
    ctx.wait_for_signal("go")
    return ctx.do(tell_time)


@workflow
def late(ctx: Context, seconds: float) -> float:
    """By how many seconds a sleep was longer than it should have been."""
    began = ctx.do(tell_time)
    ctx.sleep(seconds)
    return ctx.do(tell_time) - began - seconds


@workflow
def child(ctx: Context, number: int) -> int:
    return number


@workflow
def fan_out(ctx: Context, children: int) -> int:
    return len(ctx.map(child, range(children)))


@workflow
def sleeper(ctx: Context, until: datetime) -> None:
    ctx.sleep_until(until)


@workflow
async def busy(ctx: AsyncContext, steps: int, least: float, most: float) -> int:
    for _ in range(steps):
        await ctx.do(take, least, most)
    return steps


@workflow
def on_event(ctx: Context, event: Any, number: int) -> int:
    return number
