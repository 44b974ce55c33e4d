"""The language of `when`."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.conditions import Condition, parse_condition
from django_workflows.expressions.nodes import equal

SCOPE: dict[str, Any] = {
    "input": {"email": "ada@example.org", "total": 120, "nothing": None, "yes": True, "tags": ["vip", 7], "odd key": 1},
    "steps": {"create": {"id": 42, "lines": [{"sku": "A-1"}]}, "confirm": None, "last-step": 1},
    "event": None,
    "execution": {"id": "e-1", "key": None},
}


def holds(text: str) -> bool:
    return parse_condition(text).holds(SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "$.input.total == 120",
        "$.input.total == 120.0",
        "$.input.total != '120'",
        "$.input.total > 100 and $.input.total <= 1.2e2",
        '$.input.email == "ada@example.org"',
        "$.steps.create.lines[0].sku == 'A-1'",
        '$.input["odd key"] == 1',
        "$.steps.last-step == 1",
        "$.steps.confirm == null",
        "$.steps.create.missing == null",
        "$.event.data.id == null",
        "exists $.input.nothing",
        "exists($.input.email)",
        "not exists $.input.coupon",
        "'vip' in $.input.tags and 7 in $.input.tags",
        "'vi' not in $.input.tags",
        "'example' in $.input.email",
        "'id' in $.steps.create",
        "$.input.total in [1, 2, 120]",
        "$.input.total not in []",
        "false or $.input.yes",
        "not (false or null)",
        "not not $.input.total",
        "true or $.input.total < 'text' and false",
        "  ( ( $.input.yes ) )  ",
        "'it\\'s' == \"it's\"",
        "-1 < 0",
    ],
)
def test_a_condition_that_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "$.input.yes == 1",
        "$.input.total < '130'",
        "$.input.nothing < 1",
        "$.input.nothing > 1",
        "$.input.yes >= true",
        "not $.input.yes",
        "$.input.coupon",
        "0",
        "''",
        "[]",
        "1 in null",
        "1 in 10",
        "null in 'null'",
        "$.input.tags[7] == 7",
        "$.input.email[0] == 'a'",
        "true and false or false",
    ],
)
def test_a_condition_that_does_not_hold(text: str) -> None:
    """Null equals only null, and things that have no order are in none."""
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a value is missing before the end"),
        ("$.input.total ==", "a value is missing before the end"),
        ("$.input.total = 1", "is not part of the language"),
        ("$.input.total == ada", "a text stands in quotes"),
        ("$.inputs.total == 1", "a path begins with"),
        ("$", "a path begins with"),
        ("1 < 2 < 3", "join them by `and`"),
        ("(1 == 1", "')' is missing before the end"),
        ("[1, 2", "']' is missing before the end"),
        ("exists 'email'", "a path must follow"),
        ("1 == 1 1", "is not expected there"),
        ("$.input.a not 1", "`in` is missing before"),
        ("__import__('os')", "a value is missing before"),
        ("$.input.__class__()", "is not expected there"),
        ("'never ends", "is not part of the language"),
        ("(" * 40 + "1" + ")" * 40, "nested deeper than 32"),
        ("[" * 40 + "]" * 40, "nested deeper than 32"),
        ("1 or " * 1000 + "1", "more than 2000 characters"),
        ("$" + ".input" * 40, "at most 32 parts"),
    ],
)
def test_an_error_says_what_is_wrong_and_shows_the_grammar(text: str, problem: str) -> None:
    with pytest.raises(InvalidExpression, match="A condition compares paths") as raised:
        parse_condition(text)
    assert problem in str(raised.value)


@pytest.mark.parametrize("value", [None, 1, True, ["1 == 1"], {"==": [1, 1]}])
def test_only_a_text_is_a_condition(value: Any) -> None:
    with pytest.raises(InvalidExpression, match="a condition is a text"):
        parse_condition(value)


def test_a_condition_tells_which_paths_it_mentions() -> None:
    paths = parse_condition("exists $.input.a and [$.steps.b, 1] == $.steps.c.d").paths
    assert [path.text for path in paths] == ["$.input.a", "$.steps.b", "$.steps.c.d"]


@pytest.mark.parametrize(
    "text", ["'" + "\\'" * 990, "$" + ".a" * 990, "not " * 499 + "1", "(" * 1999, "1 " * 999, "-" * 2000, " " * 2000]
)
def test_no_text_takes_long_to_read(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(InvalidExpression):
        parse_condition(text).holds(SCOPE)
    assert time.process_time() - began < 0.5


@given(st.text("$.inputsep[]()'\"=<>!, andorxists0123456789\\", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except InvalidExpression:
        return
    assert isinstance(condition, Condition)
    assert condition.holds({}) in {True, False}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=6,
)


@given(json_values, json_values)
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    assert equal(left, left)
    assert equal(left, right) == equal(right, left)
    assert not equal([1], [True])
    assert not equal({"a": 0}, {"a": False})
