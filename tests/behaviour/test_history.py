"""The history loses nothing: what a row keeps for a while only stands in it as well."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_workflows import AsyncContext, Break, Continue, Retry, StepFailed, step
from django_workflows.client import send_event
from django_workflows.inspection import HistoryItem, timeline
from django_workflows.inspection.attempts import attempts_of
from django_workflows.models import Status, StepResult, StepStatus
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import ONCE, Provider, of


def told(handle: Any, *names: str) -> list[HistoryItem]:
    """The items with these names."""
    return [item for item in timeline(handle.id) if item.name in names]


def test_the_failure_before_a_retry_stays_in_the_history(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(1, ConnectionError("the line is down"))
    charge = step(provider.charge, name="charge", retry=ONCE)

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        return await ctx.do(charge)

    handle = pay.start()
    workflows.run_until_idle()
    failed = of(handle)
    ended_at = failed.completed_at
    assert ended_at is not None
    failed.retry("mended")
    workflows.run_until_idle()

    assert of(handle).status == Status.COMPLETED
    [end] = told(handle, "failed")
    assert end.time >= ended_at
    assert "the line is down" in end.data["reason"]
    assert "the line is down" in end.data["error"]["message"]
    names = [item.title for item in timeline(handle.id)]
    assert [title for title in names if title in {"Failed", "Retry", "Completed"}] == ["Failed", "Retry", "Completed"]
    assert names.index("Step charge failed: ConnectionError (done again since)") < names.index("Failed")


def test_each_end_of_an_execution_that_fails_again_is_told(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(2)
    charge = step(provider.charge, name="charge", retry=ONCE)

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        return await ctx.do(charge)

    handle = pay.start()
    workflows.run_until_idle()
    of(handle).retry()
    workflows.run_until_idle()
    of(handle).retry()
    workflows.run_until_idle()

    assert len(told(handle, "failed")) == 2
    assert [item.name for item in told(handle, "failed", "retry", "completed")] == [
        "failed",
        "retry",
        "failed",
        "retry",
        "completed",
    ]


def test_each_failed_attempt_has_its_beginning_its_end_its_error_and_its_worker(
    workflows: Workflows, colour: Colour
) -> None:
    provider = Provider(2)
    charge = step(
        provider.charge, name="charge", retry=Retry(max_attempts=3, initial_interval="10 seconds", backoff=1, jitter=0)
    )

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        return await ctx.do(charge)

    handle = pay.start()
    workflows.run_until_idle()
    for _ in range(2):
        workflows.skip("10 seconds")
        workflows.run_until_idle()

    row = StepResult.objects.get(execution_id=handle.id)
    first, second, last = attempts_of([row])[row.id]
    assert [attempt.number for attempt in (first, second, last)] == [1, 2, 3]
    moments = [moment for one in (first, second, last) for moment in (one.started_at, one.ended_at)]
    assert None not in moments
    assert moments == sorted(moments)  # type: ignore[type-var]  # none of them is None
    assert first.error is not None
    assert second.error is not None
    assert last.error is None
    assert {first.worker, second.worker, last.worker} == {row.worker}
    assert row.worker.rpartition(":")[2].isdigit()
    errors = [item for item in timeline(handle.id) if item.type == "error"]
    assert [datetime.fromisoformat(item.data["started_at"]) for item in errors] == [first.started_at, second.started_at]


def test_a_pause_is_told_with_its_reason_which_a_resume_clears(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(1)
    charge = step(provider.charge, name="charge", retry=ONCE, on_error="pause")

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        return await ctx.do(charge)

    handle = pay.start()
    workflows.run_until_idle()
    reason = of(handle).reason
    assert reason
    of(handle).resume()
    workflows.run_until_idle()

    assert of(handle).reason == ""
    [pause] = told(handle, "paused")
    assert pause.data["reason"] == reason
    [resume] = told(handle, "resume")
    assert resume.data["former_reason"] == reason
    assert pause.time < resume.time


def test_the_input_of_an_earlier_generation_is_kept(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def count(ctx: AsyncContext, number: int) -> int:
        if number < 2:
            await ctx.continue_as_new(number=number + 1)
        return number

    handle = count.start(number=0)
    workflows.run_until_idle()

    assert of(handle).input == {"number": 2}
    past = told(handle, "continued as new")
    assert [(item.data["generation"], item.data["input"]) for item in past] == [(0, {"number": 0}), (1, {"number": 1})]


def test_an_event_that_nobody_asked_for_before_the_next_generation_is_told(
    workflows: Workflows, colour: Colour
) -> None:
    @colour()
    async def listen(ctx: AsyncContext, again: bool = True) -> None:
        if again:
            await ctx.race(lambda c: c.wait_for_signal("go"), lambda c: c.wait_for_event("news"))
            await ctx.continue_as_new(again=False)

    handle = listen.start()
    workflows.run_until_idle()
    send_event("news", {"n": 1})
    handle.signal("go")
    workflows.run_until_idle()

    assert of(handle).status == Status.COMPLETED
    [given_up] = [item for item in told(handle, "news") if item.data.get("discarded")]
    assert given_up.step_key
    assert given_up.title == "Event news was given up: nobody had asked for it before the next generation"


def test_what_a_superseded_step_had_come_to_is_kept(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(1)
    charge = step(provider.charge, name="charge", retry=ONCE)

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        return await ctx.do(charge)

    handle = pay.start()
    workflows.run_until_idle()
    of(handle).retry()
    workflows.run_until_idle()

    old, new = StepResult.objects.filter(execution_id=handle.id).order_by("status").reverse()
    assert (old.status, old.outcome) == (StepStatus.SUPERSEDED, StepStatus.FAILED)
    assert (new.status, new.outcome) == (StepStatus.SUCCEEDED, StepStatus.SUCCEEDED)
    [retry] = told(handle, "retry")
    assert retry.data["claim"] == old.superseded


def test_a_step_of_an_earlier_iteration_that_failed_is_told_as_failed(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(1)
    charge = step(provider.charge, name="charge", retry=ONCE)

    @colour()
    async def pay(ctx: AsyncContext) -> str:
        async def attempt(ctx: AsyncContext, state: int) -> Any:
            try:
                return Break(await ctx.do(charge))
            except StepFailed:
                return Continue(state + 1)

        paid: str = await ctx.loop(attempt, 0)
        return paid

    handle = pay.start()
    workflows.run_until_idle()

    titles = [item.title for item in timeline(handle.id)]
    assert "Step charge failed: ConnectionError" in titles
    assert "Step charge succeeded" in titles
    rows = StepResult.objects.filter(execution_id=handle.id, status=StepStatus.FORGOTTEN)
    assert {row.outcome for row in rows} == {StepStatus.FAILED, StepStatus.SUCCEEDED}


def test_what_was_open_when_an_execution_was_cancelled_is_not_told_as_done(
    workflows: Workflows, colour: Colour
) -> None:
    @colour()
    async def nap(ctx: AsyncContext) -> None:
        await ctx.sleep("1 day")

    handle = nap.start()
    workflows.run_until_idle()
    of(handle).cancel("no time")
    workflows.run_until_idle()

    titles = [item.title for item in timeline(handle.id)]
    assert "Slept no longer" in titles
    assert "Woke up" not in titles
