"""The database's clock as a worker knows it: between two estimates, so that nothing is early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
