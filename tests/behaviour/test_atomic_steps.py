"""Transactional steps: their writes and their result in one commit."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from django_workflows import AsyncContext, Context, DefinitionError, ExecutionFailed, Retry, step, workflow
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter


def test_a_transactional_step_writes_and_is_remembered_in_one_commit(workflows: Workflows, colour: Colour) -> None:
    """STP-06: the row and the journal's row are there together, once."""

    @step(atomic=True)
    def book(name: str) -> int:
        Group.objects.create(name=name)
        return Group.objects.count()

    @colour()
    async def flow(ctx: AsyncContext) -> list[int]:
        return [await ctx.do(book, "first"), await ctx.do(book, "second")]

    execution = flow.start()
    assert workflows.result(execution) == [1, 2]
    workflows.assert_journal(execution, [("step", "book", "succeeded", 1), ("step", "book", "succeeded", 2)])


def test_a_failed_transactional_step_leaves_nothing(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """STP-08: each attempt's writes are gone; the error is kept."""

    @step(atomic=True, retry=Retry(max_attempts=2))
    def book() -> None:
        Group.objects.create(name="half")
        counter.count()
        raise ValueError("no stock")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(book)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="no stock"):
        workflows.result(execution)
    assert (len(counter.calls), Group.objects.exists()) == (2, False)
    (row,) = workflows.journal(execution)
    assert (row.status, row.attempts, row.error["message"]) == ("failed", 2, "no stock")


def test_a_transactional_async_step_is_refused() -> None:
    """Semantics 13: Django has no transactions in async code."""
    with pytest.raises(DefinitionError, match="atomic=True needs a plain `def`"):

        @step(atomic=True)
        async def book() -> None: ...


@pytest.mark.django_db
def test_a_step_that_commits_inside_its_transaction_fails(workflows: Workflows) -> None:
    """Semantics 13: commit() inside a transactional step is an error of the step."""

    @step(atomic=True, retry=ONCE)
    def sly() -> None:
        transaction.commit()

    @workflow
    def flow(ctx: Context) -> None:
        ctx.do(sly)

    with pytest.raises(ExecutionFailed, match="TransactionManagementError"):
        workflows.result(flow.start())
