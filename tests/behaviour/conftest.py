"""The behavioural tests run with both colours, and twice: as a worker goes on, and evicted at every wait and step.

With `--hostile=NAME` they run once, in the surroundings of that name (`tests/proof/hostility.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_workflows.authoring.registry import registry
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter
from tests.proof.hostility import HOSTILE, SURROUNDINGS, surrounded_by


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile", choices=HOSTILE, help="run the behavioural suite in hostile surroundings")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tame(reason): shows something that hostile surroundings do not have")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "workflows" in metafunc.fixturenames:
        hostile = metafunc.config.getoption("--hostile", default=None)
        metafunc.parametrize("workflows", [hostile] if hostile else ["normal", "evicting"], indirect=True)


@pytest.fixture
def workflows(request: pytest.FixtureRequest) -> Iterator[Workflows]:
    name = request.param
    if name not in SURROUNDINGS:
        request.getfixturevalue("db")
        with Workflows(evict=name != "normal") as workflows:
            yield workflows
        return
    if (mark := request.node.get_closest_marker("tame")) is not None:
        pytest.skip(str(mark.args[0]))
    request.getfixturevalue("transactional_db")
    with surrounded_by(name) as live:
        yield live


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
