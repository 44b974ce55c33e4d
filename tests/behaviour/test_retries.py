"""Attempts and back-off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_workflows import (
    AsyncContext,
    Context,
    ExecutionFailed,
    NonRetryable,
    Retry,
    RetryAfter,
    step,
    workflow,
)
from django_workflows.models import Event, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Provider, of

TEN_SECONDS = Retry(max_attempts=4, initial_interval=10, backoff=2, jitter=0)


@pytest.mark.parametrize("body", ["charge", "acharge"])
def test_a_step_is_tried_until_it_succeeds(workflows: Workflows, colour: Colour, body: str) -> None:
    """RTY-01: attempts 1 to 3, and the result of the last."""
    provider = Provider(2)

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return await ctx.do(step(getattr(provider, body), retry=Retry(max_attempts=5)))

    execution = flow.start()
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2, 3]
    assert workflows.journal(execution)[0].attempts == 3


def test_attempts_are_used_up(workflows: Workflows, colour: Colour) -> None:
    """RTY-02: exactly three, all of them recorded with type, message and traceback; the last one surfaces."""
    provider = Provider(99)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(provider.charge)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match=r"failed after 3 attempt\(s\): ConnectionError: down"):
        workflows.result(execution)
    assert provider.attempts == [1, 2, 3]
    history = Event.objects.filter(execution=execution.id, type="error", name="charge").order_by("created_at")
    assert [event.data["attempt"] for event in history] == [1, 2, 3]
    assert {event.data["error"]["type"] for event in history} == {"ConnectionError"}
    assert all("raise self.error" in event.data["error"]["traceback"] for event in history)


def test_there_is_no_pause_after_the_last_attempt(workflows: Workflows, colour: Colour) -> None:
    """RTY-04: failed at once when the second of two attempts has failed."""
    provider = Provider(99)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(provider.charge, retry=Retry(max_attempts=2, initial_interval=60, jitter=0)))

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    workflows.skip("61 seconds")
    workflows.run_until_idle()
    assert (of(execution).status, provider.attempts) == (Status.FAILED, [1, 2])


@pytest.mark.parametrize("error", [NonRetryable("stolen"), NonRetryable()])
def test_non_retryable_is_final(workflows: Workflows, colour: Colour, error: Exception) -> None:
    """RTY-05: one attempt."""
    provider = Provider(99, error)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(provider.charge)

    with pytest.raises(ExecutionFailed, match="NonRetryable"):
        workflows.result(flow.start())
    assert provider.attempts == [1]


SELECTORS: list[tuple[str, dict[str, Any], Exception, int]] = [
    ("type matches", {"retry_on": ConnectionError}, ConnectionError(), 3),
    ("subclass matches", {"retry_on": (OSError, KeyError)}, ConnectionError(), 3),
    ("type does not match", {"retry_on": KeyError}, ConnectionError(), 1),
    ("predicate matches", {"retry_on": lambda error: "429" in str(error)}, ValueError("429 slow down"), 3),
    ("predicate does not match", {"retry_on": lambda error: "429" in str(error)}, ValueError("400"), 1),
    ("never_on matches", {"never_on": ValueError}, ValueError(), 1),
    ("never_on predicate matches", {"never_on": lambda error: True}, ValueError(), 1),
    ("never_on does not match", {"never_on": KeyError}, ValueError(), 3),
]


@pytest.mark.parametrize(("case", "keywords", "error", "attempts"), SELECTORS, ids=[case for case, *_ in SELECTORS])
def test_only_matching_errors_are_retried(
    workflows: Workflows, case: str, keywords: dict[str, Any], error: Exception, attempts: int
) -> None:
    """RTY-06: types and predicates."""
    provider = Provider(99, error)

    @workflow
    def flow(ctx: Context) -> None:
        ctx.do(step(provider.charge, retry=Retry(max_attempts=3, **keywords)))

    with pytest.raises(ExecutionFailed):
        workflows.result(flow.start())
    assert len(provider.attempts) == attempts


def test_back_off_is_kept_in_the_database(workflows: Workflows) -> None:
    """RTY-08: a worker that dies during back-off neither restarts nor skips it, nor grants further attempts."""
    provider = Provider(99)

    @workflow
    def flow(ctx: Context) -> None:
        ctx.do(step(provider.charge, retry=TEN_SECONDS))

    execution = flow.start()
    started = workflows.now()
    moments = []
    workflows.run_until_idle()
    while (moment := workflows.skip_to_next()) is not None:
        moments.append(round((moment - started).total_seconds()))
        with Workflows() as another_worker:
            another_worker.close = lambda: None  # type: ignore[method-assign]  # the clock stays where it is
            another_worker.run_until_idle()
    assert moments == pytest.approx([10, 30, 70], abs=3)  # attempts take their time too, on a slow machine
    assert provider.attempts == [1, 2, 3, 4]
    assert of(execution).status == Status.FAILED


def test_backing_off_is_visible(workflows: Workflows, colour: Colour) -> None:
    """RTY-08: the row tells how many attempts were made, what went wrong, and when the next one is."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(Provider(99).charge, retry=TEN_SECONDS))

    execution = flow.start()
    workflows.run_until_idle()
    (row,) = workflows.journal(execution)
    assert (row.status, row.attempts, row.error["message"]) == ("scheduled", 1, "down")
    assert row.deadline == of(execution).wake_at
    assert (of(execution).status, of(execution).current_step) == (Status.WAITING, "charge")


def test_backing_off_holds_nobody_up(workflows: Workflows, colour: Colour) -> None:
    """RTY-09: no slot is held."""

    @colour()
    async def stubborn(ctx: AsyncContext) -> None:
        await ctx.do(step(Provider(99).charge, retry=TEN_SECONDS))

    @colour()
    async def quick(ctx: AsyncContext) -> str:
        return "done"

    stubborn.start()
    execution = quick.start()
    workflows.run_until_idle()
    assert execution.result(timeout=0) == "done"


@pytest.mark.parametrize("keyword", ["retry_on", "never_on"])
def test_a_predicate_that_raises_ends_the_step_and_is_named(workflows: Workflows, colour: Colour, keyword: str) -> None:
    """RTY-10: no endless retry."""
    provider = Provider(99)

    def is_temporary(error: BaseException) -> bool:
        raise KeyError("status")

    selectors: dict[str, Any] = {keyword: is_temporary}

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(step(provider.charge, retry=Retry(**selectors)))

    with pytest.raises(ExecutionFailed, match=f"BrokenPredicate: Retry.{keyword}=.*is_temporary. raised KeyError"):
        workflows.result(flow.start())
    assert provider.attempts == [1]


def test_a_step_says_itself_when_to_try_again(workflows: Workflows, colour: Colour) -> None:
    """Semantics 4: RetryAfter instead of the policy's pause; it counts as an attempt."""
    provider = Provider(2, RetryAfter(timedelta(hours=3)))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    execution = flow.start()
    workflows.run_until_idle()
    wait = of(execution).wake_at
    assert wait is not None
    assert 10_700 < (wait - workflows.now()).total_seconds() < 10_801
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2, 3]


def test_retry_after_is_bounded_by_the_attempts(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(99, RetryAfter(timedelta(seconds=1), "slow down"))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    with pytest.raises(ExecutionFailed, match="slow down"):
        workflows.result(flow.start())
    assert provider.attempts == [1, 2, 3]


def test_without_a_limit_a_step_is_tried_until_it_succeeds(workflows: Workflows, colour: Colour) -> None:
    """Semantics 4: max_attempts=None; the pause grows to max_interval and no further."""
    provider = Provider(40)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(step(provider.charge, retry=Retry(max_attempts=None, max_interval="1 hour", jitter=0)))

    started = workflows.now()
    assert workflows.result(flow.start()) == "paid"
    assert len(provider.attempts) == 41
    doubling = sum(2**n for n in range(12))
    assert (workflows.now() - started).total_seconds() == pytest.approx(doubling + 28 * 3600, abs=60)
