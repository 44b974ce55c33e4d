"""Cron expressions of five fields, with the extensions that people know from Quartz.

cronsim reads them and walks the calendar; what it lacks stands here: `nW`, `?`, `@daily` and its like, and Sunday as
the end of a range. Times are those of a clock on the wall: zones and their changes are `wallclock`'s business.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError
from cronsim.explain import Expression

from django_workflows.exceptions import InvalidExpression

GRAMMAR = (
    "Cron has five fields, minute hour day-of-month month day-of-week: * for all, lists 1,15, ranges MON-FRI, steps "
    "*/10 or 8-18/2, names JAN-DEC and SUN-SAT (0 and 7 are Sunday); as a day of the month also L (the last), LW (the "
    "last weekday), 15W (the weekday nearest to the 15th), ?; as a day of the week MON#2 (the second Monday), 5L (the "
    "last Friday), ?. Or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually."
)

_MAX_LENGTH = 200
_ALIASES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_NEAREST = re.compile(r"([1-9]|[12][0-9]|3[01])W", re.ASCII)
_UNTIL_SUNDAY = re.compile(r"-(?:SUN|0)(?=$|[,/])", re.ASCII)
_LAST_OF_NAME = re.compile(r"(SUN|MON|TUE|WED|THU|FRI|SAT)L(?=$|,)", re.ASCII)
_SIGNS = frozenset("0123456789*/,-?LW#")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class _Calendar(CronSim):
    """cronsim, with the weekdays nearest to some days of the month."""

    nearest: frozenset[int] = frozenset()
    only_nearest = False

    def match_dom(self, d: date) -> bool:
        if any(d.day == _nearest_weekday(d.year, d.month, day) for day in self.nearest):
            return True
        return not self.only_nearest and super().match_dom(d)


def _nearest_weekday(year: int, month: int, day: int) -> int | None:
    """The day from Monday to Friday nearest to `day` in the same month; None when the month is too short for it."""
    first, length = calendar.monthrange(year, month)
    if day > length:
        return None
    weekday = (first + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that has been checked. `fields` are five, in the form that cronsim reads, `nearest` apart."""

    text: str
    fields: tuple[str, str, str, str, str]
    nearest: frozenset[int] = frozenset()
    only_nearest: bool = False
    either_day: bool = False  # as the whole list would have it: "1W,*/29" does not begin with *

    @property
    def is_hourly(self) -> bool:
        """Whether it does not care which hour it is; then it follows time that passes, not the clock on the wall."""
        return self.fields[1] == "*"

    @property
    def is_rolling(self) -> bool:
        """Whether it goes on through an hour that comes twice: all hours, or steps of minutes."""
        return self.is_hourly or self.fields[0].startswith("*")

    def walls_after(self, wall: datetime) -> Iterator[datetime]:
        """The times on the wall after `wall`, which has no zone; ends when none comes within fifty years."""
        try:
            walk = _Calendar(" ".join(self.fields), wall)
            walk.nearest, walk.only_nearest = self.nearest, self.only_nearest
            walk.day_and = walk.day_and and not self.either_day
            yield from walk
        except (CronSimError, OverflowError, ValueError):
            return  # no month has this day; or the calendar has ended, with the year 9999

    def in_words(self) -> str:
        """What it means, for people."""
        if self.nearest:
            return self.text
        words: str = Expression(["0", *self.fields]).explain()
        return words


def parse_cron(text: str) -> Cron:
    """Raises `InvalidExpression` for what is no cron expression. One whose day never comes is none the less."""
    if len(text) > _MAX_LENGTH:
        raise InvalidExpression(text, f"it is longer than {_MAX_LENGTH} characters", GRAMMAR)
    return _parse(" ".join(text.split()))


def looks_like_cron(text: str) -> bool:
    """Whether a text is meant as cron, so that the error can show the right grammar."""
    words = text.upper().split()
    if not words or words[0].startswith("@"):
        return bool(words)
    return _SIGNS.issuperset(words[0]) and (len(words) > 3 or all(_SIGNS.issuperset(word) for word in words))


@lru_cache(maxsize=1024)
def _parse(text: str) -> Cron:
    upper = text.upper()
    if upper.startswith("@"):
        if upper not in _ALIASES:
            raise InvalidExpression(text, f"{text[:20]!r} is not known", GRAMMAR)
        return Cron(text.lower(), _five(_ALIASES[upper].split()))
    fields = upper.split(" ")
    if len(fields) != len(_FIELDS):
        raise InvalidExpression(text, f"it has {len(fields)} fields instead of five", GRAMMAR)
    _refuse_question_marks(text, fields)
    either_day = _NEAREST.fullmatch(fields[2].split(",")[0]) is not None and fields[4][0] not in "*?"
    days, nearest = _without_nearest(fields[2].replace("?", "*"))
    fields[2], fields[4] = ",".join(days or nearest), _plain_days(fields[4].replace("?", "*"))
    cron = Cron(
        upper,
        _five(fields),
        nearest=frozenset(int(day) for day in nearest),
        only_nearest=bool(nearest and not days),
        either_day=either_day,
    )
    _check(cron)
    return cron


def _five(fields: list[str]) -> tuple[str, str, str, str, str]:
    minute, hour, day, month, weekday = fields
    return minute, hour, day, month, weekday


def _refuse_question_marks(text: str, fields: list[str]) -> None:
    """A `?` stands alone, for "no particular day"."""
    for name, field in zip(_FIELDS, fields, strict=True):
        if "?" in field and (field != "?" or not name.startswith("day-of")):
            raise InvalidExpression(
                text, f"{field[:20]!r} cannot be its {name}: a ? stands alone, for any day", GRAMMAR
            )


def _without_nearest(field: str) -> tuple[list[str], list[str]]:
    """The list's other entries, and the days `n` of its entries `nW`."""
    entries = field.split(",")
    nearest = [match.group(1) for entry in entries if (match := _NEAREST.fullmatch(entry))]
    return [entry for entry in entries if not _NEAREST.fullmatch(entry)], nearest


def _plain_days(field: str) -> str:
    """Sunday as the end of a range is the seventh day; "FRIL" is "5L"."""
    field = _UNTIL_SUNDAY.sub("-7", field)
    return _LAST_OF_NAME.sub(lambda match: f"{_DAYS.index(match.group(1))}L", field)


_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def _check(cron: Cron) -> None:
    """Each field must be one that cronsim reads, when all others are *."""
    for position, name in enumerate(_FIELDS):
        field = cron.fields[position]
        alone = ["*"] * 5
        alone[position] = field
        try:
            CronSim(" ".join(alone), _ANY_TIME)
        except (CronSimError, ValueError):
            raise InvalidExpression(cron.text, f"{field[:20]!r} cannot be its {name}", GRAMMAR) from None
