"""What bodies raise, return and ask for may be anything: it is a failure of the step, never of the engine."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest

from django_workflows import AsyncContext, NonRetryable, Retry, RetryAfter, StepFailed, step, workflow
from django_workflows.exceptions import DefinitionError
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, Provider, of

FOUR = Retry(max_attempts=4)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")

    __repr__ = __str__


class Demanding(Exception):
    def __init__(self, code: int, *, text: str) -> None:
        self.code = code


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]  # as of everything that defines only equality


class Shy:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # a hostile one
        raise RuntimeError("not to be looked at")


def ring() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(90, 90), (0.5, 0.5), ("2 minutes", 120), (timedelta(hours=3), 10_800), (-5, 0), (timedelta.max, None)],
)
def test_retry_after_takes_what_a_sleep_takes(
    workflows: Workflows, colour: Colour, delay: Any, seconds: float | None
) -> None:
    provider = Provider(1, RetryAfter(delay))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    execution = flow.start()
    if seconds is None:
        workflows.run_until_idle()
        assert (moment := of(execution).wake_at) is not None
        assert moment.year == 9999
        return
    workflows.run_until_idle()
    if seconds > 1:
        workflows.skip(timedelta(seconds=seconds - 1))
        workflows.run_until_idle()
        assert provider.attempts == [1]
    assert workflows.result(execution) == "paid"
    assert provider.attempts == [1, 2]


@pytest.mark.parametrize("is_aware", [True, False])
def test_retry_after_takes_a_moment(workflows: Workflows, colour: Colour, settings: Any, is_aware: bool) -> None:
    settings.TIME_ZONE = "UTC"
    moment = (workflows.now() + timedelta(hours=2)).astimezone(UTC)
    provider = Provider(1, RetryAfter(moment if is_aware else moment.replace(tzinfo=None)))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    execution = flow.start()
    workflows.run_until_idle()
    assert of(execution).wake_at == moment
    assert workflows.result(execution) == "paid"


@pytest.mark.parametrize("delay", ["soon", None, [], float("nan"), object()])
def test_a_retry_after_of_nonsense_fails_the_step_and_says_why(
    workflows: Workflows, colour: Colour, delay: Any
) -> None:
    provider = Provider(9, RetryAfter(delay, "the service is closed"))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            return await ctx.do(provider.charge)
        except StepFailed as failed:
            return f"{failed.type}: {failed.message}"

    told = workflows.result(flow.start())
    assert told.startswith("BrokenRetry: RetryAfter(…): ")
    assert "the service is closed" in told
    assert provider.attempts == [1]


@pytest.mark.parametrize("on_error", ["fail", "retry"])
def test_arguments_that_do_not_fit_the_step_are_not_tried_again(
    workflows: Workflows, colour: Colour, on_error: Any
) -> None:
    ledger = Counter()

    @step(retry=FOUR, on_error=on_error)
    def charge(amount: int) -> int:
        return ledger.count(amount)

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        wrong: Any = charge
        return await ctx.do(wrong, 1, currency="EUR")

    execution = flow.start()
    workflows.run_until_idle()
    row = of(execution)
    assert (row.status, ledger.calls) == (Status.FAILED, [])
    assert row.steps.get().attempts == 1
    assert "unexpected keyword argument 'currency'" in row.reason


def test_a_type_error_of_the_body_is_tried_again(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(2, TypeError("charge() got an unexpected keyword argument"))

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    assert workflows.result(flow.start()) == "paid"


RAISED = {
    "no message": Silent(),
    "arguments": Demanding(3, text="x"),
    "long": ValueError("x" * 5_000_000),
    "nul": ValueError("a\0b\ud800"),
    "group": ExceptionGroup("several", [ValueError("one"), Silent()]),
    "StopIteration": StopIteration(3),
    "GeneratorExit": GeneratorExit(),
    "no class of Exception": BaseException("base"),
}


@pytest.mark.parametrize("raised", RAISED.values(), ids=RAISED)
def test_whatever_a_body_raises_is_its_failure(workflows: Workflows, colour: Colour, raised: BaseException) -> None:
    provider = Provider(9, raised)
    once = step(retry=Retry(max_attempts=2), name="once")(provider.charge)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(once)
        except StepFailed as failed:
            return failed.type
        return ""

    assert workflows.result(flow.start()) == type(raised).__name__
    assert provider.attempts == [1, 2]


RETURNED = {
    "a ring": ring,
    "a generator": lambda: (n for n in range(3)),
    "what raises when compared": Incomparable,
    "what raises when looked at": Shy,
    "an exception": lambda: ValueError("x"),
    "a class": lambda: int,
    "too much": lambda: "x" * 2_000_000,
}


@pytest.mark.parametrize("returned", RETURNED.values(), ids=RETURNED)
def test_whatever_a_body_returns_is_stored_or_its_failure(workflows: Workflows, colour: Colour, returned: Any) -> None:
    ledger = Counter()

    def body():  # type: ignore[no-untyped-def]  # nothing is said of what it returns
        ledger.count()
        return returned()

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(body)
        except StepFailed as failed:
            return failed.type
        return ""

    assert workflows.result(flow.start()) in {"Unserializable", "PayloadTooLarge", "PayloadTooDeep"}
    assert len(ledger) == 1


@pytest.mark.parametrize("predicate", [lambda error: 1 / 0, lambda error: Incomparable() == error])
def test_a_predicate_that_raises_fails_the_step(workflows: Workflows, colour: Colour, predicate: Any) -> None:
    provider = Provider(9, Silent())
    asked = step(retry=Retry(retry_on=predicate), name="asked")(provider.charge)

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            await ctx.do(asked)
        except StepFailed as failed:
            return failed.type
        return ""

    assert workflows.result(flow.start()) == "BrokenPredicate"
    assert provider.attempts == [1]


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": "3"},
        {"max_attempts": 2.5},
        {"backoff": float("nan")},
        {"backoff": None},
        {"jitter": "0.1"},
        {"initial_interval": "soon"},
        {"max_interval": -1},
        {"retry_on": "ValueError"},
        {"retry_on": (ValueError, "KeyError")},
        {"never_on": int},
    ],
)
def test_a_policy_that_cannot_work_is_refused_where_it_is_written(options: Any) -> None:
    with pytest.raises(DefinitionError):
        Retry(**options)


def test_the_longest_pause_with_jitter_is_still_one() -> None:
    policy = Retry(initial_interval=timedelta.max, max_interval=timedelta.max, jitter=1)
    assert all(policy.delay(1) <= timedelta.max for _ in range(50))


@pytest.mark.parametrize("options", [{"queue": ""}, {"queue": 3}, {"retry": 3}, {"retry": {"max_attempts": 1}}])
def test_options_of_another_kind_are_refused_where_they_are_written(options: Any) -> None:
    for decorate in (step, workflow):
        with pytest.raises(DefinitionError):
            decorate(**options)(lambda ctx: None)


def test_a_priority_that_is_no_number_is_refused_where_it_is_written() -> None:
    with pytest.raises(DefinitionError, match="0 to 9"):
        workflow(priority="high")(lambda ctx: None)  # type: ignore[call-overload]  # the mistake


ASKED = {
    "a sleep": lambda ctx: ctx.sleep("soon"),
    "a long sleep": lambda ctx: ctx.sleep(float("inf")),
    "a moment": lambda ctx: ctx.sleep_until("tomorrow"),
    "a timeout": lambda ctx: ctx.wait_for_signal("go", timeout="soon"),
    "items": lambda ctx: ctx.map(len, 5),
    "concurrency": lambda ctx: ctx.map(len, [], concurrency="2"),
    "a name": lambda ctx: ctx.wait_for_signal(3),
    "a label": lambda ctx: ctx.do("a\0b", len, []),
    "the reason of a cancel": lambda ctx: ctx.cancel(3),
    "the reason of a pause": lambda ctx: ctx.pause(None),
    "the id of an event": lambda ctx: ctx.send_event("x", id=3),
    "data": lambda ctx: ctx.send_event("x", {1, object()}),
    "a target": lambda ctx: ctx.signal("nobody", "go"),
    "a branch": lambda ctx: ctx.gather(3),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_nonsense_asked_of_ctx_fails_the_workflow_that_asked(workflows: Workflows, colour: Colour, asked: Any) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await asked(ctx)

    execution = flow.start()
    workflows.run_until_idle()
    row = of(execution)
    assert row.status == Status.FAILED
    assert "engine" not in row.reason


def test_the_reason_of_a_cancel_may_hold_what_no_column_can(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.cancel("a\0b")

    execution = flow.start()
    workflows.run_until_idle()
    assert (of(execution).status, of(execution).reason) == (Status.CANCELLED, "a\ufffdb")


def test_giving_up_now_beats_every_policy(workflows: Workflows, colour: Colour) -> None:
    provider = Provider(9, NonRetryable("never"))
    stubborn = step(retry=FOUR, on_error="retry", name="stubborn")(provider.charge)

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(stubborn)

    execution = flow.start()
    workflows.run_until_idle()
    assert (of(execution).status, provider.attempts) == (Status.FAILED, [1])
