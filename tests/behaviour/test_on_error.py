"""What happens when the attempts of a step are used up: fail, continue, retry, pause."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    ExecutionFailed,
    NonRetryable,
    Retry,
    StepFailed,
    step,
)
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Provider, of


def test_a_step_may_go_on_failing(workflows: Workflows, colour: Colour) -> None:
    """Semantics 5: on_error="continue" returns None and marks the step skipped, with the error kept."""

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return [await ctx.do(step(Provider(99).charge, on_error="continue")), await ctx.do(abs, -1)]

    execution = flow.start()
    assert workflows.result(execution) == [None, 1]
    rows = workflows.journal(execution)
    assert [(row.name, row.status) for row in rows] == [("charge", "skipped"), ("abs", "succeeded")]
    assert rows[0].error["message"] == "down"


def test_a_step_may_never_give_up(workflows: Workflows, colour: Colour) -> None:
    """Semantics 5: on_error="retry" goes on at max_interval when the attempts are used up."""
    provider = Provider(6)
    policy = Retry(max_attempts=2, initial_interval=1, max_interval="1 hour", jitter=0)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(step(provider.charge, retry=policy, on_error="retry"))

    started = workflows.now()
    assert workflows.result(flow.start()) == "paid"
    assert len(provider.attempts) == 7
    assert (workflows.now() - started).total_seconds() == pytest.approx(1 + 5 * 3600, abs=60)


def test_what_must_not_be_retried_fails_even_a_step_that_never_gives_up(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(99, NonRetryable("stolen"))

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(provider.charge, on_error="retry"))

    with pytest.raises(ExecutionFailed, match="stolen"):
        workflows.result(flow.start())
    assert provider.attempts == [1]


def test_a_step_may_wait_for_an_operator(workflows: Workflows, colour: Colour) -> None:
    """Semantics 5, RTY-12: on_error="pause"; after resume all attempts are granted again."""
    provider = Provider(3)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(step(provider.charge, retry=Retry(max_attempts=2), on_error="pause"))

    execution = flow.start()
    workflows.run_to_end()
    paused = of(execution)
    assert (paused.status, paused.wake_at, provider.attempts) == (Status.PAUSED, None, [1, 2])
    assert paused.reason == "Step 'charge' failed: ConnectionError: down"
    paused.resume()
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2, 3, 4]


def test_the_workflows_policy_is_the_default_of_its_steps(workflows: Workflows, colour: Colour) -> None:
    """Semantics 5: a step's own option wins."""
    provider, own = Provider(99), Provider(99)

    @colour(on_error="continue", retry=ONCE)
    async def flow(ctx: AsyncContext) -> list[Any]:
        first = await ctx.do(provider.charge)
        try:
            await ctx.do(step(own.charge, on_error="fail", retry=Retry(max_attempts=2)))
        except StepFailed as error:
            return [first, error.attempts]
        return []

    assert workflows.result(flow.start()) == [None, 2]
    assert (len(provider.attempts), len(own.attempts)) == (1, 2)


def test_the_projects_policy_is_a_setting(workflows: Workflows, colour: Colour, settings: Any) -> None:
    settings.WORKFLOWS = {"DEFAULT_RETRY": {"max_attempts": 5}}
    provider = Provider(99)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(provider.charge)

    with pytest.raises(ExecutionFailed):
        workflows.result(flow.start())
    assert len(provider.attempts) == 5
