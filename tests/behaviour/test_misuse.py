"""Workflows that do what they must not: found out, named, and without harm to the rest."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from django_workflows import AsyncContext, Context, ExecutionFailed, step, workflow
from django_workflows.engine.runners import unwinding
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Counter, of, unwrapped


def test_a_context_belongs_to_its_thread(workflows: Workflows) -> None:
    """A second thread that uses the context of the first gets an error, not a wrong position."""
    errors: list[BaseException] = []

    @workflow
    def flow(ctx: Context) -> int:
        def use() -> None:
            try:
                ctx.do(abs, 1)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return ctx.do(abs, -2)

    execution = flow.start()
    assert workflows.result(execution) == 2
    assert {type(error).__name__ for error in errors} == {"ContextMisuse"}
    assert [row.key for row in workflows.journal(execution)] == ["1"]


def test_a_context_cannot_be_used_inside_a_step(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        def body() -> None:
            unwrapped(ctx).do(abs, 1)

        await ctx.do(step(body, retry=ONCE))

    with pytest.raises(ExecutionFailed, match="ContextMisuse"):
        workflows.result(flow.start())


def test_a_context_ends_with_its_turn(workflows: Workflows, colour: Colour) -> None:
    """Kept and used after the end it says so and does nothing."""
    kept: list[Any] = []

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        kept.append(unwrapped(ctx))

    execution = flow.start()
    workflows.result(execution)
    with pytest.raises(Exception, match="after its turn had ended"):
        kept[0].do(abs, 1)
    assert workflows.journal(execution) == []


def test_a_workflow_that_returns_a_coroutine_says_so(workflows: Workflows) -> None:
    """A `def` that forgot its `async`."""

    async def work() -> int:
        return 1

    @workflow
    def flow(ctx: Context) -> Any:
        return work()

    with pytest.raises(ExecutionFailed, match="declare it with `async def`"):
        workflows.result(flow.start())


def test_a_workflow_may_catch_exception(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """Semantics 7: waiting is no Exception, so `except Exception` and `finally` do no harm."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        for _ in range(3):
            try:
                await ctx.sleep("1 day")
                await ctx.do(counter.count)
            except Exception:
                return "caught something"
            finally:
                counter.calls.append("finally")
        return "done"

    execution = flow.start()
    assert workflows.result(execution) == "done"
    assert counter.calls.count(None) == 3
    assert of(execution).status == Status.COMPLETED


def test_a_workflow_that_catches_base_exception_once_is_parked_all_the_same(
    workflows: Workflows, colour: Colour, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    """Semantics 7: once it unwinds, what it returns is ignored, and further calls unwind again."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.sleep("1 day")
        except BaseException:
            counter.count("swallowed")
            return "too early"
        return "in time"

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    assert "catches BaseException" in caplog.text
    assert workflows.result(execution) == "in time"


@pytest.mark.parametrize("with_suppress", [False, True], ids=["except", "suppress"])
def test_a_workflow_that_never_lets_itself_be_parked_fails(
    workflows: Workflows, colour: Colour, with_suppress: bool
) -> None:
    """A loop around `except BaseException` is found out: the execution fails with the reason, its caller goes on."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        while True:
            if with_suppress:
                with suppress(BaseException):
                    await ctx.sleep("1 day")
            try:
                await ctx.sleep("1 day")
            except BaseException:
                continue

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="catches BaseException"):
        workflows.result(execution)


def test_a_branch_that_never_lets_itself_be_parked_fails_its_workflow(workflows: Workflows, colour: Colour) -> None:
    if type(workflows) is not Workflows:
        pytest.skip("a branch in a thread of its own may come to its end after the turn, which is parked then")

    async def stubborn(ctx: AsyncContext) -> None:
        while True:
            try:
                await ctx.wait_for_signal("never")
            except BaseException:
                continue

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.gather(stubborn, lambda c: c.sleep("1 day"))

    with pytest.raises(ExecutionFailed, match="catches BaseException"):
        workflows.result(flow.start())


def test_a_function_that_catches_whatever_it_is_told_has_failed_all_the_same(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One `try` in another: nothing gets it out of there, and only its thread is lost."""
    monkeypatch.setattr(unwinding, "LIMIT", 3)
    monkeypatch.setattr(unwinding, "ESCAPES", 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    enough = iter(range(8))

    @workflow
    def flow(ctx: Context) -> None:
        for _ in enough:
            with suppress(BaseException):
                try:
                    ctx.sleep("1 day")
                except BaseException:
                    continue

    with pytest.raises(ExecutionFailed, match="catches BaseException"):
        workflows.result(flow.start())


def test_a_call_that_nobody_awaits_is_told_with_its_workflow(
    workflows: Workflows, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """Nothing comes of it, which Python tells only when it collects the coroutine."""

    @workflow
    async def flow(ctx: AsyncContext) -> str:
        ctx.sleep("1 day")  # type: ignore[unused-awaitable,unused-ignore]  # the mistake
        return "too early"

    assert workflows.result(flow.start()) == "too early"
    assert "Workflow flow (" in caplog.text
    assert "has returned without awaiting a call of ctx, so that nothing came of it: sleep." in caplog.text
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == ["coroutine 'ctx call (sleep '')' was never awaited"]


def test_a_task_that_is_cancelled_before_it_begins_has_forgotten_nothing(
    workflows: Workflows, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> int:
        asyncio.ensure_future(ctx.do(abs, -1)).cancel()
        return await ctx.do(abs, -2)

    assert workflows.result(flow.start()) == 2
    assert "without awaiting" not in caplog.text


def test_an_async_workflow_that_returns_a_call_of_its_context_is_told_to_await_it(workflows: Workflows) -> None:
    @workflow
    async def flow(ctx: AsyncContext) -> Any:
        return ctx.do(abs, -1)

    with pytest.raises(ExecutionFailed, match="returned a coroutine: `await` it"):
        workflows.result(flow.start())


@pytest.mark.parametrize(
    ("misuse", "told"),
    [
        (lambda ctx: ctx.gather(ctx.do(abs, -1)), "A branch of ctx.gather\\(\\) is a function of its own ctx"),
        (lambda ctx: ctx.gather(lambda: 1), "A branch of ctx.gather"),
        (lambda ctx: ctx.race(step(abs), lambda ctx: 1), "A branch of ctx.race"),
        (lambda ctx: ctx.do("not registered", 1), "a function or the name of a step must follow, not 1"),
        (lambda ctx: ctx.do("paid"), "handed over, not called"),
        (lambda ctx: ctx.do(7), "ctx.do\\(charge, 42\\)"),
        (lambda ctx: ctx.signal("nobody", "hello"), "needs an execution, a child or an id, not 'nobody'"),
    ],
)
def test_a_call_with_the_wrong_thing_says_what_belongs_there(
    workflows: Workflows, misuse: Callable[[Any], Any], told: str
) -> None:
    @workflow
    def flow(ctx: Context) -> Any:
        return misuse(ctx)

    with pytest.raises(ExecutionFailed, match=told):
        workflows.result(flow.start())
