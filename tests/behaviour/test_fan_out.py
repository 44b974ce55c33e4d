"""A parent of many children: each once, in order, and the parent is not woken for each."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed
from django_workflows.authoring.registry import registry
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of


@pytest.fixture(autouse=True)
def _child(colour: Colour) -> None:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        if n < 0:
            raise LookupError(f"child {n}")
        return 2 * n


def parent(colour: Colour, counter: Counter, concurrency: int | None = None) -> Any:
    @colour(name="parent")
    async def flow(ctx: AsyncContext, items: list[int]) -> list[Any]:
        counter.count()
        results: list[Any] = await ctx.map(named("child"), items, concurrency=concurrency)
        return results

    return flow


def named(name: str) -> Any:
    return registry.workflow(name)


def test_results_are_in_the_order_of_the_items(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """CHD-04: one wait, one wake-up."""
    execution = parent(colour, counter).start(list(range(12)))
    assert workflows.result(execution) == [2 * n for n in range(12)]
    assert of(execution).children.count() == 12
    assert len(counter) == 2


@pytest.mark.parametrize("concurrency", [1, 7, 100])
def test_only_so_many_are_unfinished_at_once(
    workflows: Workflows, colour: Colour, counter: Counter, concurrency: int
) -> None:
    """CHD-04: the next ones are started as others finish."""
    execution = parent(colour, counter, concurrency).start(list(range(12)))
    most = 0
    while workflows._next(set()) is not None:
        most = max(most, of(execution).children.filter(completed_at=None).count())
        workflows._driver.turn(workflows._next(set()))  # type: ignore[arg-type]  # it is not None
    assert execution.result(timeout=0) == [2 * n for n in range(12)]
    assert most == min(concurrency, 12)


def test_the_first_error_in_order_is_raised_when_all_have_ended(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    execution = parent(colour, counter).start([1, 2, -3, 4, -5, 6])
    with pytest.raises(ExecutionFailed, match="child -3"):
        workflows.result(execution)
    statuses = of(execution).children.values_list("status", flat=True)
    assert sorted(statuses) == [Status.COMPLETED] * 4 + [Status.FAILED] * 2


def test_items_that_do_not_fit_fail_before_any_child_is_started(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    items: list[Any] = ["x"]
    execution = parent(colour, counter).start([1])
    assert workflows.result(execution) == [2]

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.map(named("child"), items)

    with pytest.raises(ExecutionFailed, match="InvalidInput: n"):
        workflows.result(flow.start())
    assert Execution.objects.for_workflow("child").count() == 1


@pytest.mark.parametrize("colour", [Colour("def")], ids=["def"])
def test_a_thousand_children(transactional_db: None, colour: Colour, counter: Counter) -> None:
    """CHD-04: a hundred at a time; the parent wakes a few dozen times, not a thousand."""
    with Workflows() as workflows:
        execution = parent(colour, counter, 100).start(list(range(1000)))
        assert workflows.result(execution) == [2 * n for n in range(1000)]
    assert of(execution).children.count() == 1000
    assert len(counter) < 40
