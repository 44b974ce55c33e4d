"""Schedules: cron or words, in a time zone, and the moments that they mean."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions import cron, natural
from django_workflows.expressions.recurring import EveryDays, EverySeconds, Rule
from django_workflows.expressions.wallclock import next_moment

GRAMMAR = f"{natural.GRAMMAR} {cron.GRAMMAR}"
_ZONES = 'Zones have the names of the IANA, such as "Europe/Berlin" or "America/New_York".'
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Moments that recur. Make one with `parse_schedule()`."""

    text: str  # in its canonical form
    kind: str  # "cron" or "natural"
    tz: str
    rules: tuple[Rule, ...]
    zone: ZoneInfo = field(repr=False)

    @property
    def never_comes(self) -> bool:
        """Whether it has no moment at all, like the 30th of February."""
        return self.next_after(_ANY_TIME) is None

    def next_after(self, moment: datetime) -> datetime | None:
        """The first moment after this one, in UTC; None if there is none within fifty years. Both with a zone."""
        if moment.tzinfo is None:
            raise ValueError("next_after() needs a moment with a time zone.")
        moment = moment.astimezone(UTC)
        try:
            found = [self._next_of(rule, moment) for rule in self.rules]
        except OverflowError:  # the calendar ends with the year 9999
            return None
        return min((one for one in found if one is not None), default=None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` moments, or fewer if there are no more."""
        return [found for _, found in zip(range(count), self.moments(moment), strict=False)]

    def moments(self, after: datetime) -> Iterator[datetime]:
        """All moments after this one, in order; nearly always without an end."""
        found = self.next_after(after)
        while found is not None:
            yield found
            found = self.next_after(found)

    def in_words(self) -> str:
        """What it means, for people; with the zone where it is not UTC."""
        rule = self.rules[0]
        words = rule.in_words() if self.kind == "cron" and isinstance(rule, cron.Cron) else self.text
        return words if self.tz == "UTC" else f"{words} ({self.tz})"

    def _next_of(self, rule: Rule, moment: datetime) -> datetime | None:
        if isinstance(rule, EverySeconds):
            midnight = datetime.combine(rule.start, time(), tzinfo=self.zone)
            return rule.moment_after(moment, midnight.astimezone(UTC))
        return next_moment(rule, self.zone, moment)


def parse_schedule(text: str, *, tz: str = "UTC", anchor: datetime | None = None) -> Schedule:
    """A cron expression or a text like "every weekday at 9am", in the time zone `tz`.

    Intervals that no clock shows, such as 90 minutes, 3 days or 2 weeks, are counted from the day of `anchor`; without
    one, from Monday, the 5th of January 1970. Raises `InvalidExpression`, whose message shows the grammar.
    """
    for given in (text, tz):
        if not isinstance(given, str):
            raise InvalidExpression(given, "only a text can be a schedule or a zone", GRAMMAR)
    zone = _zone(tz)
    if cron.looks_like_cron(text):
        rule = cron.parse_cron(text)
        return Schedule(text=rule.text, kind="cron", tz=tz, rules=(rule,), zone=zone)
    canonical, rules = natural.parse_natural(text)
    if anchor is not None:
        rules = tuple(_counted_from(rule, anchor.astimezone(zone).date()) for rule in rules)
    return Schedule(text=canonical, kind="natural", tz=tz, rules=rules, zone=zone)


def _counted_from(rule: Rule, day: date) -> Rule:
    return rule.counted_from(day) if isinstance(rule, EverySeconds | EveryDays) else rule


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise InvalidExpression(name, "there is no such time zone", _ZONES) from None
