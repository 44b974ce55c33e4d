"""SER-13: arguments are checked against the signature before anything is stored."""

from __future__ import annotations

import functools
import inspect
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from django.utils.functional import lazystr
from hypothesis import given
from hypothesis import strategies as st

from django_workflows import codec
from django_workflows.exceptions import InvalidInput, PayloadError
from tests.codec import samples as s

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def plain(ctx: Any, order_id: int, email: str = "x", *, note: str | None = None) -> None: ...
def typed(ctx: Any, order: s.Order, amount: Decimal, when: datetime | None, colours: set[s.Colour]) -> None: ...
def positional(ctx: Any, a: int, b: int = 2, /, c: int = 3) -> None: ...
def everything(ctx: Any, a: int, /, b: int = 2, *rest: Decimal, c: int, d: int = 4, **more: date) -> None: ...
def optional(ctx: Any, when: date = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013  # as people write it
def ranged(ctx: Any, n: Annotated[int, msgspec.Meta(ge=1)]) -> None: ...
def loose(ctx: Any, thing: s.Arbitrary, either: str | date = "") -> None: ...
def takes_sparse(ctx: Any, value: s.Sparse) -> None: ...
def flagged(ctx: Any, rights: s.Rights, model: s.Pydanticish, line: s.Line) -> None: ...


def errors_of(fn: Any, *args: Any, skip: int = 1, **kwargs: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidInput) as caught:
        codec.bind_arguments(fn, args, kwargs, skip=skip)
    return caught.value.errors


def called(fn: Any, bound: dict[str, Any], skip: int = 1) -> dict[str, Any]:
    """What the parameters hold after the way through the database, defaults included."""
    args, kwargs = codec.decode_arguments(fn, codec.encode(bound), skip=skip)
    call = inspect.signature(fn).bind(*([None] * skip), *args, **kwargs)
    call.apply_defaults()
    return dict(list(call.arguments.items())[skip:])


class TestBinding:
    def test_arguments_are_named_whether_given_by_position_or_name(self) -> None:
        assert codec.bind_arguments(plain, (42,), {"note": "n"}, skip=1) == {"order_id": 42, "note": "n"}
        assert codec.bind_arguments(plain, (), {"order_id": 42}, skip=1) == {"order_id": 42}

    def test_defaults_stay_with_the_code(self) -> None:
        assert codec.bind_arguments(plain, (42,), skip=1) == {"order_id": 42}

    def test_typed_objects_are_taken_as_they_are(self) -> None:
        order = s.Order(1, NOW, [s.Line("a", Decimal("9.99"))], s.Colour.RED)

        bound = codec.bind_arguments(typed, (order, Decimal("1.10"), NOW, {s.Colour.RED}), skip=1)

        assert bound == {"order": order, "amount": Decimal("1.10"), "when": NOW, "colours": {s.Colour.RED}}

    def test_their_json_is_taken_too(self) -> None:
        body = {
            "order": {"id": 1, "placed": "2026-03-29T01:30:00Z", "lines": [{"sku": "a", "price": "9.99"}]},
            "amount": "1.10",
            "when": None,
            "colours": ["red"],
        }

        bound = codec.bind_arguments(typed, (), body, skip=1)

        assert bound["order"] == s.Order(1, NOW, [s.Line("a", Decimal("9.99"))])
        assert (bound["amount"], bound["when"], bound["colours"]) == (Decimal("1.10"), None, {s.Colour.RED})

    def test_flags_models_and_lazy_texts_are_taken(self) -> None:
        model, rights, line = s.Pydanticish(date(2020, 1, 1)), s.Rights.READ | s.Rights.WRITE, s.Line("a", Decimal(1))

        assert codec.bind_arguments(flagged, (rights, model, line), skip=1) == {
            "rights": rights,
            "model": model,
            "line": line,
        }
        body = {"rights": 3, "model": {"when": "2020-01-01"}, "line": {"sku": "a", "price": 1}}
        assert codec.bind_arguments(flagged, (), body, skip=1) == {"rights": rights, "model": model, "line": line}
        assert codec.bind_arguments(plain, (1, lazystr("later")), skip=1)["email"] == "later"

    def test_a_default_of_none_allows_none(self) -> None:
        assert codec.bind_arguments(optional, (None,), skip=1) == {"when": None}

    def test_nothing_is_skipped_unless_asked(self) -> None:
        assert codec.bind_arguments(lambda a: a, (1,)) == {"a": 1}

    def test_a_function_without_hints_takes_any_json(self) -> None:
        assert codec.bind_arguments(s.untyped, ((1, 2),), skip=1) == {"a": [1, 2]}

    def test_what_python_cannot_tell_the_signature_of_takes_everything(self) -> None:
        assert codec.bind_arguments(dict, (1,), {"a": 2}) == {"args": [1], "kwargs": {"a": 2}}

    def test_a_partial_keeps_what_it_holds(self) -> None:
        assert codec.bind_arguments(functools.partial(plain, None, 42), (), {"email": "e"}) == {"email": "e"}


class TestErrors:
    def test_all_errors_are_named_at_once(self) -> None:
        errors = errors_of(plain, emial="x", email=5)

        assert errors == {
            "order_id": ["This argument is required."],
            "emial": ["There is no such argument. The arguments are: order_id, email, note."],
            "email": ["Expected `str`, got `int`"],
        }

    def test_too_many_positions(self) -> None:
        assert errors_of(plain, 1, "e", "surplus") == {
            "__all__": ["At most 2 positional arguments are taken, 3 were given."]
        }

    def test_one_argument_given_twice(self) -> None:
        assert errors_of(plain, 1, order_id=2) == {
            "order_id": ["This argument is given twice, by position and by name."]
        }

    def test_the_context_is_never_an_argument(self) -> None:
        def greedy(ctx: Any, **more: Any) -> None: ...

        assert "ctx" in errors_of(plain, 1, ctx=2)
        assert "ctx" in errors_of(greedy, ctx=2)

    @pytest.mark.parametrize(
        "value", ["42", 1.0, 1.5, True, None, [1], Decimal(1), b"1", NOW, math.nan, s.Arbitrary(), s.Hostile()]
    )
    def test_only_an_integer_is_an_integer(self, value: Any) -> None:
        assert list(errors_of(plain, value)) == ["order_id"]

    @pytest.mark.parametrize("value", [1, True, None, b"x", NOW, Decimal(1), "\0", "\ud800", s.Order, object()])
    def test_only_a_storable_text_is_a_text(self, value: Any) -> None:
        """SER-08, EXE-14: NUL and surrogates are a field error, before a row exists."""
        assert list(errors_of(plain, 1, value)) == ["email"]

    def test_the_path_inside_an_argument_is_told(self) -> None:
        body = {"id": 1, "placed": NOW, "lines": [{"sku": "a", "price": "1"}, {"sku": 5, "price": "1"}]}

        errors = errors_of(typed, body, Decimal(1), None, {"blue"})

        assert errors["order"] == ["Expected `str`, got `int` - at `$.lines[1].sku`"]
        assert "Invalid enum value 'blue'" in errors["colours"][0]

    def test_an_object_with_wrong_contents_is_found_before_it_is_stored(self) -> None:
        wrong = s.Order("one", NOW)  # type: ignore[arg-type]  # a dataclass checks nothing

        assert "Expected `int`, got `str` - at `$.id`" in errors_of(typed, wrong, Decimal(1), None, set())["order"][0]

    def test_an_instance_of_a_subclass_would_lose_fields(self) -> None:
        order = s.Order(1, NOW, [s.Discounted("a", Decimal(1), percent=5)])

        assert "order" in errors_of(typed, order, Decimal(1), None, set())
        assert "line" in errors_of(
            flagged, s.Rights.READ, s.Pydanticish(date(2020, 1, 1)), s.Discounted("a", Decimal(1), percent=5)
        )

    def test_fields_that_a_body_has_too_many_are_ignored_and_defaults_may_be_given(self) -> None:
        assert codec.bind_arguments(takes_sparse, (), {"value": {"a": 0, "more": 1}}, skip=1) == {"value": s.Sparse()}

    def test_constraints_of_the_hint_are_checked(self) -> None:
        assert errors_of(ranged, 0) == {"n": ["Expected `int` >= 1"]}

    def test_an_object_that_cannot_be_stored_is_refused_with_its_parameter(self) -> None:
        errors = errors_of(loose, s.Arbitrary(), date(2020, 1, 1))

        assert "which cannot be stored as JSON" in errors["thing"][0]
        assert "cannot be brought back by its type hint" in errors["either"][0]
        assert codec.bind_arguments(loose, ({"a": 1}, "x"), skip=1) == {"thing": {"a": 1}, "either": "x"}

    def test_limits_are_field_errors_too(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            codec.bind_arguments(s.untyped, ([[[1]]], "x" * 100), skip=1, max_depth=2, max_bytes=50)
        assert set(caught.value.errors) == {"a", "b"}


class TestCalling:
    def test_values_have_the_types_of_the_hints(self) -> None:
        order = s.Order(1, NOW)
        bound = codec.bind_arguments(typed, (order, Decimal("1.10"), NOW, {s.Colour.RED}), skip=1)

        assert called(typed, bound) == {
            "order": order,
            "amount": Decimal("1.10"),
            "when": NOW,
            "colours": {s.Colour.RED},
        }

    def test_positional_only_parameters_are_given_by_position(self) -> None:
        assert called(positional, codec.bind_arguments(positional, (1,), {"c": 5}, skip=1)) == {"a": 1, "b": 2, "c": 5}
        assert codec.decode_arguments(positional, '{"a":1}', skip=1)[0][0] == 1

    def test_input_over_http_may_name_positional_only_parameters(self) -> None:
        assert called(positional, codec.bind_arguments(positional, (), {"a": 1}, skip=1)) == {"a": 1, "b": 2, "c": 3}

    def test_stars_hold_typed_values_under_their_own_name(self) -> None:
        bound = codec.bind_arguments(
            everything, (1, 5, Decimal("1.5"), 2), {"c": 6, "a": date(2020, 1, 1), "rest": "2020-02-02"}, skip=1
        )

        assert bound == {
            "a": 1,
            "b": 5,
            "rest": [Decimal("1.5"), Decimal(2)],
            "c": 6,
            "more": {"a": date(2020, 1, 1), "rest": date(2020, 2, 2)},
        }
        assert called(everything, bound) == {**bound, "rest": (Decimal("1.5"), Decimal(2)), "d": 4}

    def test_a_parameter_that_is_new_in_the_code_gets_its_default(self) -> None:
        assert called(plain, {"order_id": 1}) == {"order_id": 1, "email": "x", "note": None}

    def test_input_that_the_code_no_longer_takes_is_an_error_with_names(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            codec.decode_arguments(plain, '{"order_id":"x","gone":1}', skip=1)

        assert caught.value.errors["order_id"][0].startswith("Expected `int`, got `str`")
        assert set(caught.value.errors) == {"order_id", "gone"}
        with pytest.raises(InvalidInput, match="order_id: This argument is required"):
            codec.decode_arguments(plain, "{}", skip=1)

    @pytest.mark.parametrize("text", ["", "[]", "null", "5", '{"a":', "\ud800", b"\xff", '{"order_id":' + "[" * 10**5])
    def test_a_damaged_input_is_an_error_of_ours(self, text: str | bytes) -> None:
        """SER-10."""
        with pytest.raises((PayloadError, InvalidInput)):
            codec.decode_arguments(plain, text, skip=1)


@given(
    a=st.integers(),
    rest=st.lists(st.decimals(allow_nan=False, allow_infinity=False)),
    more=st.dictionaries(st.from_regex(r"\A[e-z]{1,5}\Z"), st.dates()),
)
def test_any_call_arrives_as_it_was_made(a: int, rest: list[Decimal], more: dict[str, date]) -> None:
    args: list[Any] = [a, *((7, *rest) if rest else ())]
    bound = codec.bind_arguments(everything, args, {"c": 1, **more}, skip=1)

    expected = inspect.signature(everything).bind(None, *args, c=1, **more)
    expected.apply_defaults()
    assert called(everything, bound) == dict(list(expected.arguments.items())[1:])
