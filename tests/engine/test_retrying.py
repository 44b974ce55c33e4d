"""Retries of real workflows: what is done again, what is kept, and that the replay agrees."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from django_workflows import AsyncContext, Break, Context, Continue, Retry, step, workflow
from django_workflows.models import Execution, Status, StepResult

pytestmark = pytest.mark.django_db

calls: Counter[str] = Counter()
broken: set[str] = set()


@pytest.fixture(autouse=True)
def world(settings: Any) -> None:
    settings.WORKFLOWS = {"EAGER": True}
    calls.clear()
    broken.clear()


@step(name="retrying_act", retry=Retry(max_attempts=1))
def act(name: str) -> str:
    calls[name] += 1
    if name in broken:
        raise RuntimeError(f"{name} is broken")
    return name.upper()


def retry(execution: Any) -> Execution:
    """Mend everything and let it go on."""
    broken.clear()
    execution.retry("mended")
    execution.refresh_from_db()
    assert isinstance(execution, Execution)
    return execution


def run(definition: Any, *failing: str) -> Execution:
    broken.update(failing)
    execution = definition.start()
    execution.refresh_from_db()
    assert execution.status == (Status.FAILED if failing else Status.COMPLETED), execution.error
    return execution  # type: ignore[no-any-return]  # a handle is an execution


@workflow(name="retrying_sequence")
def sequence(ctx: Context) -> list[str]:
    return [ctx.do(act, name) for name in "abc"]


def test_earlier_steps_are_not_done_again() -> None:
    """FRK-01"""
    execution = run(sequence, "b")
    assert calls == {"a": 1, "b": 1}
    assert retry(execution).result() == ["A", "B", "C"]
    assert calls == {"a": 1, "b": 2, "c": 1}


def test_it_may_fail_and_be_retried_again_and_again() -> None:
    execution = run(sequence, "c")
    for _ in range(3):
        broken.add("c")
        execution.retry()
        execution.refresh_from_db()
        assert execution.status == Status.FAILED
    assert retry(execution).result() == ["A", "B", "C"]
    assert calls == {"a": 1, "b": 1, "c": 5}
    assert StepResult.objects.filter(execution=execution, key="3").count() == 5


@workflow(name="retrying_handler")
def with_handler(ctx: Context) -> str:
    try:
        ctx.do(act, "charge")
    except Exception:
        ctx.do(act, "apologise")
        raise
    return ctx.do(act, "ship")


def test_what_was_done_about_the_failure_does_not_count() -> None:
    execution = run(with_handler, "charge")
    assert retry(execution).result() == "SHIP"
    assert calls == {"charge": 2, "apologise": 1, "ship": 1}


@workflow(name="retrying_gather")
def gathering(ctx: Context) -> list[Any]:
    def branch(name: str) -> Any:
        return lambda ctx: [ctx.do(act, f"{name}{number}") for number in range(3)]

    results = ctx.gather(branch("x"), branch("y"), branch("z"))
    ctx.do(act, "join")
    return list(results)


def test_other_branches_keep_their_results() -> None:
    execution = run(gathering, "y1")
    retry(execution).result()
    assert calls == Counter({f"{name}{number}": 1 for name in "xyz" for number in range(3)}) + Counter(["y1", "join"])


def test_all_branches_that_failed_are_done_again_by_one_retry() -> None:
    execution = run(gathering, "x0", "y1", "z2")
    retry(execution).result()
    assert calls["z1"] == 1
    assert {name: calls[name] for name in ("x0", "y1", "z2")} == {"x0": 2, "y1": 2, "z2": 2}


@workflow(name="retrying_map")
def mapping(ctx: Context) -> list[str]:
    return list(ctx.map(act, list("abcdef")))


def test_all_items_that_failed_are_done_again_by_one_retry() -> None:
    execution = run(mapping, "b", "e")
    assert retry(execution).result() == list("ABCDEF")
    assert calls == Counter("abcdef") + Counter("be")


@workflow(name="retrying_child")
def child(ctx: Context, name: str) -> str:
    ctx.do(act, f"{name}-first")
    return ctx.do(act, name)


@workflow(name="retrying_family")
def family(ctx: Context) -> list[str]:
    return list(ctx.map(child, ["a", "b", "c"]))


@workflow(name="retrying_parent")
def parent(ctx: Context) -> str:
    return ctx.run(child, "only")


@pytest.mark.parametrize(
    ("definition", "failing", "output"), [(family, "abc", ["A", "B", "C"]), (parent, ["only"], "ONLY")]
)
def test_failed_children_go_on_with_their_parent(definition: Any, failing: Any, output: Any) -> None:
    """CHD-12: the same children, from the step that failed."""
    execution = run(definition, *failing)
    assert retry(execution).result() == output
    assert Execution.objects.count() == 1 + len(failing)
    assert all(calls[name] == 2 and calls[f"{name}-first"] == 1 for name in failing)


@workflow(name="retrying_race")
def racing(ctx: Context) -> str:
    winner = ctx.race(lambda ctx: ctx.do(act, "fast"), lambda ctx: ctx.sleep("1 hour"))
    return f"{winner.index} {ctx.do(act, 'after')}"


def test_the_branch_that_won_a_race_by_failing_is_done_again() -> None:
    execution = run(racing, "fast")
    assert retry(execution).result() == "0 AFTER"
    assert calls == {"fast": 2, "after": 1}


@workflow(name="retrying_loop")
def looping(ctx: Context) -> int:
    def body(ctx: Context, state: int) -> Continue | Break:
        ctx.do(act, f"{state}-first")
        ctx.do(act, f"{state}-second")
        return Break(state) if state == 3 else Continue(state + 1)

    return int(ctx.loop(body, 1))


def test_a_loop_goes_on_in_the_iteration_that_failed() -> None:
    execution = run(looping, "2-second")
    assert retry(execution).result() == 3
    assert calls == Counter(f"{number}-{name}" for number in (1, 2, 3) for name in ("first", "second")) + Counter(
        ["2-second"]
    )


@workflow(name="retrying_after_loop")
def loop_in_a_branch(ctx: Context) -> list[Any]:
    return list(ctx.gather(lambda ctx: ctx.do(act, "alone"), lambda ctx: looping.fn(ctx)))


def test_a_loop_beside_the_failure_is_kept() -> None:
    execution = run(loop_in_a_branch, "alone")
    assert retry(execution).result() == ["ALONE", 3]
    assert calls["1-first"] == 1


@workflow(name="retrying_async")
async def in_tasks(ctx: AsyncContext) -> list[str]:
    async def branch(name: str) -> str:
        await ctx.do(act, f"{name}1")
        return await ctx.do(act, f"{name}2")

    try:
        found = await asyncio.gather(branch("x"), branch("y"))
    except Exception:
        await ctx.do(act, "apologise")
        raise
    return [*found, await ctx.do(act, "join")]


@pytest.mark.parametrize("failing", ["x1", "x2", "y1", "y2"])
@pytest.mark.django_db(transaction=True)
def test_asyncio_tasks_keep_their_results(failing: str) -> None:
    execution = run(in_tasks, failing)
    assert retry(execution).result() == ["X2", "Y2", "JOIN"]
    assert calls[failing] == 2
    assert calls["join"] == calls["apologise"] == 1


@workflow(name="retrying_async_calls")
async def in_calls(ctx: AsyncContext) -> list[str]:
    return list(await asyncio.gather(ctx.do(act, "x"), ctx.do(act, "y"), ctx.do(act, "z")))


@pytest.mark.parametrize("failing", ["x", "y", "z"])
@pytest.mark.django_db(transaction=True)
def test_calls_that_ran_beside_it_are_kept_when_they_came_first(failing: str) -> None:
    execution = run(in_calls, failing)
    assert retry(execution).result() == ["X", "Y", "Z"]


@workflow(name="retrying_own_code")
def own_code(ctx: Context) -> str:
    found = ctx.do(act, "a")
    if "code" in broken:
        raise ValueError("a bug")
    return found


def test_a_bug_in_the_workflow_s_own_code_is_mended_and_retried() -> None:
    execution = run(own_code, "code")
    assert retry(execution).result() == "A"
    assert calls == {"a": 1}
