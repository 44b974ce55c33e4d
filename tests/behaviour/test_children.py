"""Child workflows: started once from their place in the code, awaited without holding anything."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    Context,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionTimedOut,
    workflow,
)
from django_workflows.authoring.registry import registry
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, Provider, double, of

pytestmark = pytest.mark.usefixtures("children")


def test_a_parent_gets_the_result_of_its_child(workflows: Workflows, colour: Colour) -> None:
    """CHD-01: the link is visible both ways, and the parent holds nothing while it waits."""

    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return 1 + await ctx.run("child", 3)

    execution = parent.start()
    workflows.run_until_idle()
    (row,) = workflows.journal(execution)
    assert row.words == ("child", "child", "scheduled", None)
    child = of(execution).children.get()
    assert of(execution).steps.get().child_id == child.id
    assert (child.parent_id, child.queue, of(execution).status) == (execution.id, "default", Status.WAITING)
    assert workflows.result(execution) == 7
    assert of(execution).children.count() == 1


def test_a_child_that_failed_raises_in_its_parent(workflows: Workflows, colour: Colour) -> None:
    """CHD-02: with the child's id and what went wrong, on every replay."""
    seen: list[tuple[str, str, str]] = []

    @colour()
    async def parent(ctx: AsyncContext) -> str:
        try:
            await ctx.run("failing", 7)
        except ExecutionFailed as error:
            seen.append((error.workflow, error.execution_id, error.error["message"]))
            await ctx.sleep("1 hour")
            return str(error.error["type"])
        return ""

    execution = parent.start()
    assert workflows.result(execution) == "LookupError"
    child = of(execution).children.get()
    assert set(seen) == {("failing", str(child.id), "no shelf 7")}
    assert len(seen) > 1


def test_a_child_that_failed_fails_a_parent_that_does_not_care(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.run("failing", 7)

    with pytest.raises(ExecutionFailed, match="no shelf 7"):
        workflows.result(parent.start())


def test_a_child_has_its_own_retries(workflows: Workflows, colour: Colour) -> None:
    """CHD-10: the third attempt's value; the parent sees one result."""
    provider = Provider(2)

    @colour()
    async def charging(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return await ctx.run("charging")

    execution = parent.start()
    assert workflows.result(execution) == "paid"
    workflows.assert_journal(execution, [("child", "charging", "succeeded", "paid")])


def test_a_handle_is_waited_for_later(workflows: Workflows, colour: Colour) -> None:
    """CHD-01: ctx.start goes on at once."""

    @colour()
    async def parent(ctx: AsyncContext) -> list[Any]:
        first = await ctx.start("child", 1)
        second = await ctx.start("child", 2)
        mine = await ctx.do(double, 5)
        return [await second.result(), await first.result(), mine, str(first.id) != str(second.id)]

    started = workflows.now()
    assert workflows.result(parent.start()) == [4, 2, 10, True]
    assert (workflows.now() - started).total_seconds() < 3700  # both slept at the same time


def test_a_child_that_nobody_waits_for_goes_on(workflows: Workflows, colour: Colour) -> None:
    """CHD-05: the parent's end is its own."""

    @colour()
    async def parent(ctx: AsyncContext) -> str:
        return str((await ctx.start("child", 3)).id)

    execution = parent.start()
    workflows.run_until_idle()
    child = Execution.objects.get(pk=execution.result(timeout=0))
    assert (of(execution).status, child.status) == (Status.COMPLETED, Status.WAITING)
    assert workflows.result(child) == 6


@pytest.mark.parametrize("end", ["fail", "time out"])
def test_a_parent_that_did_not_complete_leaves_its_children_alone(
    workflows: Workflows, colour: Colour, end: str
) -> None:
    """CHD-05: only a cancel takes them with it; its own time ends those as well that are to end with it."""

    @colour()
    async def lasting(ctx: AsyncContext) -> str:
        await ctx.wait_for_signal("go")
        return "gone"

    @colour()
    async def parent(ctx: AsyncContext) -> None:
        child = await ctx.start(lasting if end == "fail" else lasting.using(parent_close="abandon"))
        if end == "fail":
            raise ValueError("a mistake")
        await child.result()

    execution = (parent if end == "fail" else parent.using(timeout="1 day")).start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    child = Execution.objects.for_workflow("lasting").get()
    assert child.status == Status.WAITING
    child.signal("go")
    assert workflows.result(child) == "gone"


@pytest.mark.parametrize(
    ("end", "error"), [("cancel", ExecutionCancelled), ("time out", ExecutionTimedOut)], ids=["cancel", "time out"]
)
def test_a_parent_can_tell_how_its_child_ended(
    workflows: Workflows, colour: Colour, end: str, error: type[Exception]
) -> None:
    """CHD-09: distinct errors."""

    @colour(timeout="1 day")
    async def lasting(ctx: AsyncContext) -> None:
        await ctx.wait_for_signal("never")

    @colour()
    async def parent(ctx: AsyncContext) -> str:
        try:
            await ctx.run("lasting")
        except ExecutionFailed as failed:
            return type(failed).__name__
        return ""

    execution = parent.start()
    workflows.run_until_idle()
    if end == "cancel":
        of(execution).children.get().cancel("not needed")
    assert workflows.result(execution) == error.__name__


def test_a_child_in_another_place_of_the_queues(workflows: Workflows, colour: Colour) -> None:
    """Options of using() hold for children: queue, priority, delay, tags, timeout."""

    @colour(queue="slow", priority=3)
    async def placed(ctx: AsyncContext) -> str:
        return ctx.execution.queue

    @colour()
    async def parent(ctx: AsyncContext) -> list[str]:
        tagged = placed.using(queue="bulk", priority=9, tags={"tenant": "acme"}, delay="2 hours")
        return [await ctx.run(placed), await ctx.run(tagged)]

    execution = parent.start()
    assert workflows.result(execution) == ["slow", "bulk"]
    children = of(execution).children.order_by("priority")
    assert [(child.queue, child.priority, child.tags) for child in children] == [
        ("slow", 3, {}),
        ("bulk", 9, {"tenant": "acme"}),
    ]


def test_input_that_does_not_fit_the_child_fails_the_parent(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.run("child", "many")

    execution = parent.start()
    with pytest.raises(ExecutionFailed, match="InvalidInput: n:"):
        workflows.result(execution)
    assert not of(execution).children.exists()


def test_a_workflow_is_no_step(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.do(registry.workflow("child"), 1)

    with pytest.raises(ExecutionFailed, match="waits for it as a child"):
        workflows.result(parent.start())


def test_three_generations(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext, depth: int) -> int:
        return 1 + await ctx.run("parent", depth - 1) if depth else 0

    execution = parent.start(5)
    assert workflows.result(execution) == 5
    assert Execution.objects.for_workflow("parent").count() == 6


def test_a_replay_starts_no_second_child(workflows: Workflows, counter: Counter) -> None:
    """No child is started twice from one position."""

    @workflow
    def parent(ctx: Context) -> list[Any]:
        results = []
        for n in range(3):
            results.append(ctx.run("child", n))
            ctx.sleep("1 day")
            counter.count()
        return results

    execution = parent.start()
    assert workflows.result(execution) == [0, 2, 4]
    assert of(execution).children.count() == 3


def test_a_child_that_starts_itself_comes_to_an_end(workflows: Workflows, colour: Colour, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_DEPTH": 3}

    @colour()
    async def nesting(ctx: AsyncContext, level: int) -> Any:
        return await ctx.run(nesting, level + 1)

    execution = nesting.start(0)

    with pytest.raises(ExecutionFailed, match="MAX_DEPTH"):
        workflows.result(execution)
    assert Execution.objects.filter(workflow=nesting.name).count() == 4


def test_so_do_children_of_many_items(workflows: Workflows, colour: Colour, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_DEPTH": 2}

    @colour()
    async def spreading(ctx: AsyncContext, level: int) -> Any:
        return await ctx.map(spreading, [level + 1, level + 1])

    execution = spreading.start(0)

    with pytest.raises(ExecutionFailed, match="MAX_DEPTH"):
        workflows.result(execution)
    assert Execution.objects.filter(workflow=spreading.name).count() == 7


def test_children_as_deep_as_allowed_come_back(workflows: Workflows, colour: Colour, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_DEPTH": 3}

    @colour()
    async def counting(ctx: AsyncContext, level: int) -> int:
        return 1 + (await ctx.run(counting, level + 1)) if level < 3 else 0

    assert workflows.result(counting.start(0)) == 3
