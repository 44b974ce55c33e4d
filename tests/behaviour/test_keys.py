"""Keys: one unfinished execution for each, and idempotency keys that never free."""

from __future__ import annotations

import pytest

from django_workflows import (
    AsyncContext,
    KeyConflict,
)
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour


def test_one_key_makes_one_execution_at_a_time(workflows: Workflows, colour: Colour) -> None:
    """EXE-18: the second start gets the first execution; when that has finished, a new one."""

    @colour()
    async def keyed(ctx: AsyncContext, user: int) -> str | None:
        await ctx.sleep("1 hour")
        return ctx.execution.key

    first, second = keyed.using(key="u1").start(1), keyed.using(key="u1").start(1)
    other = keyed.using(key="u2").start(2)
    assert first.id == second.id != other.id
    assert workflows.result(first) == "u1"
    assert keyed.using(key="u1").start(1).id != first.id


def test_a_key_that_is_held_can_be_an_error(workflows: Workflows, colour: Colour) -> None:
    """EXE-18: on_conflict="error" names the holder."""

    @colour()
    async def keyed(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")

    holder = keyed.using(key="k").start()
    workflows.run_until_idle()
    with pytest.raises(KeyConflict, match=str(holder.id)):
        keyed.using(key="k", on_conflict="error").start()


def test_an_idempotency_key_never_frees(workflows: Workflows, colour: Colour) -> None:
    """EXE-04: starting again after the end gives the finished execution and its result."""
    calls: list[int] = []

    @colour()
    async def once(ctx: AsyncContext) -> int:
        calls.append(1)
        return len(calls)

    first = once.using(idempotency_key="order-7").start()
    workflows.run_until_idle()
    second = once.using(idempotency_key="order-7").start()
    assert second.id == first.id
    assert workflows.result(second) == 1


def test_the_same_key_in_two_workflows_means_two_executions(workflows: Workflows, colour: Colour) -> None:
    """EXE-05: a key belongs to one workflow."""

    @colour()
    async def invoices(ctx: AsyncContext) -> str:
        return "invoices"

    @colour()
    async def parcels(ctx: AsyncContext) -> str:
        return "parcels"

    first, second = invoices.using(key="7").start(), parcels.using(key="7").start()
    assert (workflows.result(first), workflows.result(second)) == ("invoices", "parcels")
