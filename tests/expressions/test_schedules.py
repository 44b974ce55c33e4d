"""Schedules mean the moments that people mean, in every zone and at every change of clocks."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.schedules import parse_schedule
from tests.expressions import brute

SATURDAY = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "Pacific/Chatham",
]
CHANGES = {  # around each of these days a clock changes
    "Europe/Zurich": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Africa/Cairo": ["2026-04-24", "2026-10-29"],
    "Australia/Lord_Howe": ["2026-04-04", "2026-10-03"],
    "America/Santiago": ["2026-04-04", "2026-09-05"],
    "Pacific/Chatham": ["2026-04-04", "2026-09-26"],
}


def at(text: str, tz: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).astimezone(UTC)


def shown(moments: list[datetime], tz: str) -> list[str]:
    return [moment.astimezone(ZoneInfo(tz)).isoformat(timespec="minutes") for moment in moments]


def entries(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.sets(number, min_size=2, max_size=2).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, 40)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    return st.one_of(number.map(str), span, step)


def fields(low: int, high: int, *more: str) -> st.SearchStrategy[str]:
    entry = st.one_of(entries(low, high), *(st.just(one) for one in more)) if more else entries(low, high)
    return st.one_of(st.just("*"), st.lists(entry, min_size=1, max_size=3).map(",".join))


crons = st.tuples(
    fields(0, 59),
    fields(0, 23),
    fields(1, 31, "L", "LW", "15W", "1W", "31W"),
    fields(1, 12),
    fields(0, 7, "5L", "1#2", "0L"),
).map(" ".join)
times_of_day = st.tuples(fields(0, 59), fields(0, 4), st.just("*"), st.just("*"), st.just("*")).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    crons,
    st.sampled_from(ZONES),
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # naive bounds
)
def test_cron_is_what_a_look_at_every_minute_finds(text: str, tz: str, start: datetime) -> None:
    end = start + timedelta(days=2)
    expected = brute.moments(text, tz, start, end)
    schedule = parse_schedule(text, tz=tz)
    found = [moment for moment in schedule.upcoming(start, len(expected) + 1) if moment <= end]
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(times_of_day, st.sampled_from([(tz, day) for tz, days in CHANGES.items() for day in days]), st.integers(0, 1800))
def test_changes_of_clocks_lose_and_repeat_nothing(text: str, change: tuple[str, str], minutes: int) -> None:
    """SCH-02: wherever one begins to ask (a restart), the moments to come are the same."""
    tz, day = change
    start = at(day) - timedelta(hours=12) + timedelta(minutes=minutes, seconds=17)
    end = at(day) + timedelta(hours=40)
    expected = brute.moments(text, tz, start, end)
    found = parse_schedule(text, tz=tz).upcoming(start, len(expected) + 1)
    assert [moment for moment in found if moment <= end] == expected


@pytest.mark.parametrize(
    ("text", "tz", "start", "expected"),
    [
        # in the gap: once, right after it
        ("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"]),
        ("0,30 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0 2,3 * * *", "Europe/Zurich", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("*/20 2 * * *", "Europe/Zurich", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
        # what comes twice: once
        ("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
        # steps of minutes, and schedules of every hour, follow the time that passes
        (
            "*/30 * * * *",
            "Europe/Zurich",
            "2026-03-29T01:10",
            ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"],
        ),
        (
            "*/30 * * * *",
            "Europe/Zurich",
            "2026-10-25T01:40",
            [f"2026-10-25T02:{minute}+0{offset}:00" for offset in (2, 1) for minute in ("00", "30")],
        ),
        ("15 * * * *", "Europe/Zurich", "2026-03-29T01:10", ["2026-03-29T01:15+01:00", "2026-03-29T03:15+02:00"]),
        ("15 * * * *", "Europe/Zurich", "2026-10-25T02:10", ["2026-10-25T02:15+02:00", "2026-10-25T02:15+01:00"]),
    ],
)
def test_clocks_that_change_follow_the_rule(text: str, tz: str, start: str, expected: list[str]) -> None:
    """SCH-02: a time in the gap comes once, right after it; one that comes twice counts once; steps go on."""
    assert shown(parse_schedule(text, tz=tz).upcoming(at(start, tz), len(expected)), tz) == expected


def test_a_whole_day_that_a_country_skipped_is_not_lost() -> None:
    """SCH-02: Samoa had no 30th of December 2011."""
    found = parse_schedule("0 9 * * *", tz="Pacific/Apia").upcoming(at("2011-12-29T12:00", "Pacific/Apia"), 2)
    assert shown(found, "Pacific/Apia") == ["2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("59 23 LW * *", ["2026-11-30T23:59", "2026-12-31T23:59", "2027-01-29T23:59"]),
        ("0 9 15W * ?", ["2026-12-15T09:00", "2027-01-15T09:00", "2027-02-15T09:00"]),
        (
            "0 0 1W * *",
            [
                "2026-12-01T00:00",
                "2027-01-01T00:00",
                "2027-02-01T00:00",
                "2027-03-01T00:00",
                "2027-04-01T00:00",
                "2027-05-03T00:00",
            ],
        ),
        ("0 0 31W * *", ["2026-12-31T00:00", "2027-01-29T00:00", "2027-03-31T00:00"]),
        ("0 0 1W,10 * *", ["2026-12-01T00:00", "2026-12-10T00:00"]),
        ("0 0 1W,*/29 * MON", ["2026-11-23T00:00", "2026-11-30T00:00", "2026-12-01T00:00"]),
        ("0 0 L * *", ["2026-11-30T00:00", "2026-12-31T00:00"]),
        ("0 0 ? * MON#2", ["2026-12-14T00:00", "2027-01-11T00:00"]),
        ("0 0 ? * FRIL", ["2026-11-27T00:00", "2026-12-25T00:00"]),
        ("0 0 * * 5L", ["2026-11-27T00:00", "2026-12-25T00:00"]),
        ("0 0 * * fri-sun", ["2026-11-22T00:00", "2026-11-27T00:00", "2026-11-28T00:00", "2026-11-29T00:00"]),
        ("0 0 * JAN-FEB *", ["2027-01-01T00:00"]),
        ("0 0 1 */3 ?", ["2027-01-01T00:00", "2027-04-01T00:00"]),
        ("*/20 8-18/2 * * MON-FRI", ["2026-11-23T08:00", "2026-11-23T08:20", "2026-11-23T08:40", "2026-11-23T10:00"]),
        ("0 0 13 * FRI", ["2026-11-27T00:00", "2026-12-04T00:00", "2026-12-11T00:00", "2026-12-13T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("@hourly", ["2026-11-21T13:00"]),
        ("@daily", ["2026-11-22T00:00"]),
        ("@Midnight", ["2026-11-22T00:00"]),
        ("@weekly", ["2026-11-22T00:00"]),
        ("@monthly", ["2026-12-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00"]),
        ("@annually", ["2027-01-01T00:00"]),
    ],
)
def test_cron_has_what_quartz_added(text: str, expected: list[str]) -> None:
    found = parse_schedule(text).upcoming(SATURDAY, len(expected))
    assert [moment.replace(tzinfo=None).isoformat(timespec="minutes") for moment in found] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 0 32 * *", "'32' cannot be its day-of-month"),
        ("60 * * * *", "'60' cannot be its minute"),
        ("* 24 * * *", "'24' cannot be its hour"),
        ("* * * 13 *", "'13' cannot be its month"),
        ("* * * * 8", "'8' cannot be its day-of-week"),
        ("*/0 * * * *", "'*/0' cannot be its minute"),
        ("0 ? * * *", "a ? stands alone"),
        ("* * * *", "it has 4 fields instead of five"),
        ("* * * * * *", "it has 6 fields instead of five"),
        ("@reboot", "'@reboot' is not known"),
        ("", "it is empty"),
        ("0 0 0W * *", "'0W' cannot be its day-of-month"),
        ("\u0661 * * * *", "it cannot go on"),
    ],
)
def test_what_is_no_schedule_is_told_with_the_grammar(text: str, problem: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse_schedule(text)
    assert problem in str(caught.value)
    assert "Cron has five fields" in str(caught.value) or "every 5 minutes" in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["@daily"]])
def test_only_a_text_is_a_schedule(value: object) -> None:
    with pytest.raises(InvalidExpression, match="only a text"):
        parse_schedule(value)  # type: ignore[arg-type]  # what a JSON body may bring


@pytest.mark.parametrize("tz", ["Mars/Base", "", "../../etc/passwd", "Europe", "\0", "x" * 5000])
def test_a_zone_that_does_not_exist_is_refused(tz: str) -> None:
    with pytest.raises(InvalidExpression, match="no such time zone"):
        parse_schedule("@daily", tz=tz)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31W 2 ?", "0 0 */30 2 MON#5"])
def test_a_day_that_never_comes_is_found_out_quickly(text: str) -> None:
    began = time.process_time()
    schedule = parse_schedule(text)
    assert schedule.next_after(SATURDAY) is None
    assert schedule.never_comes
    assert schedule.upcoming(SATURDAY, 5) == []
    assert time.process_time() - began < 0.5


@settings(max_examples=100, deadline=None)
@given(crons)
def test_no_expression_takes_long(text: str) -> None:
    began = time.process_time()
    schedule = parse_schedule(text)
    schedule.next_after(SATURDAY)
    assert schedule.in_words()
    assert parse_schedule(schedule.text) == schedule
    assert time.process_time() - began < 1


@given(st.text(max_size=60))
def test_any_other_text_is_refused_politely(text: str) -> None:
    with contextlib.suppress(InvalidExpression):
        assert parse_schedule(text).in_words()


def test_a_long_text_is_refused_at_once() -> None:
    began = time.process_time()
    for text in ("1," * 5_000 + "1 * * * *", "every " * 5_000, "*/1 " * 5_000, "1-2/1,1-2/1," * 2000):
        with pytest.raises(InvalidExpression):
            parse_schedule(text)
    assert time.process_time() - began < 1


def test_the_calendar_has_an_end() -> None:
    late = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    for text in ("* * * * *", "every 7 seconds", "every 3 days", "@yearly"):
        assert parse_schedule(text, tz="America/New_York").next_after(late) is None


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_schedule("@daily").next_after(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


def test_schedules_are_told_in_words() -> None:
    assert parse_schedule("0 9 * * MON-FRI", tz="Europe/Berlin").in_words() == (
        "At 09:00 on Monday through Friday (Europe/Berlin)"
    )
    assert parse_schedule(" Every  weekday at 9AM").in_words() == "every weekday at 9am"
