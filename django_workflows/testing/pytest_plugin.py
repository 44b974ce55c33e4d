"""The pytest plugin: fixtures for tests of workflows, with pytest-django.

pytest loads this module before Django is set up, so what needs models is imported by the fixtures.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_workflows.testing.harness import Workflows

EVICT = "--workflows-evict"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("django-workflows").addoption(
        EVICT,
        action="store_true",
        help="let the fixture `workflows` evict executions at every wait and replay them at every step",
    )


@pytest.fixture
def workflows(db: None, request: pytest.FixtureRequest) -> Iterator[Workflows]:
    """Runs workflows in this process; the clock and the fakes are reset after the test."""
    yield from _workflows(evict=bool(request.config.getoption(EVICT)))


@pytest.fixture
def workflows_evicting(db: None) -> Iterator[Workflows]:
    """The same, but executions leave their turn at every wait and step, and replay: the results must not differ."""
    yield from _workflows(evict=True)


def _workflows(*, evict: bool) -> Iterator[Workflows]:
    harness = importlib.import_module("django_workflows.testing.harness")
    with harness.Workflows(evict=evict) as workflows:
        yield workflows
