"""Starting, identity and results of executions."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    ExecutionFailed,
    ExecutionNotFound,
    InvalidInput,
    ResultTimeout,
    UnknownWorkflow,
    client,
    step,
)
from django_workflows.authoring.registry import registry
from django_workflows.models import Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, of

FALSY: list[Any] = [None, 0, "", [], {}, False]


@step
def add(a: int, b: int) -> int:
    return a + b


def test_an_execution_is_started_and_its_result_read(workflows: Workflows, colour: Colour) -> None:
    """EXE-01: result, status and ordered times."""

    @colour()
    async def total(ctx: AsyncContext, a: int, b: int) -> int:
        return await ctx.do(add, a, b)

    execution = of(total.start(2, 3))
    assert (execution.status, execution.started_at, execution.completed_at) == (Status.PENDING, None, None)

    assert workflows.result(execution) == 5
    execution = of(execution)
    assert execution.status == Status.COMPLETED
    assert execution.started_at is not None
    assert execution.completed_at is not None
    assert execution.created_at <= execution.started_at <= execution.completed_at
    assert (execution.wake_at, execution.reason) == (None, "")
    workflows.assert_journal(execution, [("step", "add", "succeeded", 5)])


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_a_falsy_result_is_a_result(workflows: Workflows, colour: Colour, value: Any) -> None:
    """EXE-10: None, 0, "", [], {} and False are remembered, not asked for again."""
    calls: list[Any] = []

    def give() -> Any:
        calls.append(value)
        return value

    @colour()
    async def giver(ctx: AsyncContext) -> Any:
        return [await ctx.do(give), await ctx.do(give), await ctx.do(give)]

    assert workflows.result(giver.start()) == [value, value, value]
    assert len(calls) == 3


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_an_execution_may_have_a_falsy_output(workflows: Workflows, colour: Colour, value: Any) -> None:
    """EXE-10: the same for the output of the whole."""

    @colour()
    async def giver(ctx: AsyncContext) -> Any:
        return value

    execution = giver.start()
    assert workflows.result(execution) == value
    assert of(execution).status == Status.COMPLETED


def test_code_that_is_not_here_is_waited_for(workflows: Workflows, colour: Colour) -> None:
    """EXE-08: an execution that nobody here knows is left alone, without an attempt, until the code comes."""

    @colour()
    async def rare(ctx: AsyncContext) -> str:
        return await ctx.do(str, 7)

    @colour()
    async def common(ctx: AsyncContext) -> str:
        return "common"

    unknown, known = rare.start(), common.start()
    code = registry._workflows.pop("rare")
    workflows.run_until_idle()
    assert known.result(timeout=0) == "common"
    execution = of(unknown)
    assert (execution.status, execution.claim, execution.crashes) == (Status.PENDING, 0, 0)
    registry._workflows["rare"] = code
    assert workflows.result(unknown) == "7"


@pytest.mark.django_db
@pytest.mark.parametrize("id", ["missing", "", "0" * 32, "../etc", "\x00"], ids=repr)
def test_nothing_is_found_under_an_unknown_id(id: str) -> None:
    """EXE-12: not found, at once, whatever the id looks like."""
    with pytest.raises(ExecutionNotFound):
        client.result(id, timeout=5)
    with pytest.raises(ExecutionNotFound):
        client.signal(id, "go")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["missing", "shop.missing"])
def test_an_unknown_workflow_cannot_be_started(name: str) -> None:
    with pytest.raises(UnknownWorkflow, match=name):
        client.start(name, order_id=1)
    assert not Execution.objects.exists()


def test_input_that_does_not_fit_names_the_parameter(workflows: Workflows, colour: Colour) -> None:
    """SER-13: refused before a row exists."""

    @colour()
    async def typed(ctx: AsyncContext, order_id: int, note: str = "") -> None: ...

    for args, kwargs, parameter in [
        ((), {}, "order_id"),
        (("x",), {}, "order_id"),
        ((1, 2), {}, "note"),
        ((1,), {"colour": "red"}, "colour"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            client.start("typed", *args, **kwargs)
        assert list(caught.value.errors) == [parameter]
    assert not Execution.objects.exists()


def test_a_workflow_knows_its_execution(workflows: Workflows, colour: Colour) -> None:
    @colour(version=3, queue="slow")
    async def curious(ctx: AsyncContext) -> list[Any]:
        info = ctx.execution
        return [str(info.id), info.workflow, info.version, info.generation, info.key, info.tags, info.queue]

    execution = curious.using(key="k", tags={"tenant": "acme"}).start()
    expected = [str(execution.id), "curious", 3, 0, "k", {"tenant": "acme"}, "slow"]
    assert workflows.result(execution) == expected


def test_a_result_that_is_not_there_yet_is_a_timeout_not_an_error(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def waits(ctx: AsyncContext) -> None:
        await ctx.wait_for_signal("never")

    execution = waits.start()
    workflows.run_until_idle()
    with pytest.raises(ResultTimeout, match="waiting"):
        execution.result(timeout=0)


def test_errors_of_the_workflows_own_code_are_not_retried(workflows: Workflows, colour: Colour) -> None:
    """Semantics 6: failed at once, with type, message and traceback."""
    calls: list[int] = []

    @colour()
    async def faulty(ctx: AsyncContext) -> None:
        await ctx.do(len, "abc")
        calls.append(1)
        raise LookupError("no such shelf")

    execution = faulty.start()
    with pytest.raises(ExecutionFailed, match="LookupError: no such shelf"):
        workflows.result(execution)
    error = of(execution).error
    assert (error["type"], error["message"], len(calls)) == ("LookupError", "no such shelf", 1)
    assert "raise LookupError" in error["traceback"]


def test_errors_of_the_workflows_own_code_can_pause(workflows: Workflows, colour: Colour) -> None:
    """Semantics 6: on_error="pause" waits for somebody to look."""

    @colour(on_error="pause")
    async def faulty(ctx: AsyncContext) -> None:
        raise LookupError("no such shelf")

    execution = faulty.start()
    workflows.run_to_end()
    assert of(execution).status == Status.PAUSED
    assert of(execution).reason == "LookupError: no such shelf"
    assert of(execution).wake_at is None


def test_a_single_step_is_an_execution_too(workflows: Workflows) -> None:
    execution = add.start(2, 3)
    assert workflows.result(execution) == 5
    assert of(execution).workflow == "add"
    workflows.assert_journal(execution, [("step", "add", "succeeded", 5)])


def test_what_a_workflow_publishes_is_stored_with_the_next_commit(workflows: Workflows, colour: Colour) -> None:
    """EVT-18: the latest value, before and after the end."""

    @colour()
    async def publishes(ctx: AsyncContext) -> None:
        ctx.state["progress"] = 1
        await ctx.do(add, 1, 1)
        ctx.state["progress"] = 2
        await ctx.sleep("1 hour")
        ctx.state["progress"] = 3

    execution = publishes.start()
    workflows.run_until_idle()
    assert of(execution).state == {"progress": 2}
    workflows.run_to_end()
    assert of(execution).state == {"progress": 3}


def test_a_context_cannot_be_handed_to_a_step(workflows: Workflows, colour: Colour) -> None:
    def take(ctx: Any) -> None:
        ctx.do(add, 1, 1)

    @colour()
    async def careless(ctx: AsyncContext) -> None:
        await ctx.do(step(take, retry=ONCE), ctx)

    with pytest.raises(ExecutionFailed, match="ContextMisuse"):
        workflows.result(careless.start())
    assert StepResult.objects.count() == 1


@pytest.mark.django_db
def test_a_workflow_function_is_still_a_function() -> None:
    @step
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8
    assert not Execution.objects.exists()
    assert not StepResult.objects.exists()
