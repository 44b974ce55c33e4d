"""One attempt: its timeout, the errors it may raise, the progress it leaves to the next one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group

from django_workflows import (
    AsyncContext,
    Context,
    ExecutionFailed,
    Retry,
    StepFailed,
    StepTimeout,
    current_step,
    step,
    workflow,
)
from django_workflows.models import StepResult
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, Provider


def test_an_async_step_is_stopped_at_its_timeout(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """RTY-13: an attempt that failed with StepTimeout, remembered as such."""

    async def hang() -> None:
        counter.count()
        await asyncio.sleep(60)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(step(hang, timeout=0.01, retry=Retry(max_attempts=2)))
        except StepFailed as error:
            await ctx.sleep("1 hour")
            return error.type
        return ""

    execution = flow.start()
    assert workflows.result(execution) == StepTimeout.__name__
    assert (len(counter), workflows.journal(execution)[0].attempts) == (2, 2)


def test_a_timeout_that_a_body_raises_itself_is_its_own(workflows: Workflows, colour: Colour) -> None:
    """RTY-13: TimeoutError of a client library is not the step's timeout."""

    async def give_up() -> None:
        raise TimeoutError("read timed out")

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(give_up, timeout=60, retry=ONCE))

    with pytest.raises(ExecutionFailed, match="TimeoutError: read timed out"):
        workflows.result(flow.start())


@pytest.mark.parametrize("atomic", [False, True])
def test_the_late_result_of_a_def_step_is_refused(
    workflows: Workflows, colour: Colour, counter: Counter, atomic: bool
) -> None:
    """RTY-14: its thread cannot be stopped; what it returns, or would commit, after its time does not count."""
    late: list[int] = []

    def slow() -> int:
        Group.objects.create(name=f"attempt {counter.count()}")
        if len(counter) == 1:
            time.sleep(0.05)
            late.append(1)
        return len(counter)

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        patient = step(slow, timeout=0.02, retry=Retry(max_attempts=2), atomic=atomic)
        return await ctx.do(patient)

    execution = flow.start()
    assert workflows.result(execution) == 2
    assert (late, workflows.journal(execution)[0].attempts) == ([1], 2)
    assert Group.objects.filter(name="attempt 1").exists() is not atomic


HOSTILE = [RecursionError, MemoryError, GeneratorExit, asyncio.CancelledError, StopIteration, StopAsyncIteration]


@pytest.mark.parametrize("error", HOSTILE, ids=lambda error: error.__name__)
@pytest.mark.parametrize("body", ["charge", "acharge"])
def test_any_error_of_a_body_is_a_failed_attempt(
    workflows: Workflows, colour: Colour, error: type[BaseException], body: str
) -> None:
    """RTY-17: recorded, retried, and the worker goes on."""
    provider = Provider(1, error("odd"))

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return await ctx.do(getattr(provider, body))

    execution = flow.start()
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2]


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt], ids=lambda exit: exit.__name__)
def test_leaving_the_process_is_no_failure_of_a_step(workflows: Workflows, exit: type[BaseException]) -> None:
    """RTY-16: not recorded; the execution can be taken over."""
    provider = Provider(1, exit())

    @workflow
    def flow(ctx: Context) -> str:
        return ctx.do(step(provider.charge, retry=ONCE))

    execution = flow.start()
    with pytest.raises(exit):
        workflows.run_until_idle()
    assert not StepResult.objects.exists()
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2]


def test_the_next_attempt_reads_the_progress_of_the_last(workflows: Workflows, colour: Colour) -> None:
    """heartbeat(progress): what was done need not be done again."""
    seen: list[Any] = []

    def copy() -> str:
        current = current_step()
        seen.append(current.last_progress)
        current.heartbeat({"rows": 100 * current.attempt})
        if current.attempt < 3:
            raise ConnectionError
        return "copied"

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(copy)

    assert workflows.result(flow.start()) == "copied"
    assert seen == [None, {"rows": 100}, {"rows": 200}]


def test_the_idempotency_key_is_the_same_on_every_attempt(workflows: Workflows, colour: Colour) -> None:
    keys: list[str] = []

    def charge() -> str:
        keys.append(current_step().idempotency_key)
        if len(keys) < 3:
            raise ConnectionError
        return "paid"

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(charge)
        await ctx.do(charge)

    workflows.result(flow.start())
    assert keys[0] == keys[1] == keys[2] != keys[3]
