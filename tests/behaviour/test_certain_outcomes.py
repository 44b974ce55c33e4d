"""Workers that die in bodies, again and again: what a body has acted upon is what every later attempt acts upon."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from django_workflows import AsyncContext, Break, Continue, Retry, client, current_step, step
from django_workflows.authoring.registry import registry
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import of

SEEDS = range(10)
DEATHS = 12  # at most, in one execution


class Ledger:
    """What bodies were called with; a worker dies in some of them."""

    def __init__(self, random: Random) -> None:
        self.seen: dict[str, Any] = {}
        self.deaths = 0
        self.random = random

    def act(self, *args: Any) -> None:
        key = current_step().idempotency_key
        assert self.seen.setdefault(key, args) == args, "another attempt had other values"
        if self.deaths < DEATHS and self.random.random() < 0.5:
            self.deaths += 1
            raise SystemExit


def is_message(message: Any) -> Any:
    return None if message is None else (message.data, str(message.id))


Act = Callable[[AsyncContext, Any], Any]
PIECES: dict[str, Act] = {}


def piece(fn: Act) -> Act:
    PIECES[fn.__name__] = fn
    return fn


@piece
async def signal(ctx: AsyncContext, act: Any) -> None:
    await ctx.do(act, is_message(await ctx.wait_for_signal("go")))


@piece
async def two_signals(ctx: AsyncContext, act: Any) -> None:
    first, second = await ctx.wait_for_signal("go"), await ctx.wait_for_signal("go")
    await ctx.do(act, is_message(first), is_message(second))


@piece
async def impatient(ctx: AsyncContext, act: Any) -> None:
    await ctx.do(act, is_message(await ctx.wait_for_signal("go", timeout="10 minutes")))


@piece
async def very_impatient(ctx: AsyncContext, act: Any) -> None:
    await ctx.do(act, is_message(await ctx.wait_for_signal("go", timeout=0)))


@piece
async def sleeping(ctx: AsyncContext, act: Any) -> None:
    await ctx.sleep("20 minutes")
    await ctx.do(act, "slept")


@piece
async def event(ctx: AsyncContext, act: Any) -> None:
    await ctx.do(act, is_message(await ctx.wait_for_event("news", timeout="30 minutes")))


@piece
async def looking_back(ctx: AsyncContext, act: Any) -> None:
    found = await ctx.wait_for_event("news", timeout="30 minutes", lookback="1 hour")
    await ctx.do(act, is_message(found))


@piece
async def race(ctx: AsyncContext, act: Any) -> None:
    winner = await ctx.race(lambda c: c.wait_for_signal("go"), lambda c: c.sleep("15 minutes"))
    await ctx.do(act, winner.index, is_message(winner.value))
    await ctx.do(act, is_message(await ctx.wait_for_signal("go")))


@piece
async def gather(ctx: AsyncContext, act: Any) -> None:
    async def branch(c: AsyncContext) -> None:
        await c.do("act", act, is_message(await c.wait_for_signal("go")))

    await ctx.gather(branch, branch)
    await ctx.do(act, is_message(await ctx.wait_for_signal("go")))


@piece
async def now(ctx: AsyncContext, act: Any) -> None:
    moment = await ctx.now()
    await ctx.sleep("1 minute")
    await ctx.do(act, moment.isoformat(), (await ctx.now()).isoformat())


@piece
async def loop(ctx: AsyncContext, act: Any) -> None:
    async def body(c: AsyncContext, state: int) -> Any:
        await c.do("act", act, state, is_message(await c.wait_for_signal("go")))
        return Continue(state + 1) if state < 2 else Break(state)

    await ctx.loop(body, 0)
    await ctx.do(act, "looped")


@piece
async def children(ctx: AsyncContext, act: Any) -> None:
    child = registry.workflow("reads a signal")
    handle = await ctx.start(child)
    await ctx.do(act, is_message(await ctx.wait_for_signal("go")))
    await ctx.do(act, await handle.result())
    await ctx.do(act, await ctx.map(child, [1, 2]))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_attempt_acts_upon_anything_else_than_the_one_before(
    workflows: Workflows, colour: Colour, seed: int
) -> None:
    """STP-02, EVT-01, TMR-01: whatever arrives while it is down, and whatever an operator does meanwhile."""
    random = Random(seed)
    ledger = Ledger(random)
    act = step(ledger.act, retry=Retry(max_attempts=1))

    @colour(name="reads a signal")
    async def child(ctx: AsyncContext, item: int = 0) -> int:
        await ctx.sleep("1 minute")
        await ctx.do(act, item)
        return item

    chosen = random.choices(sorted(PIECES), k=4)

    @colour(name="flow")
    async def flow(ctx: AsyncContext) -> str:
        for name in chosen:
            await PIECES[name](ctx, act)
        return "done"

    execution = flow.start()
    sent = 0
    for _ in range(400):
        with suppress(SystemExit):
            workflows.run_until_idle()
        if of(execution).status == "completed":
            break
        match random.randrange(5):
            case 0 | 1:
                sent += 1
                execution.signal("go", sent)
            case 2:
                client.send_event("news", {"number": sent})
            case 3:
                workflows.skip(timedelta(minutes=random.randrange(12)))
            case 4:
                workflows.skip("2 hours")
    assert of(execution).status == "completed", (chosen, of(execution).reason)
