"""Values on their way through the database: on the first run as on every replay, or refused with the reason."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from django_workflows import AsyncContext, StepFailed, step
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import of


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass(frozen=True)
class Item:
    name: str
    price: Decimal
    size: Size = Size.SMALL


class Box(msgspec.Struct, frozen=True):
    items: tuple[Item, ...]
    packed_at: datetime


JSON = [
    {"nested": [1, {"deep": [None, True, "ünïcode 📦", ""]}]},
    {"big": 2**63 - 1, "small": -(2**63), "beyond": 2**53 + 1, "float": 0.1, "tiny": 5e-324, "huge": 1e22},
    {"z": 1, "a": 2, "": 3},
    [1.0, 1, True, "1"],
]
BOX = Box(items=(Item("pen", Decimal("1.10"), Size.LARGE),), packed_at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC))


def item() -> Item:
    return BOX.items[0]


def box() -> Box:
    return BOX


def prices() -> dict[int, Decimal]:
    return {1: Decimal("0.10"), 20: Decimal("1e3")}


def pair() -> tuple[int, str]:
    return 1, "one"


def sizes() -> set[Size]:
    return {Size.SMALL, Size.LARGE}


def moment() -> datetime:
    return datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def day() -> date:
    return date(2026, 2, 28)


def number() -> UUID:
    return UUID(int=7)


def span() -> timedelta:
    return timedelta(days=2, microseconds=1)


def raw() -> bytes:
    return b"\x00\xff"


def maybe() -> Item | None:
    return BOX.items[0]


TYPED: list[Callable[[], Any]] = [item, box, prices, pair, sizes, moment, day, number, span, raw, maybe]


def same_type(seen: list[Any]) -> bool:
    return len({type(value) for value in seen}) == 1 and all(value == seen[0] for value in seen)


@pytest.mark.parametrize("value", JSON, ids=range(len(JSON)))
def test_json_comes_back_as_it_was(workflows: Workflows, colour: Colour, value: Any) -> None:
    """SER-01: as input, step result and output; integers beyond 2^53, the order of keys, floats that stay floats."""

    def give() -> Any:
        return value

    @colour()
    async def flow(ctx: AsyncContext, given: Any) -> Any:
        result = await ctx.do(give)
        await ctx.sleep("1 hour")
        assert repr(given) == repr(result) == repr(value)
        return result

    execution = flow.start(value)
    assert repr(workflows.result(execution)) == repr(value)
    assert repr(of(execution).output) == repr(value)


@pytest.mark.parametrize("give", TYPED, ids=lambda give: give.__name__)
def test_a_hint_brings_the_type_back(workflows: Workflows, colour: Colour, give: Callable[[], Any]) -> None:
    """SER-02, STP-21: the first run sees the type that a replay sees."""
    seen: list[Any] = []

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        seen.append(await ctx.do(give))
        await ctx.sleep("1 hour")

    workflows.result(flow.start())
    assert len(seen) > 1
    assert same_type([*seen, give()])


def test_input_and_output_have_the_types_of_the_signature(workflows: Workflows, colour: Colour) -> None:
    """SER-02: the caller's dataclass arrives as one, and the result's reader gets one."""

    @colour()
    async def flow(ctx: AsyncContext, item: Item, when: datetime, size: Size = Size.SMALL) -> Box:
        assert isinstance(item, Item)
        assert isinstance(size, Size)
        return Box(items=(item,), packed_at=when)

    assert workflows.result(flow.start(BOX.items[0], BOX.packed_at, size=Size.LARGE)) == BOX


def without_hint() -> Any:
    return {1: "a", "pair": (1, 2), "when": date(2026, 2, 28)}


def test_without_a_hint_the_first_run_sees_plain_json_too(workflows: Workflows, colour: Colour) -> None:
    """SER-09, STP-21: what a replay would see, or a refusal at once."""
    seen: list[Any] = []

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        try:
            seen.append(await ctx.do(step(without_hint)))
        except StepFailed as error:
            seen.append(error.message)
        await ctx.sleep("1 hour")
        return "done"

    assert workflows.result(flow.start()) == "done"
    assert len(seen) > 1
    assert same_type(seen)
