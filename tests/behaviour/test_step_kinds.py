"""What can be a step, and under which names."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from django_workflows import AsyncContext, Context, DefinitionError, ExecutionFailed, InvalidInput, step, workflow
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE


class Shelf:
    def __init__(self, size: int) -> None:
        self.size = size

    def double(self, n: int) -> int:
        return self.size * n

    @classmethod
    def of_class(cls, n: int) -> int:
        return 2 * n

    @staticmethod
    def of_nothing(n: int) -> int:
        return 2 * n

    def __call__(self, n: int) -> int:
        return self.size * n


def logged(fn: Any) -> Any:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@logged
def wrapped(n: int) -> int:
    return 2 * n


async def awaited(n: int) -> int:
    return 2 * n


STEPS = {
    "bound method": Shelf(2).double,
    "class method": Shelf.of_class,
    "static method": Shelf.of_nothing,
    "callable object": Shelf(2),
    "partial": functools.partial(pow, exp=1),
    "lambda": lambda n: 2 * n,
    "wrapped": wrapped,
    "async": awaited,
    "async partial": functools.partial(awaited),
    "step of a method": step(Shelf(2).double, retry=ONCE),
}


@pytest.mark.parametrize("kind", STEPS)
def test_any_callable_is_a_step(workflows: Workflows, colour: Colour, kind: str) -> None:
    """STP-16: functions, methods, partials, lambdas, wrapped ones, in both colours."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.do(STEPS[kind], 4), await ctx.do("labelled", STEPS[kind], 5)]

    assert workflows.result(flow.start()) in ([8, 10], [4, 5])


def test_what_cannot_be_a_step_or_a_workflow_is_refused_where_it_is_written() -> None:
    """STP-16: at registration."""
    with pytest.raises(DefinitionError, match="is a method"):

        class _Steps:
            @step
            def charge(self) -> None: ...

    with pytest.raises(DefinitionError, match="generator"):

        @workflow
        def yields(ctx: Context) -> Any:
            yield 1

    with pytest.raises(DefinitionError, match="first parameter is the context"):

        @workflow  # type: ignore[arg-type]  # refused by mypy too
        def nothing() -> None: ...

    with pytest.raises(DefinitionError, match=r"Write: def forgot\(ctx: Context, order_id: int, …\)"):

        @workflow
        def forgot(order_id: int) -> None: ...


def test_a_step_is_found_by_its_registered_name(workflows: Workflows, colour: Colour) -> None:
    @step(name="send mail")
    def send(to: str, subject: str = "hello") -> str:
        return f"{subject} {to}"

    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        by_name = await ctx.do("send mail", "ada", subject="hi")
        labelled = await ctx.do("a label", "send mail", "bob")
        return [by_name, labelled]

    execution = flow.start()
    assert workflows.result(execution) == ["hi ada", "hello bob"]
    assert [row.name for row in workflows.journal(execution)] == ["send mail", "a label"]


def test_a_name_that_nobody_registered_fails_clearly(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do("no such step")

    with pytest.raises(ExecutionFailed, match="no step is registered under this name"):
        workflows.result(flow.start())


GOOD_NAMES = ["réservation ✓", "📦", "a" * 200, "מחסן", "../step"]
BAD_NAMES = ["", "   ", "a" * 10_000, "line\nbreak", "nul\x00", "\x1b[31m", "\ud800"]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=ascii)
def test_a_name_may_be_any_short_printable_text(workflows: Workflows, colour: Colour, name: str) -> None:
    """EXE-14: emoji and other scripts are text."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        await ctx.sleep(name, "1 hour")
        return await ctx.do(name, abs, -7)

    execution = flow.using(key=name).start()
    assert workflows.result(execution) == 7
    workflows.assert_journal(execution, [("sleep", name, "succeeded"), ("step", name, "succeeded", 7)])


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_that_no_database_would_hold_is_refused(workflows: Workflows, colour: Colour, name: str) -> None:
    """EXE-14: empty, 10 kB, control characters, lone surrogates: a field error, nothing half stored."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(name, abs, -7)

    with pytest.raises(InvalidInput):
        flow.using(key=name).start()
    execution = flow.start()
    with pytest.raises(ExecutionFailed, match=r"must not|must have"):
        workflows.result(execution)
    assert workflows.journal(execution) == []
