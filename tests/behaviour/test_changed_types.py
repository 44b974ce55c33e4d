"""A deploy changes arguments or types under running executions: left to other workers first, then paused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from django_workflows import AsyncContext, Continue, step
from django_workflows.authoring.registry import registry
from django_workflows.models import Event, Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of

MISMATCH = "code does not match the journal"


@dataclass
class Price:
    amount: int


@dataclass
class Sum:
    """What another team made of a price."""

    total: int
    currency: str


def old(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext, order_id: int) -> int:
        await ctx.do(ledger.count, order_id)
        await ctx.wait_for_signal("go")
        return order_id

    return bill


def renamed(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext, order: int) -> int:
        await ctx.do(ledger.count, order)
        await ctx.wait_for_signal("go")
        return order

    return bill


def removed(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext) -> int:
        await ctx.do(ledger.count)
        await ctx.wait_for_signal("go")
        return 0

    return bill


def one_more(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext, order_id: int, currency: str) -> int:
        await ctx.do(ledger.count, order_id)
        await ctx.wait_for_signal("go")
        return order_id

    return bill


def retyped(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext, order_id: str) -> int:
        await ctx.do(ledger.count, order_id)
        await ctx.wait_for_signal("go")
        return int(order_id)

    return bill


def one_more_with_a_default(ledger: Counter) -> Any:
    async def bill(ctx: AsyncContext, order_id: int, currency: str = "EUR") -> str:
        await ctx.do(ledger.count, order_id)
        await ctx.wait_for_signal("go")
        return f"{order_id} {currency}"

    return bill


CHANGES = [renamed, removed, one_more, retyped]


def deploy(colour: Colour, body: Any) -> Any:
    return colour(name="bill")(body)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("turn", ["first", "later"])
def test_arguments_that_fit_no_more_pause_the_execution_until_the_code_is_mended(
    workflows: Workflows, colour: Colour, change: Any, turn: str
) -> None:
    ledger = Counter()
    execution = deploy(colour, old(ledger)).start(order_id=8)
    if turn == "later":
        workflows.run_until_idle()
    execution.signal("go")
    done = list(ledger.calls)

    deploy(colour, change(ledger))
    workflows.run_to_end()

    row = of(execution)
    assert (row.status, row.crashes, ledger.calls) == (Status.PAUSED, 0, done)
    assert row.reason.startswith("The code no longer fits the stored input: ")
    assert "order" in row.reason or "currency" in row.reason
    deploy(colour, old(ledger))
    row.resume()
    assert workflows.result(execution) == 8
    assert ledger.calls == [8]


def test_an_old_worker_beside_a_new_one_only_lets_go_of_it(workflows: Workflows, colour: Colour) -> None:
    execution = deploy(colour, old(Counter())).start(order_id=8)
    execution.signal("go")
    deploy(colour, one_more(Counter()))
    workflows.run_until_idle()

    row = of(execution)
    assert (row.status, row.error) == (Status.PENDING, None)
    assert row.wake_at is not None
    assert row.wake_at > workflows.now()
    deploy(colour, old(Counter()))
    assert workflows.result(execution) == 8
    told = Event.objects.get(execution=execution.id, name=MISMATCH).data
    assert (told["step"], told["expected"]) == ("", "the stored input")
    assert told["found"] == "currency: This argument is required."


def test_a_new_argument_with_a_default_is_no_change(workflows: Workflows, colour: Colour) -> None:
    execution = deploy(colour, old(Counter())).start(order_id=8)
    workflows.run_until_idle()
    deploy(colour, one_more_with_a_default(Counter()))
    execution.signal("go")
    assert workflows.result(execution) == "8 EUR"


def test_a_parent_does_not_see_its_child_fail_of_a_deploy(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def parent(ctx: AsyncContext) -> Any:
        return await ctx.run("bill", order_id=8)

    deploy(colour, old(Counter()))
    execution = parent.start()
    workflows.run_until_idle()
    child = Execution.objects.get(parent=execution.id)
    child.signal("go")
    deploy(colour, renamed(Counter()))
    workflows.run_to_end()

    assert (of(child).status, of(execution).status) == (Status.PAUSED, Status.WAITING)
    deploy(colour, old(Counter()))
    of(child).resume()
    assert workflows.result(execution) == 8


def test_a_step_that_is_executed_alone_is_treated_alike(workflows: Workflows) -> None:
    @step(name="charge")
    def charge(order_id: int) -> int:
        return order_id

    execution = charge.start(8)

    @step(name="charge")
    def charge_another(order: int) -> int:
        return order

    workflows.run_to_end()
    assert of(execution).status == Status.PAUSED
    assert "order_id" in of(execution).reason
    registry.add_step(charge)
    of(execution).resume()
    assert workflows.result(execution) == 8


def test_results_that_fit_no_more_are_left_to_others_before_they_pause(workflows: Workflows, colour: Colour) -> None:
    def price() -> Price:
        return Price(7)

    def total() -> Sum:
        return Sum(7, "EUR")

    def body(fn: Any) -> Any:
        async def bill(ctx: AsyncContext) -> str:
            seen = await ctx.do("price", fn)
            await ctx.wait_for_signal("go")
            return str(seen)

        return deploy(colour, bill)

    execution = body(price).start()
    workflows.run_until_idle()
    execution.signal("go")
    body(total)
    workflows.run_until_idle()
    assert of(execution).status == Status.PENDING
    workflows.run_to_end()

    row = of(execution)
    assert row.status == Status.PAUSED
    assert row.reason.startswith("The code no longer fits the value that is stored at position 1")
    assert "Sum" in row.reason
    body(price)
    row.resume()
    assert workflows.result(execution) == "Price(amount=7)"


def test_the_state_of_a_loop_that_fits_no_more_pauses_too(workflows: Workflows, colour: Colour) -> None:
    def body(kind: Any, first: Any) -> Any:
        async def once(ctx: AsyncContext, state: Any) -> Continue:
            await ctx.wait_for_signal("more")
            return Continue(state)

        once.__annotations__["state"] = kind

        async def bill(ctx: AsyncContext) -> None:
            await ctx.loop(once, first)

        return deploy(colour, bill)

    execution = body(Price, Price(1)).start()
    workflows.run_until_idle()
    body(Sum, Sum(1, "EUR"))
    execution.signal("more")
    workflows.run_to_end()

    assert of(execution).status == Status.PAUSED
    assert "no longer fits the value that is stored at position 1" in of(execution).reason


@pytest.mark.parametrize("stored", [[], 8, "text"])
def test_an_input_that_is_no_object_pauses_at_once(workflows: Workflows, colour: Colour, stored: Any) -> None:
    execution = deploy(colour, old(Counter())).start(order_id=8)
    Execution.objects.filter(pk=execution.id).update(input=stored)
    workflows.run_until_idle()
    assert of(execution).status == Status.PAUSED
    assert "no JSON object" in of(execution).reason
