"""`lookback`: a wait that also accepts what was published shortly before it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_workflows import AsyncContext
from django_workflows.client import send_event
from django_workflows.engine.events import lookback as looking_back
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.test_events import started, waiter


def test_an_event_shortly_before_is_found_by_looking_back(workflows: Workflows, colour: Colour) -> None:
    """EVT-02: lookback, as far as it goes; the same event comes once."""
    send_event("paid", {"order": 7, "n": "too old"})
    workflows.skip("2 hours")
    send_event("paid", {"order": 8, "n": "of another"})
    send_event("paid", {"order": 7, "n": "before"})
    execution = waiter(colour, 2, lookback="1 hour", timeout="1 day").start(7)
    workflows.run_until_idle()
    send_event("paid", {"order": 7, "n": "after"})
    got = workflows.result(execution)
    assert [data["n"] for data in got] == ["before", "after"]


def test_looking_back_survives_a_wait_that_was_only_just_stored(workflows: Workflows) -> None:
    """EVT-02: a turn that ends between the wait and the look finds the event in the next one."""
    send_event("paid", {"n": 1})
    workflows.run_until_idle()

    @Colour("async def")()
    async def flow(ctx: AsyncContext) -> Any:
        await ctx.do(abs, 1)
        message = await ctx.wait_for_event("paid", lookback="1 hour", timeout="1 day")
        return message and message.data

    with Workflows(evict=True) as evicting:
        assert evicting.result(flow.start()) == {"n": 1}


def test_looking_back_no_event_is_missed_between_two_waits(workflows: Workflows, colour: Colour) -> None:
    """EVT-09: published all at once, received one after the other, oldest first."""
    execution = started(workflows, waiter(colour, 6, lookback="1 hour", timeout="1 day"))
    for n in range(5):
        send_event("paid", n)
        workflows.skip(0.002)  # SQLite's clock knows milliseconds
    assert workflows.result(execution) == [0, 1, 2, 3, 4, None]


def test_a_wait_without_patience_looks_back_all_the_same(workflows: Workflows, colour: Colour) -> None:
    send_event("paid", 1)
    workflows.run_until_idle()
    execution = started(workflows, waiter(colour, 2, lookback="1 hour", timeout=0))
    assert execution.result(timeout=0) == [1, None]


@pytest.mark.parametrize("lookback", ["1 hour", timedelta.max], ids=str)
def test_looking_back_passes_by_what_is_for_others(workflows: Workflows, colour: Colour, lookback: Any) -> None:
    """However many they are."""
    for n in range(30):
        send_event("paid", {"order": n})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looking_back, "PUBLISHED_BETWEEN", looking_back.PUBLISHED_BETWEEN.replace("1000", "7"))
        execution = started(workflows, waiter(colour, lookback=lookback, timeout="1 hour"), 29)
    assert workflows.result(execution) == [{"order": 29}]
