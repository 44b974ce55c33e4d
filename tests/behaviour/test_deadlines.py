"""When an execution may begin, and when it must have begun or ended."""

from __future__ import annotations

import pytest

from django_workflows import (
    AsyncContext,
    ExecutionCancelled,
    ExecutionTimedOut,
)
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import of


def test_a_delayed_start_is_not_before_its_time(workflows: Workflows, colour: Colour) -> None:
    """EXE-09: pending until due, and listed so."""

    @colour()
    async def late(ctx: AsyncContext) -> str:
        return "done"

    execution = late.using(delay="1 hour").start()
    assert workflows.run_until_idle() == 0
    workflows.skip("59 minutes")
    assert workflows.run_until_idle() == 0
    assert of(execution).status == Status.PENDING
    workflows.skip("2 minutes")
    assert workflows.run_until_idle() == 1
    assert execution.result(timeout=0) == "done"


def test_an_execution_that_was_not_started_in_time_expires(workflows: Workflows, colour: Colour) -> None:
    """EXE-16: with a ttl, the body never runs after it; the reason says so."""
    calls: list[int] = []

    @colour()
    async def hurried(ctx: AsyncContext) -> None:
        calls.append(1)

    execution = hurried.using(ttl="1 second").start()
    workflows.skip("3 seconds")
    workflows.run_until_idle()
    assert (of(execution).status, of(execution).reason, calls) == (Status.CANCELLED, "expired", [])
    with pytest.raises(ExecutionCancelled, match="expired"):
        execution.result(timeout=0)


def test_an_execution_that_was_started_in_time_does_not_expire(workflows: Workflows, colour: Colour) -> None:
    """EXE-16: the ttl is about the start alone."""

    @colour()
    async def patient(ctx: AsyncContext) -> str:
        await ctx.sleep("1 day")
        return "done"

    assert workflows.result(patient.using(ttl="1 hour").start()) == "done"


def test_an_execution_past_its_timeout_fails(workflows: Workflows, colour: Colour) -> None:
    """A workflow's timeout ends it as failed, in the middle of a longer wait."""

    @colour(timeout="1 hour")
    async def slow(ctx: AsyncContext) -> str:
        await ctx.sleep("30 days")
        return "done"

    execution = slow.start()
    workflows.run_to_end()
    assert of(execution).status == Status.FAILED
    workflows_time = of(execution).completed_at
    assert workflows_time is not None
    assert (workflows_time - of(execution).created_at).total_seconds() < 3700
    with pytest.raises(ExecutionTimedOut):
        execution.result(timeout=0)


def test_a_timeout_given_at_the_start_wins(workflows: Workflows, colour: Colour) -> None:
    @colour(timeout="1 hour")
    async def slow(ctx: AsyncContext) -> str:
        await ctx.sleep("1 day")
        return "done"

    assert workflows.result(slow.using(timeout="2 days").start()) == "done"
