"""What a schedule should do, told slowly: minute by minute, by an understanding of cron of its own."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def moments(text: str, tz: str, start: datetime, end: datetime) -> list[datetime]:
    """The moments of a cron expression in (start, end], by asking every minute of the time that passes.

    The rule for clocks that change: what was skipped runs once, right after the change, unless every hour is meant;
    what comes twice runs once, unless every hour or each so many minutes are meant.
    """
    minute, hour, *_ = text.split()
    hourly, rolling = hour == "*", hour == "*" or minute.startswith("*")
    zone = ZoneInfo(tz)
    found = []
    now = start.replace(second=0, microsecond=0)
    last_wall = _wall(now, zone)
    while now < end:
        now += MINUTE
        wall = _wall(now, zone)
        skipped = not hourly and any(matches(text, one) for one in _between(last_wall, wall))
        twice = now.astimezone(zone).fold == 1 and not rolling
        if (matches(text, wall) and not twice) or skipped:
            found.append(now)
        last_wall = wall
    return [moment for moment in found if start < moment <= end]


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _between(before: datetime, after: datetime) -> Iterator[datetime]:
    wall = before + MINUTE
    while wall < after:
        yield wall
        wall += MINUTE


def matches(text: str, wall: datetime) -> bool:
    """Whether the clock shows a time of the expression."""
    minute, hour, day, month, weekday = text.split()
    if (
        wall.month not in _numbers(month, 3)
        or wall.hour not in _numbers(hour, 1)
        or wall.minute not in _numbers(minute, 0)
    ):
        return False
    by_day = any(_is_day(entry, wall.date()) for entry in day.split(","))
    by_weekday = any(_is_weekday(entry, wall.date()) for entry in weekday.split(","))
    both = day[0] in "*?" or weekday[0] in "*?"
    return (by_day and by_weekday) if both else (by_day or by_weekday)


def _is_day(entry: str, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if entry == "L":
        return day.day == length
    if entry.endswith("W"):
        weekdays = [one for one in range(1, length + 1) if day.replace(day=one).weekday() < 5]
        if entry == "LW":
            return day.day == weekdays[-1]
        wanted = int(entry[:-1])
        return wanted <= length and day.day == min(weekdays, key=lambda one: abs(one - wanted))
    return day.day in _numbers(entry, 2)


def _is_weekday(entry: str, day: date) -> bool:
    number = day.isoweekday() % 7
    if entry.endswith("L"):
        return number == int(entry[:-1]) % 7 and (day + timedelta(days=7)).month != day.month
    if "#" in entry:
        wanted, nth = entry.split("#")
        return number == int(wanted) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    return number in {one % 7 for one in _numbers(entry, 4)}


@lru_cache(maxsize=4096)
def _numbers(field: str, position: int) -> frozenset[int]:
    low, high = RANGES[position]
    found: set[int] = set()
    for entry in field.split(","):
        span, _, step = entry.partition("/")
        first, _, last = span.partition("-")
        if span in {"*", "?"}:
            first, last = str(low), str(high)
        elif step and not last:
            last = str(high)
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return frozenset(found)
