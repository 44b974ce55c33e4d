"""Schedules that cron cannot say: every so many seconds, days or weeks, whatever the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from django_workflows.expressions.cron import Cron

_MONDAY = date(1970, 1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EverySeconds:
    """Seconds that pass between two moments, counted from midnight of the day `start`."""

    seconds: int
    start: date = _MONDAY

    def counted_from(self, day: date) -> EverySeconds:
        return replace(self, start=day)

    def moment_after(self, moment: datetime, midnight: datetime) -> datetime:
        """The first one after `moment`; `midnight` is the moment at which the day `start` begins."""
        period = timedelta(seconds=self.seconds)
        return midnight + ((moment - midnight) // period + 1) * period


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryDays:
    """Some days of each period of so many, counted from the day `start`, or from the Monday of its week."""

    period: int
    days: tuple[int, ...]
    times: tuple[tuple[int, int], ...]
    from_monday: bool = False
    start: date = _MONDAY

    is_hourly = False
    is_rolling = False

    def counted_from(self, day: date) -> EveryDays:
        return replace(self, start=day - timedelta(days=day.weekday()) if self.from_monday else day)

    def walls_after(self, wall: datetime) -> Iterator[datetime]:
        """Its times on the wall after `wall`."""
        cycle = (wall.date() - self.start).days // self.period
        try:
            while True:
                for day in self.days:
                    date_ = self.start + timedelta(days=cycle * self.period + day)
                    for hour, minute in self.times:
                        if (found := datetime.combine(date_, time(hour, minute))) > wall:
                            yield found
                cycle += 1
        except OverflowError:  # the calendar ends with the year 9999
            return


Rule = Cron | EverySeconds | EveryDays


def every_seconds(seconds: int) -> Rule:
    """What divides an hour or a day follows the clock on the wall; anything else, the time that passes."""
    minutes, rest = divmod(seconds, 60)
    if not rest and minutes < 60 and 60 % minutes == 0:
        return _cron(f"*/{minutes} * * * *" if minutes > 1 else "* * * * *")
    hours, rest = divmod(seconds, 3600)
    if not rest and hours <= 24 and 24 % hours == 0:
        return _cron({1: "0 * * * *", 24: "0 0 * * *"}.get(hours, f"0 */{hours} * * *"))
    return EverySeconds(seconds=seconds)


def _cron(text: str) -> Cron:
    minute, hour, day, month, weekday = text.split()
    return Cron(text, (minute, hour, day, month, weekday))
