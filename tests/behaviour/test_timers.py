"""Sleeping: durable, by the database's clock, never early, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_workflows import AsyncContext, ExecutionFailed
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of


def test_a_sleep_ends_at_its_time_and_not_before(workflows: Workflows, colour: Colour) -> None:
    """TMR-01: waiting until then, with the moment in the row."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep("2 hours")
        return "awake"

    execution = flow.start()
    workflows.run_until_idle()
    row = of(execution)
    assert row.status == Status.WAITING
    assert row.wake_at is not None
    assert 7100 < (row.wake_at - workflows.now()).total_seconds() < 7201
    workflows.assert_journal(execution, [("sleep", "", "scheduled")])
    workflows.skip("119 minutes")
    assert workflows.run_until_idle() == 0
    workflows.skip("61 seconds")
    workflows.run_until_idle()
    assert execution.result(timeout=0) == "awake"


def test_a_sleep_woken_early_goes_back_to_sleep(workflows: Workflows, colour: Colour) -> None:
    """TMR-02: the deadline is fixed when first reached, however often the execution is looked at."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep("10 minutes")

    execution = flow.start()
    workflows.run_until_idle()
    deadline = workflows.journal(execution)[0].deadline
    for _ in range(3):
        workflows.skip("3 minutes")
        type(of(execution)).objects.filter(pk=execution.id).update(wake_at=workflows.now())
        workflows.run_until_idle()
        assert of(execution).status == Status.WAITING
        assert of(execution).wake_at == workflows.journal(execution)[0].deadline == deadline
    workflows.skip("61 seconds")
    workflows.run_until_idle()
    assert of(execution).status == Status.COMPLETED


@pytest.mark.parametrize("duration", [0, -1, timedelta(0), timedelta(days=-400), "0 s"], ids=str)
def test_zero_or_less_is_no_sleep(workflows: Workflows, colour: Colour, duration: Any) -> None:
    """TMR-04: it goes on at once, and the journal says so."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep(duration)
        await ctx.sleep_until(await ctx.now() - timedelta(days=1))
        return "awake"

    execution = flow.start()
    workflows.run_until_idle()
    assert execution.result(timeout=0) == "awake"
    assert [row.status for row in workflows.journal(execution)] == ["succeeded"] * 3


@pytest.mark.parametrize(
    ("when", "instant"),
    [
        (datetime(2090, 7, 1, 12, tzinfo=UTC), datetime(2090, 7, 1, 12, tzinfo=UTC)),
        (datetime(2090, 7, 1, 12, tzinfo=timezone(timedelta(hours=-5))), datetime(2090, 7, 1, 17, tzinfo=UTC)),
        (datetime(2090, 7, 1, 12, tzinfo=ZoneInfo("Europe/Zurich")), datetime(2090, 7, 1, 10, tzinfo=UTC)),
        (datetime(2090, 7, 1, 12), datetime(2090, 7, 1, 16, tzinfo=UTC)),  # noqa: DTZ001  # naive on purpose
    ],
    ids=["UTC", "offset", "zone", "naive"],
)
def test_a_moment_is_understood_in_its_zone(
    workflows: Workflows, colour: Colour, settings: Any, when: datetime, instant: datetime
) -> None:
    """TMR-05: a naive moment is read in the project's zone."""
    settings.TIME_ZONE = "America/New_York"

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep_until("the day", when)

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).wake_at == instant
    workflows.assert_journal(execution, [("sleep", "the day", "scheduled")])


@pytest.mark.parametrize("duration", ["400 days", timedelta(days=100_000), timedelta.max], ids=str)
def test_a_very_long_sleep_is_a_sleep(workflows: Workflows, colour: Colour, duration: Any) -> None:
    """TMR-06: no overflow; it ends once, if the calendar gets there."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep(duration)
        return "awake"

    execution = flow.start()
    workflows.run_until_idle()
    wake_at = of(execution).wake_at
    assert wake_at is not None
    assert wake_at.year >= 2027
    if wake_at.year < 3000:
        assert workflows.result(execution) == "awake"


def test_overdue_timers_fire_once_oldest_first(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """TMR-10: after a long pause of all workers."""

    @colour()
    async def flow(ctx: AsyncContext, minutes: int) -> None:
        await ctx.sleep(timedelta(minutes=minutes))
        await ctx.do(counter.count, minutes)

    for minutes in (30, 10, 20):
        flow.start(minutes)
    workflows.run_until_idle()
    workflows.skip("1 hour")
    workflows.run_until_idle()
    assert counter.calls == [10, 20, 30]


def test_short_sleeps_are_neither_skipped_nor_rounded(workflows: Workflows, colour: Colour) -> None:
    """TMR-12: twenty of 0.2 s are twenty waits of four seconds in all."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        for _ in range(20):
            await ctx.sleep(0.2)

    execution = flow.start()
    workflows.run_to_end()
    row = of(execution)
    assert row.started_at is not None
    assert row.completed_at is not None
    assert (row.completed_at - row.started_at).total_seconds() >= 4
    deadlines = [one.deadline for one in workflows.journal(execution)]
    assert len(set(deadlines)) == 20


def test_thirty_days_take_no_time(workflows: Workflows, colour: Colour) -> None:
    """The clock of a test can be skipped, and times in the journal show it."""

    @colour()
    async def flow(ctx: AsyncContext) -> float:
        before = await ctx.now()
        await ctx.sleep("30 days")
        return (await ctx.now() - before).total_seconds()

    assert workflows.result(flow.start()) == pytest.approx(30 * 86_400, abs=60)


@pytest.mark.parametrize("duration", ["soon", "3 lightyears", "", None, float("nan"), float("inf")], ids=repr)
def test_what_is_no_duration_is_an_error(workflows: Workflows, colour: Colour, duration: Any) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep(duration)

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    assert workflows.journal(execution) == []


def test_a_moment_must_be_a_datetime(workflows: Workflows, colour: Colour) -> None:
    when: Any = "tomorrow"

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep_until(when)

    with pytest.raises(ExecutionFailed, match="needs a datetime"):
        workflows.result(flow.start())
