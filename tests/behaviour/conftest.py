"""The behavioural tests run with both colours, and twice: as a worker goes on, and evicted at every wait and step.

With `HOSTILE=name` in the environment they run once, in the surroundings of that name (`tests/proof/hostility.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from django_workflows import AsyncContext
from django_workflows.authoring.registry import registry
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, double
from tests.proof.hostility import SURROUNDINGS, surrounded_by
from tests.proof.surroundings import TAME, TAME_IN


def in_one_process(db: None, request: pytest.FixtureRequest) -> Iterator[Workflows]:
    with Workflows(evict=request.param != "normal") as workflows:
        yield workflows


def among_workers(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Workflows]:
    name = request.node.originalname
    if reason := TAME.get(name) or TAME_IN.get((request.param, name)):
        pytest.skip(reason)
    with surrounded_by(request.param) as workflows:
        yield workflows


HOSTILE = os.environ.get("HOSTILE", "")
if HOSTILE in SURROUNDINGS:
    workflows = pytest.fixture(params=[HOSTILE])(among_workers)
else:
    workflows = pytest.fixture(params=["eviction"] if HOSTILE else ["normal", "eviction"])(in_one_process)


@pytest.fixture(params=["def", "async def"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


@pytest.fixture
def children(colour: Colour) -> None:
    """Registers `child`, which doubles a number an hour later, and `failing`, which does what its name says."""

    @colour(name="child")
    async def child(ctx: AsyncContext, n: int) -> int:
        await ctx.sleep("1 hour")
        return await ctx.do(double, n)

    @colour(name="failing")
    async def failing(ctx: AsyncContext, n: int = 0) -> None:
        await ctx.do(double, n)
        raise LookupError(f"no shelf {n}")


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone with it."""
    for name, table in vars(registry).items():
        if isinstance(table, dict):
            monkeypatch.setattr(registry, name, _copy(table))


def _copy(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value.copy() if isinstance(value, dict | set) else value for name, value in table.items()}
