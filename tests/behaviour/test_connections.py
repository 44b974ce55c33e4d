"""What user code may do to its database connection, and what must not come of it. Rows are really committed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from django_workflows import AsyncContext, ExecutionFailed, Retry, step
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, of


@pytest.fixture
def workflows(transactional_db: None) -> Iterator[Workflows]:
    with Workflows() as workflows:
        yield workflows


def test_a_transaction_that_a_step_leaves_open_is_rolled_back_and_named(workflows: Workflows, colour: Colour) -> None:
    def forget() -> None:
        transaction.atomic().__enter__()
        Group.objects.create(name="half")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(forget, retry=ONCE))

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="OpenTransaction"):
        workflows.result(execution)
    assert not Group.objects.exists()
    assert not connection.in_atomic_block


def test_a_step_that_turns_autocommit_off_is_found_out(workflows: Workflows, colour: Colour) -> None:
    def forget() -> None:
        transaction.set_autocommit(False)
        Group.objects.create(name="half")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(forget, retry=ONCE))

    with pytest.raises(ExecutionFailed, match="OpenTransaction"):
        workflows.result(flow.start())
    assert connection.get_autocommit()
    assert not Group.objects.exists()


def test_a_step_that_breaks_its_connection_gets_a_new_one(
    workflows: Workflows, colour: Colour, counter: Counter
) -> None:
    """DBF-05: the failure is the step's; the next attempt and the engine go on."""

    def break_it() -> int:
        if counter.count() == 1:
            connection.connection.close()
        return Group.objects.count()

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do(step(break_it, retry=Retry(initial_interval=0)))

    assert workflows.result(flow.start()) == 0
    assert len(counter) == 2


def test_a_step_that_closes_its_connection_does_no_harm(workflows: Workflows, colour: Colour) -> None:
    def close() -> str:
        connection.close()
        return "closed"

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.do(close), await ctx.do(Group.objects.count)]

    assert workflows.result(flow.start()) == ["closed", 0]


def test_a_step_with_a_transaction_of_its_own(workflows: Workflows, colour: Colour) -> None:
    """DBF-17: an ordinary step commits by itself; what it starts in there is rolled back with it."""

    @colour(name="inner")
    async def inner(ctx: AsyncContext) -> None: ...

    def book(fails: bool) -> int:
        with transaction.atomic():
            Group.objects.create(name=f"fails {fails}")
            inner.start()
            if fails:
                raise LookupError
        return Group.objects.count()

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        first = await ctx.do(book, False)
        second = await ctx.do(step(book, retry=ONCE, on_error="continue"), True)
        return [first, second]

    assert workflows.result(flow.start()) == [1, None]
    assert Group.objects.get().name == "fails False"
    assert Execution.objects.for_workflow("inner").count() == 1


def test_no_transaction_is_open_while_user_code_runs(workflows: Workflows, colour: Colour) -> None:
    """DBF-17: neither in a step nor between steps."""
    seen: list[bool] = []

    def look() -> None:
        seen.append(connection.in_atomic_block)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(look)
        await ctx.do(look)

    workflows.result(flow.start())
    assert seen == [False, False]


def test_a_start_in_a_transaction_is_seen_after_its_commit(workflows: Workflows, colour: Colour) -> None:
    """EXE-06: and never after a rollback."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return "done"

    with transaction.atomic():
        execution = flow.start()
    with transaction.atomic():
        flow.start()
        transaction.set_rollback(True)
    workflows.run_to_end()
    assert (of(execution).status, Execution.objects.count()) == (Status.COMPLETED, 1)
