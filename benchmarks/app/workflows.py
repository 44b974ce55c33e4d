"""The workflows that are measured: nothing but steps."""

from __future__ import annotations

from django_workflows import AsyncContext, Context, step, workflow


@step
def give_back(number: int) -> int:
    return number


@step
async def give_back_soon(number: int) -> int:
    return number


@workflow
def one_step(ctx: Context, number: int) -> int:
    return ctx.do(give_back, number)


@workflow
def sequence(ctx: Context, number: int) -> int:
    return sum(ctx.do(give_back, index) for index in range(number))


@workflow
async def async_sequence(ctx: AsyncContext, number: int) -> int:
    total = 0
    for index in range(number):
        total += await ctx.do(give_back_soon, index)
    return total
