"""`WORKFLOWS = {"EAGER": True}`: the caller's process goes on with what it starts, signals and publishes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from django_workflows import AsyncContext, ExecutionFailed, StepFailed, step
from django_workflows.client import send_event
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, Provider, of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _eager(settings: Any) -> None:
    settings.WORKFLOWS = {"EAGER": True}


def test_a_start_drives_to_the_end(colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, n: int) -> int:
        return await ctx.do(abs, n) + await ctx.do(abs, n)

    assert flow.start(-2).result(timeout=0) == 4


def test_a_start_returns_when_something_must_be_waited_for(colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> str:
        message = await ctx.wait_for_signal("go")
        assert message is not None
        return str(message.data)

    execution = flow.start()
    assert of(execution).status == Status.WAITING
    execution.signal("go", "now")
    assert execution.result(timeout=0) == "now"


def test_an_event_drives_all_who_get_it(colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, order: int) -> Any:
        message = await ctx.wait_for_event("paid", match={"order": order})
        return message and message.data

    executions = [flow.start(n) for n in (1, 2, 1)]
    send_event("paid", {"order": 1})
    assert [of(execution).status for execution in executions] == [
        Status.COMPLETED,
        Status.WAITING,
        Status.COMPLETED,
    ]


def test_children_are_driven_too(colour: Colour) -> None:
    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        return await ctx.do(abs, -n)

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return [await ctx.run("child", 1), await ctx.map(child, [2, 3])]

    assert flow.start().result(timeout=0) == [1, [2, 3]]


def test_a_failure_is_the_executions_not_the_callers(colour: Colour) -> None:
    """start() does not raise what the workflow raises."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(Provider(9).charge, retry=ONCE))

    execution = flow.start()
    assert of(execution).status == Status.FAILED
    with pytest.raises(ExecutionFailed, match="down"):
        execution.result(timeout=0)


def test_the_number_of_attempts_is_that_of_a_worker(colour: Colour) -> None:
    """Same results, same number of attempts; who waits for the back-off is the next worker, or a test."""
    provider = Provider(99)

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        try:
            await ctx.do(provider.charge)
        except StepFailed as error:
            return error.attempts
        return 0

    execution = flow.start()
    assert (of(execution).status, provider.attempts) == (Status.WAITING, [1])
    with Workflows() as workflows:
        assert workflows.result(execution) == 3
    assert provider.attempts == [1, 2, 3]


def test_in_a_transaction_it_drives_on_commit(colour: Colour, counter: Counter, transactional_db: None) -> None:
    """Semantics 13: nothing happens before the commit, and nothing at all after a rollback."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do(counter.count)

    with transaction.atomic():
        execution = flow.start()
        assert (of(execution).status, len(counter)) == (Status.PENDING, 0)
    assert execution.result(timeout=0) == 1
    with transaction.atomic():
        flow.start()
        transaction.set_rollback(True)
    assert len(counter) == Execution.objects.count() == 1


def test_pause_resume_and_cancel_are_carried_out_at_once(colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.pause("look")
        await ctx.wait_for_signal("go")
        return "done"

    execution = flow.start()
    assert of(execution).status == Status.PAUSED
    of(execution).resume()
    assert of(execution).status == Status.WAITING
    of(execution).cancel()
    assert of(execution).status == Status.CANCELLED


def test_start_many_drives_them_all(colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext, n: int) -> int:
        return await ctx.do(abs, n)

    executions = flow.start_many([{"n": -n} for n in range(5)])
    assert [execution.result(timeout=0) for execution in executions] == [0, 1, 2, 3, 4]


def test_a_workflow_that_starts_another_by_hand(colour: Colour) -> None:
    """A step may use the client; the inner execution is driven inside the step."""

    @colour(name="inner")
    async def inner(ctx: AsyncContext) -> str:
        return await ctx.do(str, 7)

    def start_inner() -> str:
        return str(inner.start().result(timeout=0))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(start_inner)

    assert flow.start().result(timeout=0) == "7"
