"""Values to JSON and back: what comes back is what went in, or it is refused at once."""

from __future__ import annotations

import math
import timeit
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from time import process_time
from typing import Annotated, Any, Literal, Optional, Union

import msgspec
import pytest
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from django_workflows import codec
from django_workflows.codec.hints import UnresolvedHint
from django_workflows.exceptions import PayloadError, PayloadTooDeep, PayloadTooLarge, Unserializable
from tests.codec import samples as s

NOW = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)

json_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(json_text, inner, max_size=5),
    max_leaves=20,
)
any_text = st.text(st.characters(categories=None) | st.sampled_from("\0\\u0"), max_size=5)
any_values = st.recursive(
    st.none() | st.integers() | st.floats() | any_text | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.integers(0, 3) | st.sampled_from("012") | any_text | st.booleans() | st.none(), inner, max_size=3
        )
    ),
    max_leaves=10,
)


def same(one: Any, two: Any) -> bool:
    """Equal, of the same type, and of the same sign where that is zero."""
    return type(one) is type(two) and one == two and repr(one) == repr(two)


@given(json_values)
def test_json_comes_back_as_it_was(value: Any) -> None:
    """SER-01: nested JSON, Unicode, integers of any size, floats."""
    assert same(codec.decode(codec.encode(value)), value)
    assert codec.round_trip(value) == (codec.encode(value), value)


def storable(value: Any) -> bool:
    """What the documentation says of it, in other words than the codec."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        keys = [str(key) for key in value if isinstance(key, str | int) and not isinstance(key, bool)]
        return len(set(keys)) == len(value) and all(map(storable, keys)) and all(map(storable, value.values()))
    return all(map(storable, value)) if isinstance(value, list | tuple) else True


@given(any_values)
def test_any_value_is_stored_for_every_database_or_refused(value: Any) -> None:
    """SER-08: what is accepted holds nothing that a database refuses, and reads back the same each time."""
    if not storable(value):
        with pytest.raises(Unserializable, match=r"^(a key of )?\$"):
            codec.round_trip(value)
        return

    text, seen = codec.round_trip(value)

    assert same(codec.decode(text), seen)
    assert codec.encode(seen) == text
    assert "\0" not in text
    assert text.encode()


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (NOW, datetime),
        (NAIVE, datetime),
        (NOW.astimezone(timezone(timedelta(hours=-9, minutes=-30))), datetime),
        (date(2026, 2, 28), date),
        (time(23, 59, 59, 999999), time),
        (time(1, tzinfo=UTC), time),
        (timedelta(days=-3, microseconds=1), timedelta),
        (timedelta.max, timedelta),
        (Decimal("1.10"), Decimal),
        (Decimal("1E+30"), Decimal),
        (uuid.UUID(int=5), uuid.UUID),
        (b"\x00\xff", bytes),
        (bytearray(b"ab"), bytearray),
        ({1, 2}, set[int]),
        (frozenset({"a"}), frozenset[str]),
        ({(1, 2), (3, 4)}, set[tuple[int, int]]),
        ((1, "a", None), tuple[int, str, None]),
        ((1, 2, 3), tuple[int, ...]),
        ((), tuple),
        (s.Colour.RED, s.Colour),
        (s.Size.LARGE, s.Size),
        (s.Plan.PAID, s.Plan),
        (s.Rights.READ | s.Rights.WRITE, s.Rights),
        ({1: "a", 2: "b"}, dict[int, str]),
        ({-(2**70): 1}, dict[int, int]),
        ({s.Colour.RED: 1}, dict[s.Colour, int]),
        ({s.Size.SMALL: (1,)}, dict[s.Size, tuple[int]]),
        ({uuid.UUID(int=7): NOW}, dict[uuid.UUID, datetime]),
        ({date(2026, 1, 1): Decimal("0.1")}, Mapping[date, Decimal]),
        (s.Order(1, NOW, [s.Line("a", Decimal("9.99"))], s.Colour.GREEN), s.Order),
        ([s.Order(1, NAIVE)], list[s.Order]),
        ({"a": s.Invoice(1, Decimal("2.50"))}, dict[str, s.Invoice]),
        (s.Invoice(2**70, Decimal(0)), s.Invoice),
        (s.Parcel(0.5), s.Parcel),
        (s.Point(1, 2), s.Point),
        ([s.Point(1)], Sequence[s.Point]),
        ({"city": "Rome", "since": date(2020, 1, 1)}, s.Address),
        (s.Pydanticish(date(2020, 1, 1)), s.Pydanticish),
        ([s.Pydanticish(date(2020, 1, 1))], list[s.Pydanticish]),
        (NOW, datetime | None),
        (None, Optional[datetime]),  # noqa: UP045  # the old spelling is what is tested
        (None, s.Order),
        (s.Order(1, NOW), Union[s.Order, int]),  # noqa: UP007  # as above
        (5, s.Order | int),
        (Decimal("1.5"), Annotated[Decimal, {"unhashable": 1}]),
        ("on", Literal["on", "off"]),
        ([{"a": [1.5, None, "x"]}], list[dict[str, Any]]),
        (2**200, int),
        (1e22, float),
        (-0.0, float),
    ],
)
def test_a_hint_brings_the_value_back_as_its_type(value: Any, hint: Any) -> None:
    """SER-02, SER-09, STP-21."""
    text, seen = codec.round_trip(value, hint)

    assert same(seen, value) or (type(seen) is type(value) and seen == value)
    assert codec.decode(text, hint) == seen
    assert type(codec.decode(text, hint)) is type(seen)


@given(st.datetimes(timezones=st.none() | st.just(UTC)) | st.dates() | st.times() | st.timedeltas() | st.uuids())
def test_moments_and_ids_come_back_exactly(value: Any) -> None:
    assert codec.round_trip(value, type(value))[1] == value


@given(st.decimals(allow_nan=False) | st.binary() | st.sets(st.integers()) | st.tuples(st.text(), st.floats(0, 1)))
def test_typed_values_come_back_or_are_refused(value: Any) -> None:
    hints: dict[type, Any] = {set: set[int], tuple: tuple[str, float]}
    hint = hints.get(type(value), type(value))
    try:
        seen = codec.round_trip(value, hint)[1]
    except Unserializable:
        assert isinstance(value, tuple)  # a NUL or surrogate in its text
    else:
        assert seen == value


@pytest.mark.parametrize(
    ("value", "hint", "seen"),
    [
        ((1, 2), Any, [1, 2]),
        ({1: "a"}, Any, {"1": "a"}),
        ({1: "a"}, dict, {"1": "a"}),
        (NOW, Any, "2026-03-29T01:30:00.123456Z"),
        (Decimal("1.10"), None, "1.10"),
        (s.Colour.RED, Any, "red"),
        (s.Invoice(1, Decimal(2)), dict, {"number": 1, "total": "2"}),
        ({3}, Iterable[int], [3]),
        (OrderedDict(b=1, a=2), Any, {"b": 1, "a": 2}),
        (defaultdict(int, a=1), Any, {"a": 1}),
        (mark_safe("<b>"), str, "<b>"),  # a subclass of str
        (lazystr("later"), str, "later"),
        (s.Pydanticish(date(2020, 1, 1)), Any, {"when": "2020-01-01"}),
    ],
)
def test_without_a_telling_hint_it_is_plain_json_from_the_first_run_on(value: Any, hint: Any, seen: Any) -> None:
    """STP-21: the first run sees what the replay will see."""
    text, first = codec.round_trip(value, hint)

    assert same(first, seen)
    assert same(codec.decode(text, hint), seen)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (None, str),
        (None, int),
        (True, int),
        (1, float),
        ("x", int),
        ([1], dict),
        ({"a": 1}, list[int]),
        ({"text": "a", "more": 1}, s.Note),
        (7, Literal["a"]),
        (["a"], s.Arbitrary),
        ("abc", str | date),
        ({"a": [1]}, UnresolvedHint("Order")),
        (1, Annotated[int, msgspec.Meta(ge=5)]),
    ],
)
def test_a_hint_that_is_wrong_about_plain_json_does_no_harm(value: Any, hint: Any) -> None:
    text, seen = codec.round_trip(value, hint)

    assert same(seen, value)
    assert same(codec.decode(text, hint), value)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ({"a": 1}, s.Order, r"A value of type dict does not fit the type hint Order: .*`id`"),
        ({"city": "Rome", "since": "2020-01-01", "zip": 1}, s.Address, r"\$\.zip would be lost, because"),
        (date(2020, 1, 1), datetime, r"type date does not fit the type hint datetime"),
        (Decimal("1.5"), tuple, r"type hint tuple"),
        (
            s.Order(1, NOW, [s.Discounted("a", Decimal(1))]),
            s.Order,
            r"\$\.lines\[0\]\.percent would be lost, because",
        ),
        (s.Discounted("a", Decimal(1), percent=5), s.Line, r"\$\.percent would be lost, because"),
        ([s.Discounted("a", Decimal(1))], list[s.Line], r"\$\[0\]\.percent would be lost, because"),
        ({"o": [s.Discounted("a", Decimal(1))]}, dict[str, list[s.Line]], r"\$\.o\[0\]\.percent"),
        (date(2020, 1, 1), str | date, r"type date cannot be brought back by its type hint str \| datetime.date"),
        ({"a": (1, 2)}, s.Arbitrary, r"JSON cannot hold a Arbitrary"),
        (s.Odd.PAIR, s.Odd, r"Enums must contain"),
        (s.Line("a", Decimal(1)), s.Line | s.Discounted, r"unions may not contain"),
        (s.Line("a", Decimal(1)), UnresolvedHint("Line"), r"import it at module level"),
    ],
)
def test_a_value_that_its_hint_cannot_bring_back_is_refused(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(Unserializable, match=message):
        codec.round_trip(value, hint)


@pytest.mark.parametrize("value", [s.Sparse(a=0), {}, {"a": 1, "when": "2020-01-01"}])
def test_a_default_that_is_left_out_is_not_lost(value: Any) -> None:
    assert isinstance(codec.round_trip(value, s.Sparse)[1], s.Sparse)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (math.nan, "$ "),
        (-math.inf, "$ "),
        ({"items": [None, {}, {"x": 1}, {"price": math.nan}]}, "$.items[3].price "),
        ([s.Parcel(math.inf)], "$[0].weight "),
        ((1, {"a b": math.nan}), "$[1]['a b'] "),
        ({1: math.nan, "n": None}, "$[1] "),
        ("a\0", "$ "),
        ({"name": ["ok", "\\\0"]}, "$.name[1] "),
        ({"\0": 1}, "a key of $ "),
        ("\ud800", "$ "),
        ({"a": {"b": "x\udfff"}}, "$.a.b "),
        ({"a": {"\udfff": 1}}, "a key of $.a "),
        ({"ordered": s.Arbitrary()}, "$.ordered "),
        ([s.Hostile()], "$[0] "),
        ({"a": {None: 1}}, "$.a "),
        ({True: 1}, "$ "),
        ({(1, 2): 1}, "$ "),
        ({"a": {1: "x", "1": "y"}}, "$.a['1'] "),
        ({"a": {s.Colour.RED: "x", "red": "y"}}, "$.a.red "),
        pytest.param(10**5000, "$ ", id="huge"),
        ({"n": [1j]}, "$.n[0] "),
        (deque([1]), "$ "),
        (range(3), "$ "),
        (iter([1]), "$ "),
        (len, "$ "),
        (s.Order, "$ "),
        (ValueError("x"), "$ "),
        (msgspec.Raw(b"[1,"), "$ "),
        (msgspec.Raw(b'"\\ud800"'), "$ "),
        ({"o": s.Order(1, NOW, [s.Line("\0", Decimal(1))])}, "$.o.lines[0].sku "),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_path(value: Any, path: str) -> None:
    """SER-08: NaN, infinity, NUL, lone surrogates, and objects; the same on every database."""
    for act in (codec.encode, codec.round_trip):
        with pytest.raises(Unserializable) as caught:
            act(value)

        assert str(caught.value).startswith(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", [r"\u0000", "\\\\u0000", r"a\\u0000", "null", "NaN", "\\", '"\\u0000"', "\u0001", "\U0001f600", "\ue000"]
)
def test_texts_that_only_look_dangerous_are_kept(text: str) -> None:
    for value in (text, [text], {text: [None]}):
        assert same(codec.decode(codec.encode(value)), value)


@pytest.mark.parametrize("text", ["\0", "\\\0", "\\\\\0", '"\0', "\0\\u0000", "a" * 999 + "\\" * 999 + "\0"])
def test_a_nul_is_found_behind_any_number_of_backslashes(text: str) -> None:
    with pytest.raises(Unserializable, match="NUL"):
        codec.encode([text])


def test_a_none_beside_finite_floats_and_big_integers_is_fine() -> None:
    value = [None, 1.7976931348623157e308, 5e-324, 2**100, -(2**70), "null", 0x7FF0000000000000]

    assert same(codec.round_trip(value)[1], value)


class TestLimits:
    """SER-06."""

    def test_the_size_counts_bytes_of_utf8(self) -> None:
        assert codec.encode("ää", max_bytes=6)
        with pytest.raises(PayloadTooLarge, match=r"is 6 bytes of JSON; at most 5 .*MAX_PAYLOAD_BYTES"):
            codec.encode("ää", max_bytes=5)

    def test_the_default_is_one_mebibyte(self) -> None:
        assert len(codec.encode("x" * (2**20 - 2))) == 2**20
        with pytest.raises(PayloadTooLarge, match="1,048,577 bytes"):
            codec.encode("x" * (2**20 - 1))

    def test_twenty_megabytes_just_under_the_limit_are_fine(self) -> None:
        value = {"text": "y" * 20_000_000}

        assert codec.round_trip(value, max_bytes=2**25)[1] == value

    @pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"a": x}, lambda x: (x,), lambda x: [1, {"b": [x]}]])
    def test_sixty_four_levels_are_allowed_and_no_more(self, wrap: Any) -> None:
        levels = codec.encode(wrap(0)).count("[") + codec.encode(wrap(0)).count("{")
        value: Any = 0
        for _ in range(codec.MAX_DEPTH // levels):
            value = wrap(value)
        if codec.MAX_DEPTH % levels:
            value = [value]

        assert codec.encode(value)
        with pytest.raises(PayloadTooDeep, match=r"nested deeper than 64 levels.*MAX_PAYLOAD_DEPTH"):
            codec.encode([value])

    def test_brackets_in_texts_and_wide_values_are_no_depth(self) -> None:
        assert codec.encode(["[" * 500, '"' + "{" * 500, "\\", {"[[[": "]]]" * 100}], max_depth=2)
        assert codec.encode([[[]] * 1000, {"a": [{}] * 1000}], max_depth=4)
        with pytest.raises(PayloadTooDeep):
            codec.encode([[[]] * 1000, {"a": [{}] * 1000}], max_depth=3)

    def test_a_value_that_contains_itself_is_too_deep(self) -> None:
        ring: list[Any] = []
        ring.append({"again": ring})
        ring.append(ring)

        with pytest.raises(PayloadTooDeep, match="contains itself"):
            codec.encode(ring)

    def test_a_hundred_thousand_levels_are_refused_and_nothing_overflows(self) -> None:
        value: Any = None
        for _ in range(100_000):
            value = [value]

        with pytest.raises(PayloadTooDeep):
            codec.encode(value)
        while value:  # unwound by hand: older Pythons free such a list recursively
            value = value.pop()

    @given(json_values)
    def test_the_depth_is_that_of_the_value(self, value: Any) -> None:
        def depth(node: Any) -> int:
            children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
            return 0 if children is None else 1 + max(map(depth, children), default=0)

        actual = depth(value)

        assert codec.encode(value, max_depth=max(actual, 1))
        if actual > 1:
            with pytest.raises(PayloadTooDeep):
                codec.encode([value] if actual == 0 else value, max_depth=actual - 1)


DAMAGED = ["", "{", "[1", "nul", "NaN", '"\\ud800"', "1e999", "[" * 100_000, "\ud800", b"\xff"]


class TestDecoding:
    @pytest.mark.parametrize("text", DAMAGED)
    @pytest.mark.parametrize("hint", [Any, int, s.Order, s.Arbitrary])
    def test_a_damaged_text_is_an_error_of_ours(self, text: str | bytes, hint: Any) -> None:
        """SER-10."""
        with pytest.raises(PayloadError):
            codec.decode(text, hint)

    def test_a_type_that_changed_says_what_to_do(self) -> None:
        with pytest.raises(PayloadError, match=r"does not fit the type Order: .*`placed`.*give new fields a default"):
            codec.decode('{"id": 1}', s.Order)

    def test_a_class_whose_constructor_fails_is_an_error_of_ours(self) -> None:
        with pytest.raises(PayloadError, match="no such month"):
            codec.decode('{"month":13}', Picky)

    def test_null_is_none_for_every_hint(self) -> None:
        assert codec.decode("null", s.Order) is None
        assert codec.decode(b"null", set[int]) is None

    def test_bytes_are_read_like_text(self) -> None:
        assert codec.decode(b'{"a":[1]}') == {"a": [1]}


class Picky(msgspec.Struct):
    month: int

    def __post_init__(self) -> None:
        if self.month > 12:
            raise LookupError("no such month")


class TestMutation:
    def test_the_first_run_never_shares_objects_with_the_step(self) -> None:
        """STP-20: what the step keeps and changes later is not what the workflow holds."""
        kept = {"items": [1]}
        _, seen = codec.round_trip(kept)
        kept["items"].append(2)

        assert seen == {"items": [1]}


def test_scalars_skip_the_decoding_and_are_still_checked() -> None:
    for value in (None, True, 5, 2**64, 1.5, "x"):
        assert codec.round_trip(value, type(value)) == (codec.encode(value), value)
    for bad in ("\0", "\ud800", math.nan):
        with pytest.raises(Unserializable):
            codec.round_trip(bad, type(bad))


class TestMatching:
    @pytest.mark.parametrize(
        ("one", "two"),
        [
            ({"a": 1, "b": {"d": 1, "c": [1, 2]}}, {"b": {"c": (1, 2), "d": 1}, "a": 1}),
            ({"amount": 42}, {"amount": 42.0}),
            ({"x": 0.0}, {"x": -0.0}),
            ({"id": uuid.UUID(int=1)}, {"id": str(uuid.UUID(int=1))}),
            (s.Colour.RED, "red"),
        ],
    )
    def test_equal_values_match(self, one: Any, two: Any) -> None:
        assert codec.canonical(one) == codec.canonical(two)
        assert codec.match_hash(one) == codec.match_hash(two)

    @pytest.mark.parametrize(
        ("one", "two"),
        [(1, "1"), (1, True), (0, None), ([1, 2], [2, 1]), ({"a": None}, {}), (2**53 + 1, 2**53), (1.5, 1)],
    )
    def test_different_values_do_not(self, one: Any, two: Any) -> None:
        assert codec.match_hash(one) != codec.match_hash(two)

    def test_the_canonical_text_is_compact_and_sorted(self) -> None:
        assert codec.canonical({"b": [1.0, 2.5], "a": "ä"}) == '{"a":"ä","b":[1,2.5]}'

    def test_the_hash_is_the_same_in_every_process_and_release(self) -> None:
        """Open waits are found by it, so it must never change."""
        assert codec.match_hash({"order_id": 42}) == "2ba2950dab99043dffe13f9720254612"

    @given(json_values)
    def test_the_order_of_keys_never_matters(self, value: Any) -> None:
        def reverse(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: reverse(node[key]) for key in reversed(node)}
            return [reverse(child) for child in node] if isinstance(node, list) else node

        assert codec.canonical(reverse(value)) == codec.canonical(value)


class TestSpeed:
    """Generous bounds: they catch a walk in Python on the hot path, not a slow machine."""

    def test_a_small_dict_takes_microseconds(self) -> None:
        value = {"order_id": 42, "email": "ada@example.com", "items": [1, 2, 3], "paid": True, "note": None}

        def both_ways() -> None:
            codec.decode(codec.encode(value))

        assert min(timeit.repeat(both_ways, number=1_000, repeat=5)) / 1_000 < 30e-6

    @pytest.mark.parametrize(
        "value",
        [
            "\\" * 500_000,
            ["\\u0000" * 100_000],
            ["null[{" * 100_000],
            [None] * 150_000,
            [[]] * 300_000,
            [1.5, None] * 90_000,
            {str(number): number for number in range(60_000)},
        ],
        ids=["backslashes", "escaped NULs", "brackets in text", "nulls", "wide", "floats and nulls", "keys"],
    )
    def test_a_mebibyte_of_anything_takes_milliseconds(self, value: Any) -> None:
        timer = timeit.Timer(lambda: codec.round_trip(value, max_bytes=2**21), timer=process_time)
        assert min(timer.repeat(number=1, repeat=3)) < 0.5
