"""Types that authors use; at module level, where hints can be resolved."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import attrs
import msgspec

if TYPE_CHECKING:
    from fractions import Fraction


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Plan(StrEnum):
    FREE = "free"
    PAID = "paid"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Odd(Enum):
    PAIR = (1, 2)


@dataclass
class Line:
    sku: str
    price: Decimal
    count: int = 1


@dataclass
class Discounted(Line):
    percent: int = 0


@dataclass(frozen=True)
class Order:
    id: int
    placed: datetime
    lines: list[Line] = field(default_factory=list)
    colour: Colour | None = None


class Point(NamedTuple):
    x: int
    y: int = 0


class Address(TypedDict):
    city: str
    since: date


class Note(TypedDict):
    text: str


class Invoice(msgspec.Struct):
    number: int
    total: Decimal


class Sparse(msgspec.Struct, omit_defaults=True):
    a: int = 0
    when: date | None = None


@attrs.define
class Parcel:
    weight: float


class Arbitrary:
    """Nothing can bring this back."""


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Pydanticish:
    """The four methods that the codec calls, without pydantic."""

    def __init__(self, when: date) -> None:
        self.when = when

    def model_dump(self, *, mode: str, by_alias: bool, round_trip: bool) -> dict[str, Any]:
        assert (mode, by_alias, round_trip) == ("json", True, True)
        return {"when": self.when.isoformat()}

    @classmethod
    def model_validate_json(cls, data: bytes) -> Pydanticish:
        return cls(msgspec.json.decode(data, type=dict[str, date])["when"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pydanticish) and other.when == self.when

    __hash__ = None  # type: ignore[assignment]  # as pydantic's


def returns_order() -> Order: ...  # type: ignore[empty-body]  # only its hints are read
async def returns_order_later() -> Order: ...  # type: ignore[empty-body]  # as above
def returns_awaitable() -> Awaitable[Order]: ...  # type: ignore[empty-body]  # as above
def returns_coroutine() -> Coroutine[Any, Any, list[Order]]: ...  # type: ignore[empty-body]  # as above
def returns_nothing() -> None: ...
def returns_unknown(order: Order) -> Fraction: ...  # type: ignore[empty-body]  # as above
def untyped(ctx, a, b=2): ...  # type: ignore[no-untyped-def]  # as an author may write it
