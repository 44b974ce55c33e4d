"""Whatever the latencies, on the first run and on every replay: the same results.

A hundred seeds each under `make proof`, a part of them otherwise; with the odd ones the execution is evicted at every
step.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from django.db import connection

from django_workflows import AsyncContext, Break, Continue, workflow
from django_workflows.models import Status
from django_workflows.testing import Workflows
from tests.behaviour.common import of
from tests.proof.sampling import RUNS_ALL

pytestmark = pytest.mark.django_db

# What is tried happens in memory: a few seeds will do on a second database. An odd step takes odd and even ones.
SEEDS = range(0, 100, 1 if RUNS_ALL else 5 if connection.vendor == "sqlite" else 13)


class Latency:
    """Steps and pauses of random length, other ones on every replay."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    async def pause(self, most: int = 4) -> None:
        for _ in range(self._dice.randrange(most)):
            await asyncio.sleep(0)

    async def fetch(self, value: Any) -> Any:
        await self.pause()
        return value


def length_of(branch: int) -> int:
    """What a branch does must not depend on timing: its own dice always fall the same."""
    return random.Random(branch).randrange(1, 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_branch_keeps_its_own_results(seed: int) -> None:
    """STP-05, PAR-02: ten branches of several steps, gathered by asyncio."""
    latency = Latency(seed)

    @workflow
    async def flow(ctx: AsyncContext) -> list[list[str]]:
        async def branch(name: int) -> list[str]:
            results = []
            for number in range(length_of(name)):
                results.append(await ctx.do("fetch", latency.fetch, f"{name}.{number}"))
                await latency.pause()
            return results

        return await asyncio.gather(*[branch(name) for name in range(10)])

    with Workflows(evict=seed % 2 == 1) as workflows:
        got = workflows.result(flow.start())
    assert got == [[f"{name}.{number}" for number in range(length_of(name))] for name in range(10)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_completion_is_remembered(seed: int) -> None:
    """PAR-02: what is done in the order of completion is done in the recorded one by every replay."""
    latency = Latency(seed)

    @workflow
    async def flow(ctx: AsyncContext) -> list[int]:
        order = []
        calls = [asyncio.ensure_future(ctx.do(latency.fetch, number)) for number in range(8)]
        for call in asyncio.as_completed(calls):
            number = await call
            await latency.pause()
            order.append(await ctx.do(f"after {number}", latency.fetch, number))  # another name in another order
        return order

    with Workflows(evict=seed % 2 == 1) as workflows:
        execution = flow.start()
        workflows.run_to_end()
    assert of(execution).status == Status.COMPLETED, of(execution).reason
    assert sorted(execution.result(timeout=0)) == list(range(8))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_race_in_a_loop_has_one_winner_per_iteration(seed: int) -> None:
    """PAR-05: three racers of random length, five times."""
    latency = Latency(seed)

    @workflow
    async def flow(ctx: AsyncContext) -> list[str]:
        async def racer(c: AsyncContext, number: int) -> int:
            await c.do(latency.fetch, number)
            await latency.pause()
            return await c.do(latency.fetch, number)

        async def body(c: AsyncContext, seen: list[str]) -> Continue | Break:
            winner = await c.race(*[lambda b, n=n: racer(b, n) for n in range(3)])
            assert winner.value == winner.index
            seen = [*seen, await c.do(f"after {winner.index}", latency.fetch, f"{len(seen)}: {winner.index}")]
            return Continue(seen) if len(seen) < 5 else Break(seen)

        result: list[str] = await ctx.loop(body, [])
        return result

    with Workflows(evict=seed % 2 == 1) as workflows:
        execution = flow.start()
        workflows.run_to_end()
    assert of(execution).status == Status.COMPLETED, of(execution).reason
    assert [text.split(":")[0] for text in execution.result(timeout=0)] == ["0", "1", "2", "3", "4"]
