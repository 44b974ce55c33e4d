"""Schedules in words: "every weekday at 9am", "3rd of month at 6pm"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions import vocabulary as v
from django_workflows.expressions.cron import parse_cron
from django_workflows.expressions.recurring import EveryDays, Rule, every_seconds
from django_workflows.expressions.vocabulary import Unreadable, Words

GRAMMAR = (
    "Write one of: every 30 seconds, every 5 minutes, every 2 hours, every 3 days, every 2 weeks on friday; every "
    "second, minute, hour, day, week, month, quarter, year; every weekday, weekend, monday, mon and thu, monday to "
    "friday; first of month, 3rd of month, 1st and 15th of month, last day of month, first monday of month, last "
    "weekday of month, 1st of january. Those of days take times: at 9am, 17:30, noon, midnight, 9am and 5:30pm; "
    "midnight if none is said."
)
_LONGEST = 10 * 366 * 86_400  # of an interval, in seconds
_MAX_LENGTH = 200
_TIME = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(am|pm)?")
_ORDINAL = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)")

Rules = tuple[Rule, ...]


def parse_natural(text: str) -> tuple[str, Rules]:
    """The text as it is stored, and the rules that it stands for. Raises `InvalidExpression`."""
    return _parse(" ".join(text.lower().split()))


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[str, Rules]:
    try:
        if len(text) > _MAX_LENGTH:
            raise Unreadable(f"it is longer than {_MAX_LENGTH} characters")
        return text, _read(Words(text))
    except Unreadable as error:
        raise InvalidExpression(text, str(error), GRAMMAR) from None


def _read(words: Words) -> Rules:
    if not words.peek():
        raise Unreadable("it is empty")
    every = words.take("every", "each")
    if not every and (adverb := words.take_from(v.ADVERBS)):
        return _unit(words, v.ADVERBS[adverb], 1)
    if every and (number := _count(words)):
        return _unit(words, v.UNITS[words.expect(v.UNITS, "a unit such as minutes")], number)
    ordinal = words.peek() in v.ORDINALS and words.peek(1) not in {"", "at"}  # "every second monday of month"
    if every and not ordinal and (unit := words.take_from(v.UNITS)):
        return _unit(words, v.UNITS[unit], 1)
    if words.peek() == "at" and not every:
        return _days(words, "*", "*", "*")
    words.take("on")
    words.take("the")
    if words.peek() in v.DAYS:
        return _days(words, "*", "*", _weekdays(words))
    return _month_first(words) if words.peek() in v.MONTHS else _of_month(words, None)


# the forms


def _unit(words: Words, unit: str, number: int) -> Rules:
    """ "every 5 minutes", "every month on the 3rd"."""
    if unit in v.SECONDS:
        if words.peek() == "at":
            raise Unreadable('"at" needs days, as in "every day at 9am"')
        words.end()
        return (every_seconds(_bounded(number * v.SECONDS[unit])),)
    if unit == "day":
        return _days(words, "*", "*", "*") if number == 1 else _counted(words, number, (0,))
    if unit == "week":
        return _weeks(words, number)
    months = _every_months(number * v.MONTHS_OF[unit])
    if unit == "month" and words.take("on"):
        words.take("the")
        return _of_month(words, months)
    if unit == "year" and words.take("on"):
        return _month_first(words)
    return _days(words, "1", months, "*")


def _weeks(words: Words, number: int) -> Rules:
    weekdays = _weekdays(words) if words.take("on") else "1"
    if number == 1:
        return _days(words, "*", "*", weekdays)
    return _counted(words, 7 * number, tuple(sorted(int(day) - 1 for day in weekdays.split(","))))


def _counted(words: Words, period: int, days: tuple[int, ...]) -> Rules:
    """Some days of each period; a period of weeks begins on Monday."""
    _bounded(period * 86_400)
    return (EveryDays(period=period, days=days, times=tuple(_times(words)), from_monday=period % 7 == 0),)


def _of_month(words: Words, months: str | None) -> Rules:
    """ "first of month", "1st and 15th of month", "last friday of january"."""
    ordinals = words.some(lambda: _ordinal(words))
    if not ordinals:
        raise Unreadable(f"it cannot go on with {words.shown()}")
    day, weekday = _day_fields(words, ordinals)
    if months is None:
        words.expect({"of"}, '"of month"')
        words.take("the")
        words.take("every", "each")
        months = _months(words, is_last=v.LAST in ordinals, is_mixed=len(set(ordinals)) > 1)
    return _days(words, day, months, weekday)


def _day_fields(words: Words, ordinals: Sequence[int]) -> tuple[str, str]:
    """The fields of the day of the month and of the week."""
    word = words.take_from(v.DAYS)
    if word is None:
        words.take("day", "days")
        return ",".join("L" if number == v.LAST else str(number) for number in ordinals), "*"
    if word in v.WEEKDAY:
        if not set(ordinals) <= {1, v.LAST}:
            raise Unreadable("only the first and the last weekday of a month have a name")
        return ",".join("LW" if number == v.LAST else "1W" for number in ordinals), "*"
    day = v.DAYS[word]
    if "," in day or max(ordinals) > 5:
        raise Unreadable(f'no month has such a "{word}"')
    return "*", ",".join(f"{day}L" if number == v.LAST else f"{day}#{number}" for number in ordinals)


def _months(words: Words, *, is_last: bool, is_mixed: bool) -> str:
    """The months after "of". The first day of a quarter lies in its first month, the last day in its last."""
    if words.take("month", "months"):
        return "*"
    if period := words.take("quarter", "year"):
        if is_last and is_mixed:
            raise Unreadable(f"the first and the last day of a {period} lie in different months: make two schedules")
        return {"quarter": ("1,4,7,10", "3,6,9,12"), "year": ("1", "12")}[period][is_last]
    names = words.some(lambda: words.take_from(v.MONTHS))
    if not names:
        raise Unreadable(f'"month" or the name of a month must follow "of", not {words.shown()}')
    return ",".join(str(v.MONTHS[name]) for name in names)


def _month_first(words: Words) -> Rules:
    """ "january 1st at noon"."""
    month = v.MONTHS[words.expect(v.MONTHS, "the name of a month")]
    words.take("the")
    if (number := _ordinal(words) or _count(words)) is None:
        raise Unreadable(f"a day of the month must follow, not {words.shown()}")
    return _days(words, "L" if number == v.LAST else str(_day_of_month(number)), str(month), "*")


def _days(words: Words, day: str, months: str, weekdays: str) -> Rules:
    """These days, at the times that follow: one cron expression for each minute of the hour."""
    by_minute: dict[int, list[int]] = {}
    for hour, minute in _times(words):
        by_minute.setdefault(minute, []).append(hour)
    return tuple(
        parse_cron(f"{minute} {','.join(map(str, hours))} {day} {months} {weekdays}")
        for minute, hours in by_minute.items()
    )


# the parts


def _weekdays(words: Words) -> str:
    """ "monday", "weekdays", "mon, wed and fri", "monday to friday": numbers of cron, from 1 to 7."""
    if not (found := words.some(lambda: _weekday(words))):
        raise Unreadable(f"a day of the week was expected, not {words.shown()}")
    return ",".join(dict.fromkeys(",".join(found).split(",")))


def _weekday(words: Words) -> str | None:
    if (word := words.take_from(v.DAYS)) is None:
        return None
    days = v.DAYS[word]
    if not words.take("to", "through", "-"):
        return days
    last = v.DAYS[words.expect(v.DAYS, "a day of the week")]
    if "," in days + last:
        raise Unreadable("a range goes from one day to another")
    length = (int(last) - int(days)) % 7 + 1
    return ",".join(str((int(days) + step - 1) % 7 + 1) for step in range(length))


def _times(words: Words) -> list[tuple[int, int]]:
    """Hours and minutes after "at", midnight if there is none; nothing else may follow."""
    times = [(0, 0)]
    if words.take("at"):
        times = words.some(lambda: _time(words))
        if not times:
            raise Unreadable(f'a time such as 9am or 17:30 must follow "at", not {words.shown()}')
    words.end()
    return sorted(set(times))


def _time(words: Words) -> tuple[int, int] | None:
    if word := words.take_from(v.TIMES):
        return v.TIMES[word]
    match = _TIME.fullmatch(words.peek())
    if match is None:
        return None
    word = words.next()
    half = match.group(3) or words.take("am", "pm")
    if half is None and match.group(2) is None:
        raise Unreadable(f"is {word} in the morning or in the evening? Write {word}am, {word}pm or {word}:00")
    hour, minute = int(match.group(1)), int(match.group(2) or 0)
    if minute > 59 or hour > 23 or (half and not 1 <= hour <= 12):
        raise Unreadable(f'there is no time "{word}{"" if match.group(3) else half or ""}"')
    return hour if half is None else hour % 12 + 12 * (half == "pm"), minute


def _ordinal(words: Words) -> int | None:
    if word := words.take_from(v.ORDINALS):
        return v.ORDINALS[word]
    if match := _ORDINAL.fullmatch(words.peek()):
        words.next()
        return _day_of_month(int(match.group(1)))
    return None


def _day_of_month(number: int) -> int:
    return number if 1 <= number <= 31 else _refuse(f"no month has a day {number}")


def _count(words: Words) -> int | None:
    if word := words.take_from(v.NUMBERS):
        return v.NUMBERS[word]
    if not words.peek().isdigit() or not words.peek().isascii():
        return None
    word = words.next()
    return int(word[:12]) or _refuse(f'"{word[:12]}" is not enough')


def _every_months(number: int) -> str:
    if number > 12 or 12 % number:
        raise Unreadable("so many months do not divide a year: 1, 2, 3, 4, 6 and 12 do")
    return {1: "*", 12: "1"}.get(number, f"*/{number}")


def _bounded(seconds: int) -> int:
    return seconds if seconds <= _LONGEST else _refuse("the interval is longer than ten years")


def _refuse(problem: str) -> NoReturn:
    raise Unreadable(problem)
