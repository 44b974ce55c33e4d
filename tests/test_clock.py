"""The database's clock as a worker knows it: between two estimates, so that nothing is early."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from django_workflows import clock
from django_workflows.clock import DatabaseClock

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("answered_at", [0.0, 0.4, 1.0])
def test_the_databases_time_lies_between_the_two_estimates(monkeypatch: pytest.MonkeyPatch, answered_at: float) -> None:
    """A question that takes a second is answered at some moment within it."""
    moment = 100.0
    monkeypatch.setattr(clock, "monotonic", lambda: moment)
    asked, moment = moment, 101.0
    known = DatabaseClock(NOON, asked)
    moment = 105.0
    true = NOON + timedelta(seconds=moment - asked - answered_at)
    assert known.at_least() <= true <= known.now()
    assert known.now() - known.at_least() == timedelta(seconds=1)


def test_skipped_time_is_added_to_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "monotonic", lambda: 1.0)
    known = DatabaseClock(NOON, 1.0)
    try:
        clock.skip(timedelta(hours=1))
        assert known.at_least() == known.now() == NOON + timedelta(hours=1)
    finally:
        clock.reset()


def test_what_a_database_cuts_off_its_time_does_not_make_it_come_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """It said 12:00:00.000 at 12:00:00.0009; a moment later it says so again, and nothing has been recorded after."""
    monkeypatch.setattr(clock, "monotonic", lambda: 1.0)
    assert DatabaseClock(NOON, 1.0, clock.grain_of("sqlite")).at_least() == NOON - timedelta(milliseconds=1)
    assert DatabaseClock(NOON, 1.0, clock.grain_of("postgresql")).at_least() == NOON


@pytest.mark.django_db
@pytest.mark.parametrize("span", [timedelta(days=800_000, hours=5), timedelta(days=40_000), timedelta(days=3, hours=2)])
def test_a_moment_far_away_is_told_right(span: timedelta) -> None:
    """The longest there is: 70,000,000,000 seconds. As seconds alone they would be a day in 1906 on CockroachDB."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {clock.sql_now(connection.vendor, span.total_seconds())}", [])
        far = clock.parse_sql_time(cursor.fetchone()[0])
    assert abs(far - clock.database_now() - span) < timedelta(minutes=1)


@pytest.mark.parametrize("span", [timedelta(days=800_000, hours=5), timedelta(days=-40_000)])
def test_no_interval_has_more_seconds_than_cockroachdb_can_count(span: timedelta) -> None:
    """It counts them in nanoseconds, and 2^63 of them are 292 years."""
    text = clock.sql_now("cockroachdb", span.total_seconds())
    days, seconds = re.fullmatch(r".* '(\S+) days (\S+) seconds'\)", text).groups()  # type: ignore[union-attr]  # it fails
    assert timedelta(days=int(days), seconds=float(seconds)) == span
    assert 0 <= float(seconds) < 86_400
