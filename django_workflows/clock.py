"""The only module that asks what time it is.

All arithmetic of leases and timers uses the database's clock, so that workers with wrong clocks do no harm. Raw SQL
asks for it with `sql_now()`, the ORM with `DatabaseNow()`, Python code with `database_now()`. Tests skip time by
`skip()`: the offset is added in the same place on every database. `monotonic()` only measures durations.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func

from django_workflows import conf

_offset = timedelta(0)
_DAY_SECONDS = 86_400
_LONG_SECONDS = 100 * 365 * _DAY_SECONDS  # far from where CockroachDB's seconds overflow

monotonic = time.monotonic


def offset() -> timedelta:
    """How far tests have moved the database's clock."""
    return _offset


def skip(duration: timedelta) -> None:
    """Move the database's clock, as this process sees it, by `duration`. For tests."""
    global _offset
    _offset += duration


def reset() -> None:
    """Undo every `skip()`."""
    global _offset
    _offset = timedelta(0)


def sql_now(vendor: str, plus_seconds: float = 0.0) -> str:
    """SQL for the database's present time plus a constant number of seconds.

    `statement_timestamp()` keeps index conditions usable, which `clock_timestamp()` would not, and moves inside a
    long transaction, which `now()` would not. SQLite's clock knows milliseconds; its text has six digits all the same,
    as stored times have, since texts of different lengths do not compare as times.
    """
    seconds = plus_seconds + _offset.total_seconds()
    if vendor == "sqlite":
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '{seconds:+.6f} seconds')"
    return "statement_timestamp()" if not seconds else f"(statement_timestamp() + interval '{_interval(seconds)}')"


def _interval(seconds: float) -> str:
    """A length of time as PostgreSQL and CockroachDB read it.

    CockroachDB counts the seconds of an interval in nanoseconds, which after 292 years begin again below zero. Days it
    counts apart; a short length has none, since a day is as long as the session's time zone makes it.
    """
    if abs(seconds) < _LONG_SECONDS:
        return f"{seconds:.6f} seconds"
    days, rest = divmod(seconds, _DAY_SECONDS)
    return f"{days:.0f} days {rest:.6f} seconds"


def grain_of(vendor: str) -> timedelta:
    """By how much the database's time may be cut short."""
    return timedelta(milliseconds=1) if vendor == "sqlite" else timedelta(0)


class DatabaseNow(Func):
    """The database's present time as an ORM expression."""

    output_field = DateTimeField()
    arity = 0

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # the stubs type the keyword arguments one by one
        return sql_now(connection.vendor), []


def parse_sql_time(value: datetime | str) -> datetime:
    """A time as the driver returned it for `sql_now()`: SQLite gives naive UTC text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def database_now(using: str | None = None) -> datetime:
    """The database's present time; one query."""
    connection = connections[using or conf.database()]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql_now(connection.vendor)}", [])
        return parse_sql_time(cursor.fetchone()[0])


class DatabaseClock:
    """An estimate of the database's clock that costs no query.

    Each `sync()` pairs a time the database told with the local monotonic moment *before* it was asked, so `now()` runs
    ahead by at most the round trip; and with the one after, so `at_least()` is behind by at most as much. A deadline is
    made from the first and has passed by the second: no timer is shorter than it was meant to be. `grain` is what the
    database cuts off its time (`grain_of`); `at_least()` is behind by that, too.
    """

    __slots__ = ("_grain", "_known")

    def __init__(self, base: datetime, moment: float, grain: timedelta = timedelta(0)) -> None:
        self._grain = grain
        self.sync(base, moment)

    def sync(self, base: datetime, moment: float) -> None:
        self._known = base, moment, monotonic(), _offset  # one value: other threads read while the pump writes

    def now(self) -> datetime:
        """The estimated present time of the database."""
        base, moment, _, skipped = self._known
        return _later(base, monotonic() - moment, skipped)

    def at_least(self) -> datetime:
        """A time that the database has certainly reached."""
        base, _, moment, skipped = self._known
        return _later(base - self._grain, monotonic() - moment, skipped)


def _later(base: datetime, seconds: float, skipped: timedelta) -> datetime:
    """`skipped` is how far tests had moved the clock when `base` was read."""
    moment = base + timedelta(0, seconds)
    return moment if skipped is _offset else moment + (_offset - skipped)
