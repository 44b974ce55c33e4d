"""Real worker processes on the test's database, a ledger that they write to, and what must hold in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_workflows.models import Execution
from tests.acceptance.nursery import Nursery
from tests.acceptance.processes import PATIENCE, Commands, eventually, fresh
from tests.sample.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def runworkflows(database_url: str, tmp_path: Path, nursery: Nursery) -> Iterator[Commands]:
    if sys.platform != "linux":
        pytest.skip("finds the processes in /proc")
    commands = Commands(database_url, tmp_path, nursery)
    yield commands
    commands.close()
    sys.stdout.write(commands.text)  # pytest shows it when the test has failed


Reach = Callable[..., Execution]


@pytest.fixture
def reach(runworkflows: Commands) -> Reach:
    """`reach(execution, "completed")` waits for a status, and tells what the workers said when it does not come."""

    def wait(execution: Any, status: str = "completed", within: float = PATIENCE) -> Execution:
        def tell() -> str:
            row = fresh(execution)
            rows = Execution.objects.filter(pk=row.pk).values().get()
            return f"It is {row.status}: {rows}\n{list(row.steps.values())}\n{runworkflows.text}"

        eventually(lambda: fresh(execution).status == status, within, tell)
        return fresh(execution)

    return wait
