"""Exceptions on their way through the database: type, message, traceback and cause, whatever they do to prevent it."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from django_workflows import AsyncContext, ExecutionFailed, Retry, StepFailed, step
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, of


class Declined(Exception):
    def __init__(self, card: str, code: int) -> None:
        super().__init__(f"card {card} declined ({code})")
        self.card, self.code = card, code


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Deadly(Exception):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class Odd(Exception):
    def __init__(self) -> None:
        super().__init__(object(), self)
        self.args = (object(), self, lambda: None)


def declined() -> NoReturn:
    try:
        raise ConnectionResetError("by peer")
    except ConnectionResetError as reset:
        raise Declined("4711", 51) from reset


def group() -> NoReturn:
    raise ExceptionGroup("two", [ValueError("a"), Declined("1", 2)])


def ring() -> NoReturn:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def endless(depth: int = 0) -> NoReturn:
    endless(depth + 1)


HOSTILE: dict[str, Any] = {
    "__str__ raises": Mute(),
    "__str__ exits": Deadly(),
    "a huge message": ValueError("x" * 50_000_000),
    "NUL": ValueError("a\x00b"),
    "lone surrogate": ValueError("\ud800"),
    "arguments that cannot be stored": Odd(),
    "no message": ValueError(),
    "bytes": ValueError(b"\xff"),
}


def test_type_message_traceback_and_cause_are_kept(workflows: Workflows, colour: Colour) -> None:
    """SER-04: readable by the API and catchable by type name after a replay; no class is imported from data."""
    seen: list[tuple[str, str]] = []

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(step(declined, retry=ONCE))
        except StepFailed as error:
            seen.append((error.type, error.message))
            await ctx.sleep("1 hour")
        return "caught"

    execution = flow.start()
    assert workflows.result(execution) == "caught"
    assert len(seen) > 1
    assert set(seen) == {("Declined", "card 4711 declined (51)")}
    error = workflows.journal(execution)[0].error
    assert error["class"] == "tests.behaviour.test_errors.Declined"
    assert error["cause"]["type"] == "ConnectionResetError"
    assert "raise Declined" in error["traceback"]
    assert "by peer" in error["traceback"]


def test_the_error_of_an_execution_names_the_step_that_ended_it(workflows: Workflows, colour: Colour) -> None:
    """Semantics 15: where an operator's retry will begin."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(abs, 1)
        await ctx.do(step(declined, retry=ONCE))

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match="card 4711 declined"):
        workflows.result(execution)
    assert of(execution).error["step"] == "2"
    assert of(execution).error["type"] == "StepFailed"


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_exception_of_a_step_is_a_failure_like_others(
    workflows: Workflows, colour: Colour, kind: str
) -> None:
    """SER-05: recorded, shortened or cleaned; the attempts are counted as ever."""

    def fail() -> NoReturn:
        raise HOSTILE[kind]

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        try:
            await ctx.do(step(fail, retry=Retry(max_attempts=2)))
        except StepFailed as error:
            await ctx.sleep("1 hour")
            return error.attempts
        return 0

    execution = flow.start()
    assert workflows.result(execution) == 2
    error = workflows.journal(execution)[0].error
    assert error["type"] == type(HOSTILE[kind]).__name__
    assert len(error["message"]) < 20_000


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_exception_of_a_workflow_fails_it(workflows: Workflows, colour: Colour, kind: str) -> None:
    """SER-05: the same from the workflow's own code."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(abs, 1)
        raise HOSTILE[kind]

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    assert of(execution).error["type"] == type(HOSTILE[kind]).__name__


@pytest.mark.parametrize("fail", [group, ring, endless], ids=lambda fail: fail.__name__)
def test_groups_rings_and_depths_are_kept_within_bounds(workflows: Workflows, colour: Colour, fail: Any) -> None:
    """SER-05: exception groups, causes in a ring, a stack that overflowed."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(fail, retry=ONCE))

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    (row,) = workflows.journal(execution)
    assert row.error["type"] in {"ExceptionGroup", "ValueError", "RecursionError"}
    assert len(str(row.error)) < 100_000
