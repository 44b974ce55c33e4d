"""What is stored comes back equal, or is refused with its place; nothing is left out in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest

from django_workflows import codec
from django_workflows.exceptions import InvalidInput, PayloadError, Unserializable

BERLIN = ZoneInfo("Europe/Berlin")
AN_OLD_OFFSET = timezone(timedelta(minutes=53, seconds=28))


@dataclass
class Base:
    a: int = 1


@dataclass
class Sub(Base):
    """Has no field of its own, so that its JSON is that of its base."""


@dataclass
class Holder:
    item: Base


@dataclass
class Measured:
    value: float


@dataclass
class Doubled:
    n: int

    def __post_init__(self) -> None:
        self.n *= 2


@dataclass
class Counted:
    n: int
    seen: int = field(init=False, default=0, compare=False)


@dataclass(eq=False)
class ById:
    n: int


@dataclass(frozen=True)
class Raising:
    n: int

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")


class Struct(msgspec.Struct):
    a: int = 1


class SubStruct(Struct):
    pass


@attrs.define
class Needs:
    _token: str
    name: str = "n"


@attrs.define
class Tries:
    name: str
    _tries: int = 0
    _cache: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class Late:
    name: str
    count: int = attrs.field(init=False, default=0)


class Colour(Enum):
    RED = "red"


class Plain(pydantic.BaseModel):
    a: int = 1


class Wider(Plain):
    b: int = 2


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr
    key: pydantic.SecretBytes = pydantic.SecretBytes(b"")


class Excluding(pydantic.BaseModel):
    a: int = 1
    hidden: int = pydantic.Field(2, exclude=True)


class Private(pydantic.BaseModel):
    a: int = 1
    _seen: int = pydantic.PrivateAttr(0)


class Rounding(pydantic.BaseModel):
    a: float

    @pydantic.field_serializer("a")
    def shorten(self, value: float) -> int:
        return round(value)


class Box(pydantic.BaseModel):
    item: Plain


class Renamed(pydantic.BaseModel):
    a: int = pydantic.Field(1, validation_alias="AA")


class Aliased(pydantic.BaseModel):
    a: int = pydantic.Field(alias="A")


class Bytes(pydantic.BaseModel):
    data: bytes


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    anything: Any = None


class Full(pydantic.BaseModel):
    parts: tuple[int, ...]
    names: set[str]
    price: Decimal
    pause: timedelta
    colour: Colour
    at: datetime

    @pydantic.computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation shows it
    @property
    def total(self) -> int:
        return sum(self.parts)


def private(value: Private) -> Private:
    value._seen = 9
    return value


def late(value: Late) -> Late:
    value.count = 3
    return value


def counted(value: Counted) -> Counted:
    value.seen = 3
    return value


LOGIN = Login.model_validate({"user": "ada", "password": "horse"})
FULL = Full(
    parts=(1, 2),
    names={"a"},
    price=Decimal("1.10"),
    pause=timedelta(microseconds=3),
    colour=Colour.RED,
    at=datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
)


@pytest.mark.parametrize(
    ("value", "hint", "place"),
    [
        (Sub(), Base, "$: Sub would come back as Base"),
        (Holder(Sub()), Holder, "$.item: Sub"),
        ([Holder(Base()), Holder(Sub())], list[Holder], "$[1].item: Sub"),
        (SubStruct(), Struct, "$: SubStruct"),
        (Measured(2**60 + 1), Measured, "$.value: int would come back as 1.15"),
        (Doubled(1), Doubled, "$.n: int would come back as 4"),
        (datetime(1880, 1, 1, tzinfo=BERLIN), datetime, "$ has an offset with seconds"),
        ({"at": [datetime(1880, 1, 1, tzinfo=AN_OLD_OFFSET)]}, Any, "$.at[0] has an offset with seconds"),
        ({datetime(1880, 1, 1, tzinfo=AN_OLD_OFFSET): 1}, dict[datetime, int], "a key of $ has an offset"),
        (time(1, tzinfo=BERLIN), time, "$ is a time whose zone has no offset"),
        ({"at": time(1, 0, 0, 5, tzinfo=BERLIN)}, dict, "$.at is a time whose zone has no offset"),
        (Needs("t"), Needs, "$._token is a private attribute"),
        (Tries("a", tries=3), Tries, "$._tries is a private attribute"),
        ({"x": (Tries("a", cache={"k": 1}),)}, Any, "$.x[0]._cache is a private attribute"),
        (Decimal("1.1"), float, "type Decimal does not fit the type hint float"),
        ({"a": Decimal("1.1")}, dict[str, float], "does not fit the type hint dict[str, float]"),
        (LOGIN, Login, "$.password: SecretStr"),
        ([LOGIN], list[Login], "$[0].password"),
        ({"a": {"b": LOGIN}}, Any, "$.a.b.password"),
        (Login.model_validate({"user": "ada", "password": "", "key": b"k"}), Login | None, "$.key: SecretBytes"),
        (Excluding(hidden=5), Excluding, "$.hidden: int would come back as 2"),
        (Excluding(hidden=5), Any, "$.hidden"),
        (private(Private()), Private, "$._seen: int would come back as 0"),
        (Rounding(a=1.6), Rounding, "$.a: float would come back as 2.0"),
        (Box(item=Wider()), Box, "$.item: Wider would come back as Plain"),
        (Renamed.model_validate({"AA": 4}), Renamed, "$.a: int would come back as 1"),
        (Bytes(data=b"\xff"), Bytes, "$.data: 'utf-8' codec"),
        (Measured(float("nan")), Measured, "$.value is nan"),
        (Open(anything=pydantic.SecretStr("x")), Open, "$.anything: SecretStr would come back as str"),
        (Open.model_validate({"more": LOGIN}), Open, "$.more.password"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused_with_its_place(value: Any, hint: Any, place: str) -> None:
    with pytest.raises(Unserializable) as refused:
        codec.round_trip(value, hint)

    assert place in str(refused.value)
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Holder(Base(3)), Holder),
        (Tries("a"), Tries),
        (late(Late("a")), Late),
        (counted(Counted(1)), Counted),
        (Measured(3.0), Measured),
        ({Colour.RED: {date(2024, 1, 1): (1, 2)}}, dict[Colour, dict[date, tuple[int, int]]]),
        (datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), datetime),
        (Holder(Base(3)), Holder | None),
        (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), datetime),
        (time(1, 2, 3, tzinfo=UTC), time),
        (["12:00:00", "2024-01-01T00:00:00+05:30"], list[str]),
        (timedelta.max, timedelta),
        (2**70, int),
        (FULL, Full),
        ({"all": [FULL]}, dict[str, list[Full]]),
        (Excluding(hidden=2), Excluding),
        (Private(), Private),
        (Aliased(A=3), Aliased),
        (Open.model_validate({"more": 1, "anything": [1]}), Open),
    ],
)
def test_what_comes_back_equal_is_stored(value: Any, hint: Any) -> None:
    text, seen = codec.round_trip(value, hint)

    assert type(seen) is type(value)
    assert repr(codec.decode(text, hint)) == repr(seen)
    assert codec.encode(seen) == text


def test_classes_that_cannot_be_compared_are_compared_by_their_fields() -> None:
    assert codec.round_trip(ById(3), ById)[1].n == 3
    assert codec.round_trip(Raising(3), Raising)[1].n == 3


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-0", "Infinity", "1E+5", "1.1000"])
def test_a_decimal_keeps_what_it_says(text: str) -> None:
    assert str(codec.round_trip({"value": Decimal(text)}, Any)[1]["value"]) == text
    assert str(codec.round_trip([Decimal(text)], list[Decimal])[1][0]) == text


def test_an_argument_that_would_be_shortened_is_refused_by_its_name() -> None:
    def sign_in(ctx: Any, login: Login, box: Box) -> None: ...

    with pytest.raises(InvalidInput) as refused:
        codec.bind_arguments(sign_in, (), {"login": LOGIN, "box": Box(item=Wider())}, skip=1)

    assert set(refused.value.errors) == {"login", "box"}
    assert "password" in refused.value.errors["login"][0]


def test_the_json_of_a_caller_may_have_more_fields_than_a_model_reads() -> None:
    def open_box(ctx: Any, box: Box, holder: Holder) -> None: ...

    bound = codec.bind_arguments(
        open_box, (), {"box": {"item": {"a": 2}}, "holder": {"item": {"a": 2, "z": 1}}}, skip=1
    )

    assert bound == {"box": Box(item=Plain(a=2)), "holder": Holder(Base(2))}


def test_data_without_a_hint_is_looked_through_as_well() -> None:
    for value in (LOGIN, Tries("a", tries=2), {"x": [Excluding(hidden=7)]}):
        with pytest.raises(PayloadError):
            codec.encode(value)


def test_an_object_that_raises_when_it_is_looked_at_is_refused_and_nothing_else() -> None:
    class Hostile:
        @property
        def __await__(self) -> Any:
            raise RuntimeError("leave me alone")

    with pytest.raises(Unserializable, match="cannot be stored as JSON"):
        codec.encode({"a": Hostile()})
