"""Schedules in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.natural import GRAMMAR
from django_workflows.expressions.schedules import parse_schedule

SATURDAY = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every second", ["11-21 12:00:31", "11-21 12:00:32"]),
        ("every 5 seconds", ["11-21 12:00:35", "11-21 12:00:40"]),
        ("every 30s", ["11-21 12:01:00", "11-21 12:01:30"]),
        ("every minute", ["11-21 12:01:00", "11-21 12:02:00"]),
        ("every 60 seconds", ["11-21 12:01:00", "11-21 12:02:00"]),
        ("every 5 minutes", ["11-21 12:05:00", "11-21 12:10:00"]),
        ("every 7 minutes", ["11-21 12:04:00", "11-21 12:11:00"]),
        ("every 90 minutes", ["11-21 13:30:00", "11-21 15:00:00"]),
        ("every hour", ["11-21 13:00:00", "11-21 14:00:00"]),
        ("hourly", ["11-21 13:00:00", "11-21 14:00:00"]),
        ("every two hours", ["11-21 14:00:00", "11-21 16:00:00"]),
        ("every 5 hours", ["11-21 14:00:00", "11-21 19:00:00"]),
        ("every day", ["11-22 00:00:00", "11-23 00:00:00"]),
        ("daily at 9am and 5:30pm", ["11-21 17:30:00", "11-22 09:00:00"]),
        ("at noon", ["11-22 12:00:00", "11-23 12:00:00"]),
        ("every 3 days", ["11-22 00:00:00", "11-25 00:00:00"]),
        ("every other day at 9am", ["11-23 09:00:00", "11-25 09:00:00"]),
        ("every week", ["11-23 00:00:00", "11-30 00:00:00"]),
        ("every week on friday at 5pm", ["11-27 17:00:00", "12-04 17:00:00"]),
        ("every 2 weeks on tuesday and friday", ["11-24 00:00:00", "11-27 00:00:00", "12-08 00:00:00"]),
        ("every month", ["12-01 00:00:00", "01-01 00:00:00"]),
        ("every 2 months", ["01-01 00:00:00", "03-01 00:00:00"]),
        ("every month on the 3rd at 6pm", ["12-03 18:00:00", "01-03 18:00:00"]),
        ("every quarter", ["01-01 00:00:00", "04-01 00:00:00"]),
        ("every year", ["01-01 00:00:00"]),
        ("every year on march 3rd", ["03-03 00:00:00"]),
        ("every weekday at 9am", ["11-23 09:00:00", "11-24 09:00:00"]),
        ("weekends at 10:30", ["11-22 10:30:00", "11-28 10:30:00"]),
        ("every monday", ["11-23 00:00:00", "11-30 00:00:00"]),
        ("every mon, wed, and fri at 17:30", ["11-23 17:30:00", "11-25 17:30:00", "11-27 17:30:00"]),
        ("mondays and thursdays at midnight", ["11-23 00:00:00", "11-26 00:00:00"]),
        ("monday to friday at 9 am", ["11-23 09:00:00", "11-24 09:00:00"]),
        ("fri-mon", ["11-22 00:00:00", "11-23 00:00:00", "11-27 00:00:00"]),
        ("first of month", ["12-01 00:00:00", "01-01 00:00:00"]),
        ("first of month at 6am", ["12-01 06:00:00", "01-01 06:00:00"]),
        ("3rd of month at 6pm", ["12-03 18:00:00", "01-03 18:00:00"]),
        ("the 1st and 15th of every month", ["12-01 00:00:00", "12-15 00:00:00"]),
        ("31st of month", ["12-31 00:00:00", "01-31 00:00:00", "03-31 00:00:00"]),
        ("last day of month", ["11-30 00:00:00", "12-31 00:00:00"]),
        ("last of the month at noon", ["11-30 12:00:00", "12-31 12:00:00"]),
        ("first monday of month", ["12-07 00:00:00", "01-04 00:00:00"]),
        ("every second monday of month", ["12-14 00:00:00", "01-11 00:00:00"]),
        ("first and third monday of month", ["12-07 00:00:00", "12-21 00:00:00"]),
        ("last friday of month at 5pm", ["11-27 17:00:00", "12-25 17:00:00"]),
        ("first weekday of month", ["12-01 00:00:00", "01-01 00:00:00"]),
        ("last weekday of month", ["11-30 00:00:00", "12-31 00:00:00", "01-29 00:00:00"]),
        ("1st of january and july", ["01-01 00:00:00", "07-01 00:00:00"]),
        ("january 1st at noon", ["01-01 12:00:00"]),
        ("last day of february", ["02-28 00:00:00"]),
        ("first day of quarter", ["01-01 00:00:00", "04-01 00:00:00"]),
        ("last weekday of quarter", ["12-31 00:00:00", "03-31 00:00:00"]),
        ("last day of year", ["12-31 00:00:00"]),
        ("every day at 12am", ["11-22 00:00:00"]),
        ("every day at 12pm", ["11-22 12:00:00"]),
    ],
)
def test_words_mean_what_people_mean(text: str, expected: list[str]) -> None:
    found = parse_schedule(text).upcoming(SATURDAY, len(expected))
    assert [f"{moment:%m-%d %H:%M:%S}" for moment in found] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("every", "cannot go on with its end"),
        ("every 0 minutes", '"0" is not enough'),
        ("every 5", "a unit such as minutes"),
        ("every 5 minutes at 9am", '"at" needs days'),
        ("every hour at 9am", '"at" needs days'),
        ("every day at", "a time such as 9am"),
        ("every day at 9", "in the morning or in the evening"),
        ("every day at 25:00", 'no time "25:00"'),
        ("every day at 24:00", 'no time "24:00"'),
        ("every day at 9:60", 'no time "9:60"'),
        ("every day at 13pm", 'no time "13pm"'),
        ("every day at 0 am", 'no time "0am"'),
        ("every day at 9am and", "its end cannot follow"),
        ("every fortnight", 'cannot go on with "fortnight"'),
        ("every 999999999999999999999 days", "longer than ten years"),
        ("every 11 years", "do not divide a year"),
        ("every 5 months", "do not divide a year"),
        ("32nd of month", "no month has a day 32"),
        ("0th of month", "no month has a day 0"),
        ("6th monday of month", "no month has such"),
        ("first weekend of month", "no month has such"),
        ("3rd weekday of month", "only the first and the last weekday"),
        ("first of", '"month" or the name of a month'),
        ("first and last day of quarter", "make two schedules"),
        ("weekend to monday", "from one day to another"),
        ("monday and", "its end cannot follow"),
        ("every monday at 9am please", 'about "please"'),
        ("january", "a day of the month must follow"),
        ("soon", 'cannot go on with "soon"'),
        ("every day " * 40, "longer than 200"),
    ],
)
def test_other_words_are_refused_with_the_reason_and_the_grammar(text: str, problem: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse_schedule(text)
    assert problem in caught.value.problem
    assert GRAMMAR in str(caught.value)


def test_intervals_are_counted_from_the_day_of_the_anchor() -> None:
    wednesday = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
    days = parse_schedule("every 3 days at 9am", anchor=wednesday).upcoming(wednesday, 2)
    assert [f"{moment:%m-%d %H}" for moment in days] == ["11-21 09", "11-24 09"]
    weeks = parse_schedule("every 2 weeks on friday", anchor=wednesday).upcoming(wednesday, 2)
    assert [f"{moment:%m-%d}" for moment in weeks] == ["11-20", "12-04"]
    minutes = parse_schedule("every 7 minutes", anchor=wednesday).upcoming(wednesday, 2)
    assert [f"{moment:%H:%M}" for moment in minutes] == ["15:31", "15:38"]


def test_days_in_a_zone_begin_at_its_midnight() -> None:
    found = parse_schedule("every 2 days at 9am", tz="Asia/Tokyo", anchor=SATURDAY).next_after(SATURDAY)
    assert found == datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("evry monday", '"evry" (did you mean "every"?)'),
        ("every tusday at 9am", '"tusday" (did you mean "tuesday"?)'),
        ("every 5 minuets", '"minuets" (did you mean "minutes"?)'),
        ("first of mnth", '"mnth" (did you mean "month"?)'),
        ("everyday at 9am", '"everyday" (did you mean "every"?)'),
        ("xyzzy", '"xyzzy"'),
        ("every monday at 9am in Europe/Berlin", "the time zone is given apart, as tz"),
        ("every day at 9am UTC", "the time zone is given apart, as tz"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_was_probably_meant(text: str, words: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        parse_schedule(text)
    assert words in str(refused.value)
    assert ("did you mean" in str(refused.value)) == ("did you mean" in words)
