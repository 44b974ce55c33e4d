"""The words of schedules, and how a text is taken apart into them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from typing import TypeVar

T = TypeVar("T")

LAST = -1  # as an ordinal

_SPELLINGS = {
    "second": ("second", "seconds", "sec", "secs", "s"),
    "minute": ("minute", "minutes", "min", "mins", "m"),
    "hour": ("hour", "hours", "hr", "hrs", "h"),
    "day": ("day", "days", "d"),
    "week": ("week", "weeks", "wk", "wks", "w"),
    "month": ("month", "months"),
    "quarter": ("quarter", "quarters"),
    "year": ("year", "years"),
}
UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
SECONDS = {"second": 1, "minute": 60, "hour": 3600}
MONTHS_OF = {"month": 1, "quarter": 3, "year": 12}
ADVERBS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year",
    "annually": "year",
}

_DAY_NAMES = (
    ("monday", "mon"),
    ("tuesday", "tues", "tue"),
    ("wednesday", "wed"),
    ("thursday", "thurs", "thur", "thu"),
    ("friday", "fri"),
    ("saturday", "sat"),
    ("sunday", "sun"),
)
WEEKDAY = {"weekday", "weekdays", "workday", "workdays"}
DAYS = {spelling: str(number) for number, names in enumerate(_DAY_NAMES, 1) for spelling in names}
DAYS |= {f"{names[0]}s": DAYS[names[0]] for names in _DAY_NAMES}
DAYS |= dict.fromkeys(WEEKDAY, "1,2,3,4,5") | dict.fromkeys(("weekend", "weekends"), "6,7")

_MONTH_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
MONTHS |= {name[:3]: number for name, number in MONTHS.items()}

NUMBERS = {"other": 2} | {
    word: number
    for number, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], 1
    )
}
ORDINALS = {"last": LAST} | {
    word: number
    for number, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1
    )
}
TIMES = {"noon": (12, 0), "midday": (12, 0), "midnight": (0, 0)}

_ZONES = {"in", "utc", "gmt", "z"}
_KNOWN = sorted({*UNITS, *ADVERBS, *DAYS, *MONTHS, *NUMBERS, *ORDINALS, *TIMES, "every", "each", "month", "day"})

_TOKEN = re.compile(r"[0-9]+(?::[0-9]+)?(?:am|pm|st|nd|rd|th)?|[a-z]+|[^\sa-z0-9]")


class Unreadable(Exception):
    """What is wrong with a text; whoever catches it knows the text."""


class Words:
    """The words of a text, taken from left to right."""

    def __init__(self, text: str) -> None:
        self._words: list[str] = _TOKEN.findall(text)
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        """The next word; empty at the end."""
        return self._words[self._at + ahead] if self._at + ahead < len(self._words) else ""

    def next(self) -> str:
        """Take the next word, which is there."""
        self._at += 1
        return self._words[self._at - 1]

    def take(self, *words: str) -> str | None:
        """Take the next word if it is one of these."""
        return self.take_from(words)

    def take_from(self, words: Collection[str]) -> str | None:
        return self.next() if self.peek() and self.peek() in words else None

    def expect(self, words: Collection[str], what: str) -> str:
        """Take the next word, which must be one of these."""
        if (word := self.take_from(words)) is None:
            raise Unreadable(f"{what} was expected, not {self.shown()}")
        return word

    def some(self, part: Callable[[], T | None]) -> list[T]:
        """What `part` takes, again after each comma or "and"; empty when it takes nothing."""
        found: list[T] = []
        while (one := part()) is not None:
            found.append(one)
            comma = self.take(",", "and", "&")
            if comma is None:
                return found
            if comma == ",":
                self.take("and")
            self.take("the")
        if found:
            raise Unreadable(f"{self.shown()} cannot follow here")
        return found

    def end(self) -> None:
        """Nothing may follow."""
        if self.peek() in _ZONES:
            raise Unreadable("the time zone is given apart, as tz")
        if self.peek():
            raise Unreadable(f"nothing is known about {self.shown()} here")

    def shown(self) -> str:
        """The next word, for a message, and what was probably meant."""
        if not self.peek():
            return "its end"
        word = self.peek()[:30]
        close = [] if word in _KNOWN else difflib.get_close_matches(word, _KNOWN, n=1)
        return f'"{word}" (did you mean "{close[0]}"?)' if close else f'"{word}"'
