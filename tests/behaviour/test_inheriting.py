"""What children have of their parent: its tags, and no later deadline where they end with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_workflows import AsyncContext, step
from django_workflows.client import using
from django_workflows.definitions import save
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import of

ACME = {"tenant": "acme", "urgent": True}


@pytest.fixture
def child(colour: Colour) -> Any:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int = 0) -> dict[str, Any]:
        await ctx.wait_for_signal("go")
        return dict(ctx.execution.tags)

    return child


def children_of(execution: Any) -> list[Execution]:
    return list(of(execution).children.order_by("created_at", "priority"))


WAYS: dict[str, Any] = {
    "run": lambda ctx, child: ctx.run(child),
    "start": lambda ctx, child: ctx.start(child),
    "by name": lambda ctx, child: ctx.run("child"),
    "with a key": lambda ctx, child: ctx.run(child.using(key="k")),
    "map": lambda ctx, child: ctx.map(child, [1]),
    "a branch": lambda ctx, child: ctx.gather(lambda c: c.run(child)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_child_has_the_tags_and_the_deadline_of_its_parent(
    workflows: Workflows, colour: Colour, child: Any, way: Any
) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await way(ctx, child)
        await ctx.wait_for_signal("never")

    execution = parent.using(tags=ACME, timeout="2 hours").start()
    workflows.run_until_idle()

    (row,) = children_of(execution)
    assert row.tags == ACME
    parents = of(execution).deadline
    assert row.deadline is not None
    assert parents is not None
    assert abs(row.deadline - parents) < timedelta(seconds=1)


def test_grandchildren_inherit_as_well_and_see_it(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def lowest(ctx: AsyncContext) -> Any:
        return dict(ctx.execution.tags)

    @colour()
    async def middle(ctx: AsyncContext) -> Any:
        return await ctx.run(lowest)

    @colour()
    async def highest(ctx: AsyncContext) -> Any:
        return await ctx.run(middle)

    assert workflows.result(highest.using(tags=ACME).start()) == ACME


@pytest.mark.parametrize("key", [None, "k"])
def test_what_a_child_is_told_comes_first(workflows: Workflows, colour: Colour, child: Any, key: str | None) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.start(child.using(key=key, tags={"tenant": "other", "step": 2}, timeout="1 hour"))
        await ctx.wait_for_signal("never")

    execution = parent.using(tags=ACME, timeout="2 hours").start()
    workflows.run_until_idle()

    (row,) = children_of(execution)
    assert row.tags == {"tenant": "other", "urgent": True, "step": 2}
    assert row.deadline is not None
    assert timedelta(minutes=59) < row.deadline - row.created_at < timedelta(minutes=61)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_longer_timeout_ends_with_the_parent(
    workflows: Workflows, colour: Colour, child: Any, key: str | None
) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.start(child.using(key=key, timeout="3 days", delay="1 hour"))
        await ctx.wait_for_signal("never")

    execution = parent.using(timeout="2 hours").start()
    workflows.run_until_idle()

    (row,) = children_of(execution)
    assert row.deadline is not None
    assert timedelta(minutes=119) < row.deadline - row.created_at < timedelta(minutes=121)
    workflows.skip("3 hours")
    workflows.run_to_end()
    assert {of(execution).status, of(row).status} == {Status.FAILED}


@pytest.mark.parametrize("key", [None, "k"])
def test_a_child_that_outlives_its_parent_keeps_its_own_time(
    workflows: Workflows, colour: Colour, child: Any, key: str | None
) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.start(child.using(key=key, parent_close="abandon"))
        await ctx.wait_for_signal("never")

    execution = parent.using(tags=ACME, timeout="2 hours").start()
    workflows.run_until_idle()

    (row,) = children_of(execution)
    assert (row.deadline, row.tags) == (None, ACME)


def test_queue_and_priority_are_those_of_the_childs_own_workflow(
    workflows: Workflows, colour: Colour, child: Any
) -> None:
    @colour(queue="slow")
    async def parent(ctx: AsyncContext) -> None:
        await ctx.start(child)
        await ctx.wait_for_signal("never")

    execution = parent.using(priority=7).start()
    workflows.run_until_idle()
    (row,) = children_of(execution)
    assert (row.queue, row.priority) == ("default", 0)


def test_a_step_on_another_queue_has_the_tags_too(workflows: Workflows, colour: Colour) -> None:
    @step(name="twice", queue="bulk")
    def twice(n: int) -> int:
        return 2 * n

    @colour()
    async def parent(ctx: AsyncContext) -> int:
        return await ctx.do(twice, 2)

    execution = parent.using(tags=ACME).start()
    assert workflows.result(execution) == 4
    (row,) = children_of(execution)
    assert (row.queue, row.tags) == ("bulk", ACME)


def test_children_of_a_definition_inherit_alike(workflows: Workflows, child: Any) -> None:
    save({"name": "described", "steps": [{"id": "one", "workflow": "child"}]})
    execution = using("described", tags=ACME).start()
    workflows.run_until_idle()
    (row,) = children_of(execution)
    assert row.tags == ACME


BAD: dict[str, dict[str, Any]] = {
    "priority": {"priority": 99},
    "queue": {"queue": "a\0"},
    "tags": {"tags": {"a": [1]}},
    "timeout": {"timeout": "soon"},
    "ttl": {"ttl": -1},
    "start_at": {"start_at": "tomorrow"},
    "parent_close": {"parent_close": "kill"},
    "on_conflict": {"on_conflict": "fight"},
}


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("name", BAD)
def test_an_option_that_cannot_be_fails_the_parent_by_its_name(
    workflows: Workflows, colour: Colour, child: Any, name: str, key: str | None
) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> None:
        await ctx.run(child.using(key=key, **BAD[name]))

    execution = parent.start()
    workflows.run_until_idle()
    row = of(execution)
    assert row.status == Status.FAILED
    assert f"InvalidInput: {name}" in row.reason
    assert not children_of(execution)
