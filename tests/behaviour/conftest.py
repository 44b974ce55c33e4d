"""The behavioural tests run with both colours, and twice: as a worker goes on, and evicted at every wait and step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_workflows.authoring.registry import registry
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter


@pytest.fixture(params=[False, True], ids=["normal", "evicting"])
def workflows(db: None, request: pytest.FixtureRequest) -> Iterator[Workflows]:
    with Workflows(evict=request.param) as workflows:
        yield workflows


@pytest.fixture(params=["def", "async def"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


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
