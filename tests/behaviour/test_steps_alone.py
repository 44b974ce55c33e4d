"""Steps that are executions of their own: on another queue, as a child, alone."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    DefinitionError,
    ExecutionFailed,
    Retry,
    StepFailed,
    step,
)
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, of


@step
def double(n: int) -> int:
    return 2 * n


def test_a_step_with_another_queue_is_a_child_of_one_step(workflows: Workflows, colour: Colour) -> None:
    """Only that queue's workers take it; the workflow sees a step's result."""

    @step(queue="gpu")
    def train(n: int) -> int:
        return n + 1

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do(train, 1) + await ctx.do(train, 5)

    execution = flow.start()
    assert workflows.result(execution) == 8
    children = of(execution).children.all()
    assert {(child.workflow, child.queue) for child in children} == {("train", "gpu")}
    workflows.assert_journal(execution, [("child", "train", "succeeded", 2), ("child", "train", "succeeded", 6)])


def test_a_step_with_the_workflows_own_queue_is_just_a_step(workflows: Workflows, colour: Colour) -> None:
    @step(queue="gpu")
    def train(n: int) -> int:
        return n + 1

    @colour(queue="gpu")
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do(train, 1)

    execution = flow.start()
    assert workflows.result(execution) == 2
    workflows.assert_journal(execution, [("step", "train", "succeeded", 2)])


def test_a_step_with_another_queue_fails_like_a_step(workflows: Workflows, colour: Colour) -> None:
    """The same code with and without `queue` sees the same error."""

    @step(queue="gpu", retry=ONCE)
    def train() -> None:
        raise MemoryError("too big")

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(train)
        except StepFailed as error:
            return error.type
        return ""

    assert workflows.result(flow.start()) == "MemoryError"


def test_a_label_of_a_step_with_another_queue_stays(workflows: Workflows, colour: Colour) -> None:
    @step(queue="gpu")
    def train(n: int) -> int:
        return n + 1

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do("Train the model", train, 1)

    execution = flow.start()
    assert workflows.result(execution) == 2
    workflows.assert_journal(execution, [("child", "Train the model", "succeeded", 2)])


def test_a_step_that_no_worker_would_find_is_no_child(workflows: Workflows, colour: Colour) -> None:
    """It would wait for ever."""

    def train() -> None: ...

    @colour()
    async def flow(ctx: AsyncContext, as_step: bool) -> None:
        hidden = step(train, queue="gpu")
        await (ctx.do(hidden) if as_step else ctx.run(hidden))

    for as_step in (True, False):
        with pytest.raises(ExecutionFailed, match="so no worker would find it"):
            workflows.result(flow.start(as_step))


def test_a_single_step_fails_with_its_own_error(workflows: Workflows) -> None:
    """Nobody wrote a workflow around it, so nobody gets to see one."""

    @step(retry=ONCE)
    def train() -> None:
        raise MemoryError("too big")

    execution = train.start()
    with pytest.raises(ExecutionFailed, match="MemoryError: too big"):
        workflows.result(execution)
    assert of(execution).error["attempts"] == 1


def test_a_step_alone_can_be_a_child(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> list[Any]:
        return [await ctx.run(double, 4), await ctx.run(double.using(queue="bulk", priority=3), 5)]

    execution = parent.start()
    assert workflows.result(execution) == [8, 10]
    assert sorted(of(execution).children.values_list("queue", flat=True)) == ["bulk", "default"]


@pytest.mark.parametrize("options", [{"retry": Retry(max_attempts=9)}, {"timeout": 5}, {"on_error": "continue"}])
def test_options_that_would_not_reach_its_workers_are_refused(
    workflows: Workflows, colour: Colour, options: dict[str, Any]
) -> None:
    """They know the step as it is registered: what is given in place would be ignored without a word."""

    @step(queue="gpu", retry=ONCE)
    def train(n: int) -> int:
        return n

    @colour()
    async def elsewhere(ctx: AsyncContext) -> int:
        return await ctx.do(train.using(**options), 1)

    @colour()
    async def as_a_child(ctx: AsyncContext) -> int:
        return await ctx.run(train.using(**options), 1)

    for flow in (elsewhere, as_a_child):
        with pytest.raises(ExecutionFailed, match=f"{next(iter(options))} given in place would be ignored"):
            workflows.result(flow.start())
    with pytest.raises(DefinitionError, match="would be ignored"):
        train.using(**options).start(1)
    assert workflows.result(train.using(queue="bulk").start(1)) == 1
