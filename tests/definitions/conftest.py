"""Steps and workflows that definitions of the tests call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pytest

from django_workflows import Context, Retry, step, workflow
from django_workflows.authoring.registry import registry
from django_workflows.declarative.loader import stored
from django_workflows.testing import Workflows

CALLS: list[str] = []


@dataclass(frozen=True)
class Person:
    id: int
    email: str


@pytest.fixture(autouse=True)
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Registers the steps for one test; the list of their calls."""
    for name, table in vars(registry).items():
        if isinstance(table, dict):
            copied = {key: value.copy() if isinstance(value, dict | set) else value for key, value in table.items()}
            monkeypatch.setattr(registry, name, copied)
    _register()
    CALLS.clear()
    yield CALLS
    stored.clear()


def _register() -> None:
    @step
    def create_user(email: str, plan: str = "free") -> Person:
        CALLS.append(f"create {email} {plan}")
        return Person(id=42, email=email)

    @step
    def send_mail(to: str, user: int = 0, text: str = "") -> str:
        CALLS.append(f"mail {to} {user} {text}")
        return f"sent to {to}"

    @step
    async def score(points: Decimal, on: datetime | None = None) -> str:
        CALLS.append(f"score {points!r} {on!r}")
        return str(points * 2)

    @step(retry=Retry(max_attempts=1))
    def break_down(text: str = "broken") -> None:
        CALLS.append("break down")
        raise RuntimeError(text)

    @step
    def note(text: str) -> str:
        CALLS.append(text)
        return text

    @step(queue="elsewhere", retry=Retry(max_attempts=1))
    def far_away(points: Decimal) -> str:
        CALLS.append(f"far {points!r}")
        if points < 0:
            raise ValueError("less than nothing")
        return str(points)

    @workflow
    def provision(ctx: Context, user: int) -> dict[str, int]:
        return {"server": ctx.do(lambda: user + 1)}

    @workflow
    def refuse(ctx: Context) -> None:
        raise ValueError("no")


@pytest.fixture
def flows(db: None) -> Iterator[Workflows]:
    with Workflows() as flows:
        yield flows


@pytest.fixture
def evicting(db: None) -> Iterator[Workflows]:
    with Workflows(evict=True) as flows:
        yield flows
