"""Patterns for names."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.glob import compile_glob


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("order.*", ["order.paid"], ["orderXpaid", "order.", "order", "order.paid.late", "border.paid", "Order.paid"]),
        ("*.refunded", ["order.refunded"], ["refunded", ".refunded", "a.b.refunded"]),
        ("shop.**", ["shop", "shop.a", "shop.a.b"], ["shopping", "a.shop"]),
        ("**.failed", ["failed", "a.failed", "a.b.failed"], ["a.failed.b", "afailed"]),
        ("a.**.z", ["a.z", "a.b.z", "a.z.z", "a.b.c.z"], ["a", "z", "a.z.b"]),
        ("**", ["a", "a.b", ""], []),
        ("*", ["a", "*"], ["a.b", ""]),
        ("order.paid", ["order.paid"], ["order.paid.", "order_paid", "orderxpaid"]),
        ("a.*.**.b.*", ["a.x.b.y", "a.x.b.b.y", "a.1.2.b.b"], ["a.b.b", "a.x.b"]),
        ("größe.*", ["größe.neu"], ["grösse.neu"]),
    ],
)
def test_a_pattern_matches_whole_words(pattern: str, matching: list[str], others: list[str]) -> None:
    """EVT-26: only the documented matches."""
    glob = compile_glob(pattern)
    assert [name for name in [*matching, *others] if glob.matches(name)] == matching


words = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=7)
names = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=9).map(".".join)


@given(words, names)
def test_it_agrees_with_a_regular_expression(parts: list[str], name: str) -> None:
    whole = ".".join(parts)
    pieces = ["(?:[^.]*[.])*" if part == "**" else ("[^.]+" if part == "*" else part) + "[.]" for part in parts]
    expected = re.fullmatch("".join(pieces), f"{name}.") is not None
    assert compile_glob(whole).matches(name) == expected


@pytest.mark.parametrize("pattern", ["", "a..b", ".a", "a.", "ord*", "a.**b", "***", "x" * 501])
def test_what_is_no_pattern_is_told_with_the_grammar(pattern: str) -> None:
    with pytest.raises(InvalidExpression, match="exactly one word"):
        compile_glob(pattern)


@pytest.mark.parametrize("pattern", [None, 5, ["a"]])
def test_only_a_text_is_a_pattern(pattern: object) -> None:
    with pytest.raises(InvalidExpression, match="only a text"):
        compile_glob(pattern)  # type: ignore[arg-type]  # what a JSON body may bring


def test_a_hostile_pattern_costs_no_more_than_its_length() -> None:
    """EVT-26: a linear matcher."""
    glob = compile_glob("**.a." * 80 + "b")
    began = time.process_time()
    assert not glob.matches("a." * 20_000 + "a")
    assert time.process_time() - began < 1


def test_a_pattern_knows_whether_it_is_a_plain_name() -> None:
    assert compile_glob("order.paid").is_literal
    assert not compile_glob("order.*").is_literal
    assert str(compile_glob("a.**.**.b")) == "a.**.b"
