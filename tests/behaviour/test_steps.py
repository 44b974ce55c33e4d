"""Steps: run once, remembered, told apart by their place in the code."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    Context,
    ExecutionFailed,
    NonRetryable,
    Retry,
    StepFailed,
    current_step,
    step,
    workflow,
)
from django_workflows.inspection import timeline
from django_workflows.models import Execution, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter


def test_completed_steps_are_not_run_again(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-01: three steps, three effects, however often the execution is replayed."""

    @colour()
    async def three(ctx: AsyncContext) -> list[int]:
        results = []
        for name in "abc":
            results.append(await ctx.do(counter.count, name))
            await ctx.sleep("1 day")
        return results

    assert workflows.result(three.start()) == [1, 2, 3]
    assert counter.calls == ["a", "b", "c"]


def test_a_step_in_a_loop_is_told_apart_by_its_position(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-04: call n gets result n."""

    def square(n: int) -> int:
        counter.count(n)
        return n * n

    @colour()
    async def squares(ctx: AsyncContext) -> list[int]:
        return [await ctx.do("work", square, n) for n in range(5)]

    execution = squares.start()
    assert workflows.result(execution) == [0, 1, 4, 9, 16]
    assert counter.calls == [0, 1, 2, 3, 4]
    workflows.assert_journal(execution, [("step", "work", "succeeded", n * n) for n in range(5)])


def test_a_worker_that_dies_between_effect_and_commit(workflows: Workflows, counter: Counter) -> None:
    """STP-02: the body runs again with the same idempotency key; one result, and the lost attempt is visible."""
    keys: list[str] = []

    @step
    def charge(order: int) -> str:
        keys.append(current_step().idempotency_key)
        if counter.count(current_step().attempt) == 1:
            raise SystemExit("killed")
        return "paid"

    @workflow
    def order(ctx: Context, number: int) -> str:
        return ctx.do(charge, number)

    execution = order.start(7)
    with pytest.raises(SystemExit):
        workflows.run_until_idle()
    assert not StepResult.objects.exists()
    assert workflows.run_until_idle() == 0  # its lease lasts
    assert workflows.result(execution) == "paid"
    assert (len(set(keys)), counter.calls) == (1, [1, 2])
    (row,) = workflows.journal(execution)
    assert (row.status, row.attempts) == ("succeeded", 2)
    assert StepResult.objects.get(execution=execution.id).lost == 1
    assert "Step charge: attempt 1 was lost with its worker" in [item.title for item in timeline(execution.id)]


def test_a_lost_attempt_uses_up_none_of_the_policy(workflows: Workflows, counter: Counter) -> None:
    """Semantics 4: max_attempts=1 forbids another try after an error, not after a lost worker."""

    @step(retry=ONCE)
    def fragile() -> str:
        if counter.count() == 1:
            raise SystemExit
        return "ok"

    @workflow
    def flow(ctx: Context) -> str:
        return ctx.do(fragile)

    execution = flow.start()
    with pytest.raises(SystemExit):
        workflows.run_until_idle()
    assert workflows.result(execution) == "ok"


def test_a_step_that_calls_a_step_is_one_step(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-09: inside a body a step is a plain function; positions do not shift."""

    @step
    def inner(n: int) -> int:
        counter.count(n)
        return n + 1

    @step
    def outer(n: int) -> int:
        return inner(n) + inner(n + 10)

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return [await ctx.do(outer, 1), await ctx.do(inner, 5)]

    execution = flow.start()
    assert workflows.result(execution) == [14, 6]
    workflows.assert_journal(execution, [("step", "outer", "succeeded", 14), ("step", "inner", "succeeded", 6)])
    assert [row.key for row in workflows.journal(execution)] == ["1", "2"]


@pytest.mark.django_db
def test_a_step_outside_an_execution_is_a_function() -> None:
    """STP-10: nothing is stored, and current_step() says that there is none."""

    @step
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8
    assert not StepResult.objects.exists()
    assert not Execution.objects.exists()
    with pytest.raises(Exception, match="plain call"):
        current_step()


def test_the_time_a_uuid_and_a_random_number_are_remembered(workflows: Workflows, colour: Colour) -> None:
    """STP-12: a replay an hour later sees the same; another execution others."""
    seen: list[tuple[Any, ...]] = []

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        values = await ctx.now(), await ctx.uuid(), await ctx.random()
        seen.append(values)
        await ctx.sleep("1 hour")

    first = flow.start()
    workflows.result(first)
    assert len(seen) > 1
    assert len(set(seen)) == 1
    assert [type(value).__name__ for value in seen[0]] == ["datetime", "UUID", "float"]
    seen.clear()
    second = flow.start()
    workflows.result(second)
    assert workflows.journal(first)[1].output != workflows.journal(second)[1].output


def test_a_failed_step_stays_failed(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-13: after its last attempt it is not tried again; a replay raises the same at the same place."""
    seen: list[tuple[str, str, int]] = []

    def fail() -> None:
        counter.count()
        raise ConnectionError("provider down")

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(step(fail, retry=Retry(max_attempts=3)))
        except StepFailed as error:
            seen.append((error.type, error.message, error.attempts))
        await ctx.sleep("1 day")
        return "went on"

    assert workflows.result(flow.start()) == "went on"
    assert len(counter.calls) == 3
    assert len(seen) > 1
    assert set(seen) == {("ConnectionError", "provider down", 3)}


def test_a_caught_failure_does_not_fail_the_workflow(workflows: Workflows, colour: Colour) -> None:
    """STP-14: the failed step stays visible."""

    def fail() -> None:
        raise NonRetryable("card stolen")

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(fail)
        except StepFailed:
            return "fallback"
        return "paid"

    execution = flow.start()
    assert workflows.result(execution) == "fallback"
    workflows.assert_journal(execution, [("step", "fail", "failed")])


def test_the_original_exception_is_the_cause_on_the_turn_that_ran_the_step(workflows: Workflows) -> None:
    """Semantics 5: on a replay there is none, the words stay."""
    causes: list[Any] = []

    def fail() -> None:
        raise NonRetryable("no")

    @workflow
    def flow(ctx: Context) -> None:
        try:
            ctx.do(fail)
        except StepFailed as error:
            causes.append((type(error.__cause__), error.message, "raise NonRetryable" in error.traceback))
        ctx.sleep("1 day")

    workflows.result(flow.start())
    assert causes[0] == (NonRetryable, "no", True)
    assert causes[-1] == (type(None), "no", True)


def test_the_number_of_steps_is_limited(workflows: Workflows, colour: Colour, settings: Any) -> None:
    """STP-17: 20 are fine, 21 fail once with the name of the limit."""
    settings.WORKFLOWS = {"MAX_STEPS": 20}

    @colour()
    async def many(ctx: AsyncContext, count: int) -> int:
        for n in range(count):
            await ctx.do(abs, n)
        return count

    assert workflows.result(many.start(20)) == 20
    execution = many.start(21)
    with pytest.raises(ExecutionFailed, match="MAX_STEPS"):
        workflows.result(execution)
    assert len(workflows.journal(execution)) == 20


def test_a_limit_is_no_business_of_an_error_policy(workflows: Workflows, colour: Colour, settings: Any) -> None:
    """STP-17: not even on_error="pause" keeps an execution that can never finish."""
    settings.WORKFLOWS = {"MAX_STEPS": 2}

    @colour(on_error="pause")
    async def many(ctx: AsyncContext) -> None:
        for n in range(3):
            await ctx.do(abs, n)

    execution = many.start()
    with pytest.raises(ExecutionFailed, match="MAX_STEPS"):
        workflows.result(execution)


def test_recorded_times_do_not_change(workflows: Workflows, colour: Colour) -> None:
    """STP-18: what is over keeps its times through every replay."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(abs, 1)
        await ctx.sleep("1 hour")
        await ctx.do(abs, 2)

    execution = flow.start()
    workflows.run_until_idle()
    before = workflows.journal(execution)[0]
    workflows.run_to_end()
    assert workflows.journal(execution)[0] == before


def test_changing_a_result_does_not_change_what_is_stored(workflows: Workflows, colour: Colour) -> None:
    """STP-20: every replay starts from what the step returned."""
    seen: list[list[int]] = []

    def give() -> list[int]:
        return [1, 2]

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        numbers = await ctx.do(give)
        seen.append(list(numbers))
        numbers.append(3)
        await ctx.sleep("1 hour")

    execution = flow.start()
    workflows.result(execution)
    assert len(seen) > 1
    assert all(numbers == [1, 2] for numbers in seen)
    assert workflows.journal(execution)[0].output == [1, 2]


def test_a_workflow_may_change_what_it_gave_to_a_step(workflows: Workflows, colour: Colour) -> None:
    """What the body returned is stored as it was then."""

    def same(numbers: list[int]) -> list[int]:
        return numbers

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        numbers = [1]
        result = await ctx.do(same, numbers)
        numbers.append(2)
        await ctx.sleep("1 hour")
        return result

    assert workflows.result(flow.start()) == [1]
