"""Tables for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_workflows.codec import printable
from django_workflows.management.tables import clean, cut, measure, table


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    assert table(("ID", "STATUS"), [("3f2b", "waiting"), ("41", "")], 80) == [
        "ID    STATUS",
        "3f2b  waiting",
        "41",
    ]


def test_an_empty_column_is_left_out() -> None:
    assert table(("ID", "KEY", "STATUS"), [("3f2b", None, "waiting")], 80) == ["ID    STATUS", "3f2b  waiting"]
    assert table(("ID",), [], 80) == []


def test_the_widest_column_gives_way() -> None:
    lines = table(("ID", "WHY"), [("3f2b8c1e", "waiting for event review.posted since 2026-03-01 12:00")], 30)

    assert lines[1] == "3f2b8c1e  waiting for event r…"


def test_without_a_width_nothing_is_cut() -> None:
    why = "waiting for event review.posted " * 20
    assert table(("ID", "WHY"), [("3f2b8c1e", why)])[1] == f"3f2b8c1e  {why.strip()}"


def test_what_is_wrapped_is_whole_and_the_others_give_way_to_it() -> None:
    why = "waiting for the event review.posted of the customer since 12:00"
    lines = table(("KEY", "WHY"), [("order-4711-of-the-customer-0815-in-2026", why)], 60, wrapped=True)

    assert [line[24:] for line in lines] == [
        "WHY",
        "waiting for the event review.posted",
        "of the customer since 12:00",
    ]
    assert lines[1].startswith("order-4711-of-the-cus…")


def test_a_wide_character_takes_two_columns_and_a_combining_one_none() -> None:
    assert measure("日本") == 4
    assert measure("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"


def test_nothing_that_a_terminal_would_obey_gets_through() -> None:
    assert clean("a\x1b[31mb\nc\u202ed") == r"a\x1b[31mb c\u202ed"


@pytest.mark.parametrize("width", [40, 80, 200])
@given(rows=st.lists(st.tuples(st.text(max_size=300), st.text(max_size=30), st.integers()), min_size=1, max_size=5))
def test_no_line_is_wider_than_the_terminal(width: int, rows: list[tuple[str, str, int]]) -> None:
    for line in table(("NAME", "KEY", "NUMBER"), rows, width):
        assert measure(line) <= width
        assert printable(line) == line


@pytest.mark.parametrize("width", [40, 80, 200])
@given(rows=st.lists(st.tuples(st.text(max_size=30), st.text(max_size=300)), min_size=1, max_size=5))
def test_no_wrapped_line_is_wider_either_and_no_word_is_lost(width: int, rows: list[tuple[str, str]]) -> None:
    lines = table(("NAME", "WHY"), rows, width, wrapped=True)
    assert all(measure(line) <= width for line in lines)
    written = "".join("".join(lines).split())
    for _, why in rows:
        assert all(word[:20] in written for word in clean(why).split() if measure(word) < 20)
