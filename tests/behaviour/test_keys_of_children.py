"""Children with a key: one for all who ask for it, and found again."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    ExecutionFailed,
)
from django_workflows.authoring.registry import registry
from django_workflows.models import Execution
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import of

pytestmark = pytest.mark.usefixtures("children")


def test_children_with_one_key_are_one_child(workflows: Workflows, colour: Colour) -> None:
    """CHD-14: while it is unfinished, both calls get the same child and the same result."""

    @colour()
    async def parent(ctx: AsyncContext) -> list[Any]:
        keyed = registry.workflow("child").using(key="k")
        first = await ctx.start(keyed, 1)
        second = await ctx.start(keyed, 2)
        other = await ctx.start(registry.workflow("child").using(key="other"), 3)
        results = [await first.result(), await second.result(), await other.result()]
        return [first.id == second.id != other.id, *results]

    execution = parent.start()
    assert workflows.result(execution) == [True, 2, 2, 6]
    assert Execution.objects.for_workflow("child").count() == 2


def test_a_parent_attaches_to_an_execution_that_has_the_key(workflows: Workflows, colour: Colour) -> None:
    """CHD-08: started by somebody else; its end is noticed all the same."""
    foreign = registry.workflow("child").using(key="k").start(21)

    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return await ctx.run(registry.workflow("child").using(key="k"), 1)

    execution = parent.start()
    workflows.run_until_idle()
    assert not of(execution).children.exists()
    assert workflows.result(execution) == 42
    assert of(foreign).parent_id is None


def test_an_idempotent_child_is_never_started_twice(workflows: Workflows, colour: Colour) -> None:
    """A finished one gives its result at once."""
    first = registry.workflow("child").using(idempotency_key="invoice-7").start(1)
    assert workflows.result(first) == 2

    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return await ctx.run(registry.workflow("child").using(idempotency_key="invoice-7"), 50)

    assert workflows.result(parent.start()) == 2


@pytest.mark.parametrize("options", [{"key": "k"}, {"idempotency_key": "k"}])
def test_a_map_over_children_with_one_key_is_refused(
    workflows: Workflows, colour: Colour, options: dict[str, Any]
) -> None:
    """They would all be the same child."""
    child: Any = registry.workflow("child").using(**options)

    @colour()
    async def parent(ctx: AsyncContext) -> list[int]:
        return await ctx.map(child, [1, 2])

    with pytest.raises(ExecutionFailed, match="all be the same one"):
        workflows.result(parent.start())
