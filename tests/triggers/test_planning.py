"""Which moments of a schedule are due."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django_workflows.expressions.schedules import parse_schedule
from django_workflows.triggers.planning import MOST_AT_ONCE, ON_TIME, Plan

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plan(text: str = "* * * * *", **changes: object) -> Plan:
    values = {"overlap": "skip", "catch_up": HOUR, "catch_up_all": 0, "jitter": timedelta(0), "seed": "a"} | changes
    return Plan(schedule=parse_schedule(text), **values)  # type: ignore[arg-type]  # a test's shorthand


def times(moments: tuple[datetime, ...]) -> list[str]:
    return [f"{moment:%H:%M:%S}" for moment in moments]


def test_nothing_is_due_before_its_moment() -> None:
    due = plan("@hourly").due(NOON, NOON + timedelta(minutes=59))
    assert (due.moments, due.until) == ((), NOON)


def test_a_moment_is_due_when_it_comes() -> None:
    due = plan("@hourly").due(NOON, NOON + HOUR)
    assert (due.moments, due.until, due.was_missed) == ((NOON + HOUR,), NOON + HOUR, False)


def test_a_worker_that_is_a_little_late_loses_no_moment() -> None:
    due = plan("every second").due(NOON, NOON + timedelta(seconds=4))
    assert times(due.moments) == ["12:00:01", "12:00:02", "12:00:03", "12:00:04"]
    assert not due.was_missed


def test_after_downtime_the_latest_one_runs() -> None:
    """SCH-04: the last one, once."""
    due = plan().due(NOON - 3 * HOUR, NOON + timedelta(seconds=30))
    assert times(due.moments) == ["12:00:00"]
    assert due.until == NOON + timedelta(seconds=30)


def test_what_is_older_than_catch_up_is_dropped() -> None:
    """SCH-04: with no catching up, the next one is the first."""
    daily = plan("0 9 * * *")
    assert daily.due(NOON - 24 * HOUR, NOON).moments == ()
    assert times(daily.due(NOON - 24 * HOUR, NOON - 2.5 * HOUR).moments) == ["09:00:00"]
    assert plan("@hourly", catch_up=timedelta(0)).due(NOON - 3 * HOUR, NOON + 0.5 * HOUR).moments == ()


def test_all_are_caught_up_up_to_a_number_oldest_first() -> None:
    """SCH-04: all, capped, oldest first, in bounded batches."""
    everything = plan(catch_up_all=100)
    now, since, found = NOON + timedelta(seconds=20), NOON - 3 * HOUR, list[datetime]()
    while (due := everything.due(since, now)).moments:
        assert len(due.moments) <= MOST_AT_ONCE
        found += due.moments
        since = due.until
    assert found == [NOON - timedelta(minutes=minutes) for minutes in range(99, -1, -1)]


def test_catching_up_all_goes_back_further_than_catch_up() -> None:
    due = plan("0 9 * * *", catch_up_all=3).due(NOON - 96 * HOUR, NOON)
    assert [moment.day for moment in due.moments] == [19, 20, 21]


def test_years_of_downtime_cost_no_more_than_minutes() -> None:
    """SCH-04: no scheduler dies of more than a hundred missed moments."""
    began = time.process_time()
    long_ago = NOON - timedelta(days=3650)
    assert len(plan("every second").due(long_ago, NOON).moments) == 1
    assert len(plan("every second", catch_up_all=1000).due(long_ago, NOON).moments) == MOST_AT_ONCE
    assert times(plan("0 0 29 2 *", catch_up=timedelta(days=1500)).due(long_ago, NOON).moments) == ["00:00:00"]
    assert time.process_time() - began < 2


def test_a_clock_that_is_put_back_repeats_nothing() -> None:
    """SCH-18: what has been dealt with stays so."""
    due = plan().due(NOON, NOON - 2 * HOUR)
    assert (due.moments, due.until) == ((), NOON)


def test_jitter_spreads_and_stays_the_same_and_never_comes_early() -> None:
    """SCH-13: a thousand schedules within thirty seconds."""
    spread = [plan("@hourly", seed=str(n), jitter=timedelta(seconds=30)).starts_at(NOON) - NOON for n in range(1000)]
    again = [plan("@hourly", seed=str(n), jitter=timedelta(seconds=30)).starts_at(NOON) - NOON for n in range(1000)]
    assert spread == again
    assert min(spread) >= timedelta(0)
    assert max(spread) < timedelta(seconds=30)
    for first in range(0, 30, 5):
        seconds = timedelta(seconds=first)
        assert 100 < sum(seconds <= one < seconds + timedelta(seconds=5) for one in spread) < 240


def test_jitter_delays_and_loses_nothing() -> None:
    jittered = plan(jitter=timedelta(minutes=5))
    since, found = NOON, list[datetime]()
    for seconds in range(0, 3600, 7):
        now = NOON + timedelta(seconds=seconds)
        due = jittered.due(since, now)
        assert all(jittered.starts_at(moment) <= now for moment in due.moments)
        assert not due.was_missed
        found += due.moments
        since = due.until
    assert found == [NOON + timedelta(minutes=minute) for minute in range(1, len(found) + 1)]
    assert len(found) >= 54


def test_lateness_counts_from_the_jittered_moment() -> None:
    jittered = plan("@hourly", jitter=timedelta(minutes=10), catch_up=timedelta(0))
    start = jittered.starts_at(NOON)
    assert jittered.due(NOON - HOUR, start + ON_TIME / 2).moments == (NOON,)


def test_a_schedule_without_a_moment_is_looked_at_again_tomorrow() -> None:
    assert plan("0 0 30 2 *").look_after(NOON, NOON) == NOON + timedelta(days=1)
    assert plan("0 0 30 2 *").due(NOON - HOUR, NOON).moments == ()
