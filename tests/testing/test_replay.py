"""VER-14: stored histories of real executions against new code, without side effects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from django_workflows import AsyncContext, Context, ExecutionFailed, workflow
from django_workflows.models import Event, Execution, StepResult
from django_workflows.testing import Workflows, export_history, replay_history
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter


@pytest.fixture(params=["def", "async def"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


@pytest.fixture
def counter() -> Counter:
    return Counter()


def deploy(colour: Colour, counter: Counter, *names: str) -> Any:
    @colour(name="replayed")
    async def flow(ctx: AsyncContext, order: int) -> list[Any]:
        await ctx.now()
        seen: list[Any] = [await ctx.do(name, counter.count, order) for name in names]
        await ctx.gather(lambda c: c.do("left", counter.count), lambda c: c.sleep("1 hour"))
        message = await ctx.wait_for_signal("go", timeout="1 day")
        return [*seen, message and message.data, await ctx.do("last", counter.count)]

    return flow


def history_of(workflows: Workflows, execution: Any, *, to_the_end: bool) -> str:
    workflows.run_until_idle()
    if to_the_end:
        execution.signal("go", 7)
        workflows.run_to_end()
    return export_history(execution)


@pytest.mark.parametrize("to_the_end", [False, True], ids=["under way", "completed"])
def test_unchanged_code_replays(workflows: Workflows, colour: Colour, counter: Counter, to_the_end: bool) -> None:
    history = history_of(workflows, deploy(colour, counter, "a", "b").start(42), to_the_end=to_the_end)
    before = len(counter), StepResult.objects.count(), Event.objects.count(), Execution.objects.values().get()
    replay_history(history)
    assert (len(counter), StepResult.objects.count(), Event.objects.count(), Execution.objects.values().get()) == before


@pytest.mark.parametrize("to_the_end", [False, True], ids=["under way", "completed"])
@pytest.mark.parametrize("names", [("a", "x"), ("b", "a"), ("a",), ("a", "b", "c")], ids=str)
def test_changed_code_fails_with_the_first_difference(
    workflows: Workflows, colour: Colour, counter: Counter, names: tuple[str, ...], to_the_end: bool
) -> None:
    history = history_of(workflows, deploy(colour, counter, "a", "b").start(42), to_the_end=to_the_end)
    Execution.objects.all().delete()
    done = len(counter)
    deploy(colour, counter, *names)
    with pytest.raises(AssertionError, match="no longer matches the journal at position"):
        replay_history(history)
    assert len(counter) == done


def test_what_is_appended_is_not_executed(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """The history is a prefix of the code: fine."""

    def register(extra: bool) -> Any:
        @colour(name="replayed")
        async def flow(ctx: AsyncContext) -> None:
            await ctx.do("a", counter.count)
            if extra:
                await ctx.send_event("more")
                await ctx.do("more", counter.count)

        return flow

    execution = register(False).start()
    workflows.run_to_end()
    register(True)
    replay_history(export_history(execution))
    assert len(counter) == 1
    assert not Event.objects.filter(type="event").exists()


def test_code_that_had_completed_and_fails_now_is_told(workflows: Workflows, colour: Colour) -> None:
    def register(check: Callable[[int], None]) -> Any:
        @colour(name="replayed")
        async def flow(ctx: AsyncContext) -> int:
            result = await ctx.do(abs, -1)
            check(result)
            return result

        return flow

    def refuse(result: int) -> None:
        raise LookupError("a case that nobody thought of")

    execution = register(lambda result: None).start()
    workflows.run_to_end()
    register(refuse)
    with pytest.raises(AssertionError, match="had completed, and fails now: LookupError: a case"):
        replay_history(export_history(execution))


def test_a_failed_execution_replays(workflows: Workflows, colour: Colour) -> None:
    @colour(name="replayed")
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(abs, -1)
        raise LookupError

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    replay_history(export_history(execution))


def test_tasks_of_asyncio_replay(workflows: Workflows) -> None:
    @workflow(name="replayed")
    async def flow(ctx: AsyncContext) -> Any:
        async def twice(n: int) -> int:
            return await ctx.do(abs, await ctx.do(abs, n))

        return await asyncio.gather(twice(-1), twice(-2))

    execution = flow.start()
    assert workflows.result(execution) == [1, 2]
    replay_history(export_history(execution))


def test_an_execution_that_has_not_begun_has_nothing_to_replay(workflows: Workflows) -> None:
    @workflow(name="replayed")
    def flow(ctx: Context) -> None:
        ctx.do(abs, 1)

    execution = flow.start()
    replay_history(export_history(execution))
    assert not StepResult.objects.exists()
