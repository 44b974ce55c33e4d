"""What people may write for a duration, and what they read."""

from __future__ import annotations

import contextlib
import math
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_workflows.exceptions import WorkflowsError
from django_workflows.expressions.durations import InvalidDuration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 minutes", timedelta(minutes=5)),
        ("5min", timedelta(minutes=5)),
        ("5m", timedelta(minutes=5)),
        ("2 days", timedelta(days=2)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1h 30m", timedelta(hours=1, minutes=30)),
        ("30m1h", timedelta(hours=1, minutes=30)),
        ("30s", timedelta(seconds=30)),
        ("250ms", timedelta(milliseconds=250)),
        ("7us", timedelta(microseconds=7)),
        ("1 week", timedelta(weeks=1)),
        ("1.5 hours", timedelta(hours=1.5)),
        ("1 day, 2 hours and 3 seconds", timedelta(days=1, hours=2, seconds=3)),
        ("  2 DAYS  ", timedelta(days=2)),
        ("0s", timedelta(0)),
        ("999999999 days 23h 59m 59s 999ms 999us", timedelta.max),
    ],
)
def test_a_text_means_what_a_person_means(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, timedelta(seconds=90)),
        (0.25, timedelta(milliseconds=250)),
        (0, timedelta(0)),
        (-3, timedelta(seconds=-3)),
        (timedelta(days=-1), timedelta(days=-1)),
    ],
)
def test_a_number_is_seconds_and_a_timedelta_itself(value: Any, expected: timedelta) -> None:
    assert parse_duration(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "5",
        "5 5",
        "days",
        "-5 minutes",
        "5 months",
        "5 minutes later",
        "1h,",
        "1h and",
        "and 1h",
        "5m 5m",
        "5m 5 minutes",
        "1e3s",
        "1,5h",
        ".5h",
        "٣s",
        "5\0s",
        "\ud800",
        "9" * 190 + "d",
        "1000000000 days",
        "1s" * 1000,
    ],
)
def test_a_text_outside_the_grammar_is_refused_and_the_grammar_shown(value: str) -> None:
    with pytest.raises(ValueError, match=r"is no duration: .*\"1h30m\""):
        parse_duration(value)


@pytest.mark.parametrize(
    "value",
    [True, False, math.nan, math.inf, -math.inf, 1e300, pytest.param(10**5000, id="huge"), None, [], b"5s", object()],
)
def test_a_value_that_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(InvalidDuration) as caught:
        parse_duration(value)

    assert isinstance(caught.value, WorkflowsError)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=50) | st.from_regex(r"\A([0-9]{1,12}(\.[0-9]{1,3})? ?(ms|s|min|h|d|w|x),? ?){1,4}\Z"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidDuration):
        assert parse_duration(text) >= timedelta(0)


def test_a_huge_text_is_refused_unread() -> None:
    started = time.perf_counter()
    for text in ("1" * 10_000_000, "1s " * 3_000_000, " " * 10_000_000 + "x"):
        with pytest.raises(InvalidDuration, match="longer than 200 characters"):
            parse_duration(text)

    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(days=2, hours=3), "2 d 3 h"),
        (timedelta(days=2, hours=3, minutes=59), "2 d 3 h"),
        (timedelta(days=1, minutes=5), "1 d"),
        (timedelta(weeks=2), "14 d"),
        (timedelta(seconds=90), "1 min 30 s"),
        (timedelta(seconds=12), "12 s"),
        (timedelta(seconds=1.25), "1 s 250 ms"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(microseconds=1250), "1 ms"),
        (timedelta(microseconds=5), "5 us"),
        (timedelta(0), "0 s"),
        (timedelta(minutes=-5), "-5 min"),
        (timedelta.max, "999999999 d 23 h"),
        (timedelta.min, "-999999999 d"),
    ],
)
def test_a_duration_is_shown_with_its_two_largest_units(duration: timedelta, expected: str) -> None:
    assert format_duration(duration) == expected


@given(st.timedeltas(min_value=timedelta(0)))
def test_what_is_shown_can_be_typed_again_and_is_rounded_down(duration: timedelta) -> None:
    shown = parse_duration(format_duration(duration))

    assert shown <= duration
    assert format_duration(shown) == format_duration(duration)
