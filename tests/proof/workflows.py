"""What the processes under trial execute; the names begin with `proof_`, as they share a registry with others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group

from django_workflows import (
    AsyncContext,
    Break,
    Context,
    Continue,
    ExecutionCancelled,
    ExecutionFailed,
    Retry,
    StepFailed,
    current_step,
    step,
    workflow,
)
from django_workflows.client import answer_token
from django_workflows.exceptions import TokenSpent
from tests.sample.ledger import here

SOON = 0.01
PATIENCE = 60.0
ATTEMPTS = 3

_at_once = Retry(max_attempts=ATTEMPTS, initial_interval=SOON, jitter=0)
_until_done = Retry(max_attempts=None, initial_interval=SOON, max_interval=SOON)

# steps


@step
def proof_effect(label: str) -> str:
    """An effect outside, noted with its idempotency key."""
    here().enter(label)
    return label


@step
async def proof_async_effect(label: str) -> str:
    here().enter(label)
    await asyncio.sleep(0)
    return label


@step(atomic=True, retry=_until_done)
def proof_business(label: str) -> str:
    """An effect in the database itself: nothing there would stop a second row."""
    Group.objects.create(name=f"{current_step().execution_id} {label} {uuid4().hex}")
    return label


@step(retry=_at_once)
def proof_flaky(label: str) -> str:
    """Succeeds with its last attempt."""
    if here().enter(label).attempt < ATTEMPTS:
        raise ConnectionError(label)
    return label


@step(retry=_at_once)
def proof_broken(label: str) -> str:
    here().enter(label)
    raise ConnectionError(label)


@step(retry=_until_done)
def proof_answer(url: str) -> None:
    """Somebody outside follows a link; the next attempt finds that it was."""
    with suppress(TokenSpent):
        answer_token(url.rpartition("/")[2], "signed")


# children


@workflow
def proof_kid(ctx: Context, number: int) -> int:
    ctx.do(proof_effect, f"kid {number}")
    return number


@workflow
def proof_doomed(ctx: Context) -> None:
    ctx.do(proof_effect, "doomed")
    raise ValueError("as planned")


@workflow
def proof_quitter(ctx: Context) -> None:
    ctx.do(proof_business, "quitter")
    ctx.cancel("enough")


@workflow
def proof_renewed(ctx: Context, number: int) -> int:
    """Starts over twice."""
    ctx.do(proof_effect, f"renewed {number}")
    if number < 2:
        ctx.continue_as_new(number + 1)
    return number


@workflow
def proof_messenger(ctx: Context) -> None:
    """Writes home."""
    ctx.do(proof_effect, "messenger")
    ctx.signal(ctx.execution.parent, "letter", "dear parent")


@workflow
def proof_sleeper(ctx: Context) -> None:
    ctx.sleep("1 hour")


@workflow
async def proof_async_kid(ctx: AsyncContext) -> list[Any]:
    """The features again, awaited."""
    first = await asyncio.gather(
        ctx.do(proof_async_effect, "async a"), ctx.do(proof_effect, "async b"), ctx.sleep(SOON), ctx.random()
    )
    letter = await ctx.wait_for_signal("letter", timeout=PATIENCE)
    winner = await ctx.race(ctx.wait_for_signal("never"), ctx.do(proof_flaky, "async flaky"))
    children = await ctx.gather(ctx.run(proof_kid, 40), lambda ctx: ctx.run(proof_kid, 41))
    await ctx.do(proof_business, "async business")
    return [first[:2], letter.data if letter else None, winner.index, children]


# one workflow that uses every feature


@workflow
def proof_everything(ctx: Context) -> dict[str, Any]:
    """Needs nobody: what it waits for it sends itself, but for the signal "go"."""
    return {
        "steps": _steps(ctx),
        "waits": _waits(ctx),
        "messages": _messages(ctx),
        "family": _family(ctx),
        "failures": _failures(ctx),
        "branches": _branches(ctx),
        "last": ctx.do(proof_effect, "last"),
    }


def _steps(ctx: Context) -> list[Any]:
    ctx.state["token"] = str(ctx.uuid())
    return [
        ctx.do(proof_effect, "one"),
        ctx.do(proof_async_effect, "two"),
        ctx.do(proof_business, "three"),
        ctx.do(proof_flaky, "four"),
        ctx.do(proof_effect.using(timeout=PATIENCE), "five"),
    ]


def _waits(ctx: Context) -> list[Any]:
    ctx.sleep(SOON)
    go = ctx.wait_for_signal("go")
    link = ctx.token(timeout=PATIENCE)
    ctx.do(proof_answer, link.url)
    return [
        go.data if go else None,
        link.wait(),
        ctx.token(timeout=SOON).wait(),
        ctx.wait_for_signal("never", timeout=SOON),
        ctx.wait_for_event("proof.never", timeout=SOON),
    ]


def _messages(ctx: Context) -> list[Any]:
    own = {"order": str(ctx.execution.id)}

    def listen(ctx: Context) -> Any:
        message = ctx.wait_for_event("proof.paid", match=own, timeout=PATIENCE)
        return message.data["amount"] if message else None

    def publish(ctx: Context) -> None:
        ctx.sleep(SOON)  # by then the wait is stored
        ctx.send_event("proof.paid", {**own, "amount": 7})

    heard, _ = ctx.gather(listen, publish)
    ctx.send_event("proof.past", own, id=f"past-{ctx.execution.id}")
    past = ctx.wait_for_event("proof.past", match=own, lookback="1 hour", timeout=PATIENCE)
    messenger = ctx.start(proof_messenger)
    letter = ctx.wait_for_signal("letter", timeout=PATIENCE)
    messenger.result()
    return [heard, past is not None, letter.data if letter else None]


def _family(ctx: Context) -> list[Any]:
    own = str(ctx.execution.id)
    asynchronous = ctx.start(proof_async_kid)
    ctx.signal(asynchronous.id, "letter", "dear child")
    return [
        ctx.run(proof_kid, 1),
        ctx.map(proof_kid, [10, 11, 12]),
        ctx.map(proof_kid, [20, 21, 22], concurrency=2),
        ctx.run(proof_kid.using(key=own), 30),
        ctx.run(proof_kid.using(idempotency_key=own, delay=SOON), 31),
        ctx.run(proof_renewed, 0),
        asynchronous.result(),
    ]


def _failures(ctx: Context) -> list[str]:
    def name_of_error(fn: Callable[[], Any]) -> str:
        try:
            fn()
        except (StepFailed, ExecutionFailed, ExecutionCancelled) as error:
            return type(error).__name__
        return "none"

    return [
        name_of_error(lambda: ctx.do(proof_broken, "broken")),
        name_of_error(lambda: ctx.run(proof_doomed)),
        name_of_error(lambda: ctx.run(proof_quitter)),
    ]


def _branches(ctx: Context) -> list[Any]:
    def long(ctx: Context) -> str:
        ctx.do(proof_effect, "long 1")
        ctx.sleep(SOON)
        return ctx.do(proof_effect, "long 2")

    def again(ctx: Context, number: int) -> Continue | Break:
        ctx.do(proof_effect, f"iteration {number}")
        ctx.sleep(SOON)
        return Break(number) if number == 2 else Continue(number + 1)

    return [
        ctx.gather(long, lambda ctx: ctx.do(proof_business, "short")),
        ctx.map(proof_effect, ["item 1", "item 2"]),
        ctx.race(lambda ctx: ctx.wait_for_signal("never"), lambda ctx: ctx.do(proof_effect, "racer")).index,
        ctx.race(lambda ctx: ctx.run(proof_sleeper), lambda ctx: ctx.do(proof_effect, "heir")).index,
        ctx.loop(again, 0),
    ]


OUTPUT = {
    "steps": ["one", "two", "three", "four", "five"],
    "waits": ["hello", "signed", None, None, None],
    "messages": [7, True, "dear parent"],
    "family": [1, [10, 11, 12], [20, 21, 22], 30, 31, 2, [["async a", "async b"], "dear child", 1, [40, 41]]],
    "failures": ["StepFailed", "ExecutionFailed", "ExecutionCancelled"],
    "branches": [["long 2", "short"], ["item 1", "item 2"], 1, 1, 2],
    "last": "last",
}

# How often each body is called when nothing happens.
CALLS = {
    **dict.fromkeys(("one", "two", "five", "messenger", "doomed", "last", "async a", "async b"), 1),
    **{f"kid {number}": 1 for number in (1, 10, 11, 12, 20, 21, 22, 30, 31, 40, 41)},
    **{f"renewed {number}": 1 for number in range(3)},
    **dict.fromkeys(("long 1", "long 2", "item 1", "item 2", "racer", "heir"), 1),
    **{f"iteration {number}": 1 for number in range(3)},
    **dict.fromkeys(("four", "broken", "async flaky"), ATTEMPTS),
}

# Rows that transactional steps leave.
ROWS = ("three", "quitter", "async business", "short")


# small ones, for two sessions at once


@workflow
def proof_receiver(ctx: Context, timeout: float | None = None) -> Any:
    message = ctx.wait_for_signal("go", timeout=timeout)
    return message.data if message else "timeout"


@workflow
def proof_subscriber(ctx: Context, number: int) -> Any:
    message = ctx.wait_for_event("proof.happened", match={"number": number}, lookback="1 hour")
    return message.data["word"] if message else None


@workflow
def proof_leaf(ctx: Context, number: int) -> int:
    return number


@workflow
def proof_parent(ctx: Context, count: int) -> list[int]:
    return ctx.map(proof_leaf, range(count))


@workflow
def proof_founder(ctx: Context) -> None:
    """Starts children that go on for long."""
    first, second = ctx.start(proof_sleeper), ctx.start(proof_sleeper)
    first.result()
    second.result()


@workflow
def proof_failing(ctx: Context) -> None:
    raise ValueError("as planned")


@workflow
def proof_renewing(ctx: Context, number: int = 0) -> Any:
    """Starts over, and waits then."""
    if number == 0:
        ctx.continue_as_new(1)
    return ctx.run(proof_leaf, 1) if number == 0 else proof_receiver.fn(ctx)


@step
def proof_add(label: str) -> str:
    """An effect in the database without a fence: each call leaves a row."""
    Group.objects.create(name=f"{label} {uuid4().hex}")
    return label


@workflow
def proof_adding(ctx: Context, label: str) -> list[str]:
    return [ctx.do(proof_add, label), ctx.do(proof_business, label)]


@workflow
def proof_writing(ctx: Context, other: str) -> None:
    """Writes to others before it ends."""
    ctx.state["phase"] = "writing"
    ctx.signal(other, "late")
    ctx.send_event("proof.late")
    ctx.do(proof_business, "late")


@step
async def proof_slow(seconds: float) -> None:
    await asyncio.sleep(seconds)


@workflow
async def proof_robbed(ctx: AsyncContext) -> int:
    """Branches that all want to go on at the moment at which the execution is taken away."""

    async def branch(ctx: AsyncContext) -> None:
        await ctx.do(proof_slow, 0.3)
        await ctx.do(proof_async_effect, "heir")

    winner = await ctx.race(lambda ctx: ctx.wait_for_event("proof.never"), branch, branch)
    return winner.index


# many at once


@workflow
def proof_race(ctx: Context) -> int:
    return ctx.race(lambda ctx: ctx.run(proof_sleeper), lambda ctx: ctx.do(proof_effect, "heir")).index


@workflow
async def proof_async_race(ctx: AsyncContext) -> int:
    winner = await ctx.race(lambda ctx: ctx.run(proof_sleeper), lambda ctx: ctx.do(proof_async_effect, "heir"))
    return winner.index


@workflow
def proof_deadline(ctx: Context, number: int, seconds: float, is_event: bool) -> str:
    """Waits until a deadline, and replays what it came to."""
    if is_event:
        message = ctx.wait_for_event("proof.deadline", match={"number": number}, timeout=seconds)
    else:
        message = ctx.wait_for_signal("deadline", timeout=seconds)
    branch = "message" if message else "timeout"
    ctx.do(proof_effect, branch)
    ctx.sleep(SOON)
    return branch
