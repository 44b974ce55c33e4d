"""Cancelling: prompt, final, with all descendants; what commits later is refused."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionCancelled, Retry, TransitionError, step
from django_workflows.client import send_event
from django_workflows.models import Event, Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, Provider, of


def test_what_is_cancelled_before_it_starts_never_runs(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """CAN-01: with the time of its end and the reason."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        counter.count()

    execution = flow.start()
    of(execution).cancel("ordered twice", by="ada")
    workflows.run_to_end()
    row = of(execution)
    assert (row.status, row.reason, row.wake_at, len(counter)) == (Status.CANCELLED, "ordered twice", None, 0)
    assert row.completed_at is not None
    with pytest.raises(ExecutionCancelled, match="ordered twice"):
        execution.result(timeout=0)


def test_cancelling_a_sleeper_ends_it_at_once(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """CAN-02: ended at once; its timer has no later effect."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")
        await ctx.do(counter.count)

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).cancel()
    assert of(execution).status == Status.CANCELLED
    assert workflows.run_to_end() == 0
    assert len(counter) == 0
    assert not StepResult.objects.filter(execution=execution.id, completed_at=None).exists()


@pytest.mark.parametrize("wait", ["signal", "event", "child", "back-off"])
def test_cancelling_whatever_it_waits_for(workflows: Workflows, colour: Colour, wait: str) -> None:
    """CAN-02, CAN-10: nothing that arrives later changes it, and no further attempt is made."""
    provider = Provider(99)

    @colour(name="child")
    async def child(ctx: AsyncContext) -> None:
        await ctx.sleep("1 day")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        match wait:
            case "signal":
                await ctx.wait_for_signal("go")
            case "event":
                await ctx.wait_for_event("go")
            case "child":
                await ctx.run("child")
            case _:
                await ctx.do(step(provider.charge, retry=Retry(initial_interval=60)))

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).cancel()
    send_event("go")
    with pytest.raises(TransitionError):
        execution.signal("go")
    workflows.run_to_end()
    assert of(execution).status == Status.CANCELLED
    assert len(provider.attempts) == (wait == "back-off")
    assert {child.status for child in of(execution).children.all()} <= {Status.CANCELLED}


def test_cancelling_while_a_step_runs(workflows: Workflows, counter: Counter) -> None:
    """CAN-04: the late result is refused, no further step starts, the end is cancelled and not completed."""

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.do(cancel_me)
        await ctx.do(counter.count)
        return "completed"

    def cancel_me() -> str:
        of(execution).cancel("stop it")
        return "late"

    execution = flow.start()
    workflows.run_to_end()
    assert (of(execution).status, of(execution).reason, len(counter)) == (Status.CANCELLED, "stop it", 0)
    assert not StepResult.objects.filter(execution=execution.id, status="succeeded").exists()


def test_cancelling_after_the_last_step(workflows: Workflows) -> None:
    """CAN-05: before the completion is stored, the verb wins; one end, for good."""

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.do(abs, 1)
        of(execution).cancel()
        return "completed"

    execution = flow.start()
    workflows.run_to_end()
    row = of(execution)
    assert (row.status, row.output) == (Status.CANCELLED, None)
    with pytest.raises(TransitionError, match="cancelled"):
        row.cancel()


def test_cancelling_reaches_all_descendants(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """CAN-04, CHD-06: three levels, sleeping, waiting and not started; those that may outlive it do."""

    @colour(name="node")
    async def node(ctx: AsyncContext, depth: int) -> None:
        if depth:
            await ctx.start(tree.using(delay="1 day"), 0)
            await ctx.start(tree.using(parent_close="abandon"), 0)
            await ctx.run(tree, depth - 1)
        await ctx.sleep("1 hour")
        await ctx.do(counter.count)

    tree: Any = node
    root = tree.start(2)
    workflows.run_until_idle()
    assert Execution.objects.count() == 7
    of(root).cancel()
    workflows.run_to_end()
    abandoned = Execution.objects.filter(parent_close="abandon")
    assert {one.status for one in abandoned} == {Status.COMPLETED}
    assert {one.status for one in Execution.objects.filter(parent_close="cancel")} == {Status.CANCELLED}
    assert len(counter) == abandoned.count() == 2


def test_a_child_that_was_just_being_started_is_cancelled_too(workflows: Workflows) -> None:
    """CHD-06: started during the cancel; nothing is left running or queued."""

    @Colour("def")(name="child")
    async def child(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.start("child")
        await ctx.do(abs, 1)
        await ctx.start("child")
        of(execution).cancel()
        await ctx.do(abs, 2)
        await ctx.start("child")

    execution = flow.start()
    workflows.run_to_end()
    assert of(execution).status == Status.CANCELLED
    assert {one.status for one in of(execution).children.all()} == {Status.CANCELLED}
    assert not Execution.objects.unfinished().exists()


def test_cancelling_frees_the_key(workflows: Workflows, colour: Colour) -> None:
    """CAN-12: the next one may start."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep("1 hour")
        return "done"

    first = flow.using(key="k").start()
    workflows.run_until_idle()
    of(first).cancel()
    second = flow.using(key="k").start()
    assert second.id != first.id
    assert workflows.result(second) == "done"


def test_a_new_start_may_replace_the_old_one(workflows: Workflows, colour: Colour) -> None:
    """EXE-18: on_conflict="cancel"."""

    @colour()
    async def flow(ctx: AsyncContext, n: int) -> int:
        await ctx.sleep("1 hour")
        return n

    first = flow.using(key="k").start(1)
    workflows.run_until_idle()
    second = flow.using(key="k", on_conflict="cancel").start(2)
    assert workflows.result(second) == 2
    assert of(first).status == Status.CANCELLED
    assert str(second.id) in of(first).reason


def test_a_workflow_ends_itself(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """ctx.cancel: with its reason, through any `except Exception`; its children go with it."""

    @colour(name="child")
    async def child(ctx: AsyncContext) -> None:
        await ctx.sleep("1 day")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.start("child")
        await ctx.do(counter.count)
        try:
            await ctx.cancel("out of stock")
        except Exception:
            counter.count("caught")
        await ctx.do(counter.count)

    execution = flow.start()
    with pytest.raises(ExecutionCancelled, match="out of stock"):
        workflows.result(execution)
    assert counter.calls == [None]
    assert {one.status for one in of(execution).children.all()} == {Status.CANCELLED}


def test_who_cancelled_it_and_why_is_in_its_history(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).cancel("ordered twice", by="ada")
    event = Event.objects.get(execution=execution.id, type="operator")
    assert (event.name, event.data["by"], event.data["reason"]) == ("cancel", "ada", "ordered twice")


def test_cancel_typed_as_sql_is_carried_out(workflows: Workflows, colour: Colour) -> None:
    """Operating by plain SQL: `requested` is all it takes."""

    @colour(name="child")
    async def child(ctx: AsyncContext) -> None:
        await ctx.sleep("1 day")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.run("child")

    execution = flow.start()
    workflows.run_until_idle()
    Execution.objects.filter(pk=execution.id).update(requested="cancel")
    workflows.run_until_idle()
    assert set(Execution.objects.values_list("status", "requested")) == {(Status.CANCELLED, "")}
