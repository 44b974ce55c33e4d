"""Durations as people type and read them: "5 minutes", "1h30m", "2 days"."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal

from django_workflows.exceptions import WorkflowsError

GRAMMAR = (
    'Write numbers with units, like "5 minutes", "1h30m", "1.5 hours", "2 days" or "250ms"; the units are '
    "us, ms, s, min, h, d and w, also written out; a bare number (not a text) is seconds."
)

# Longer texts are refused unread, which bounds the work and the error message.
_MAX_LENGTH = 200

_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_MICROSECONDS["w"] = 7 * _MICROSECONDS["d"]

_SPELLINGS = {
    "us": ("us", "microsecond", "microseconds"),
    "ms": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "min": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "wk", "wks", "week", "weeks"),
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}

# Each part begins with a digit and no class overlaps its neighbour, so matching never backtracks over the text.
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)[ \t]*([a-z]+)")
_SEPARATOR = re.compile(r"[ \t]*(?:,[ \t]*)?(?:and[ \t]+)?")


class InvalidDuration(WorkflowsError, ValueError):
    """A duration that cannot be read; the message shows the grammar."""

    def __init__(self, value: object, problem: str) -> None:
        shown = repr(value[:60]) if isinstance(value, str) else _brief(value)
        super().__init__(f"{shown} is no duration: {problem}. {GRAMMAR}")


def _brief(value: object) -> str:
    """A small number as it is; only the type of anything else, whose `repr` may fail or be endless."""
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def parse_duration(value: str | int | float | timedelta) -> timedelta:
    """What people mean by a duration. A number is seconds, a `timedelta` is returned as it is.

    A text is one or more numbers with units, each unit at most once, and never negative; numbers and timedeltas may be
    zero or negative. Raises `InvalidDuration`, a `ValueError`.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidDuration(value, "only a text, a number or a timedelta can be one")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidDuration(value, "it must be finite")
    try:
        return timedelta(seconds=value)
    except OverflowError:
        raise InvalidDuration(value, "it is longer than a timedelta can be") from None


def _parse_text(text: str) -> timedelta:
    if len(text) > _MAX_LENGTH:
        raise InvalidDuration(text, f"it is longer than {_MAX_LENGTH} characters")
    stripped = text.strip().lower()
    if not stripped:
        raise InvalidDuration(text, "it is empty")
    parts = _parts(text, stripped)
    try:
        return timedelta(microseconds=round(sum(number * _MICROSECONDS[unit] for unit, number in parts.items())))
    except OverflowError:
        raise InvalidDuration(text, "it is longer than a timedelta can be") from None


def _parts(text: str, stripped: str) -> dict[str, Decimal]:
    """The number given for each unit."""
    parts: dict[str, Decimal] = {}
    position = 0
    while position < len(stripped):
        match = _PART.match(stripped, position)
        if match is None:
            raise InvalidDuration(text, f"expected a number and a unit at {stripped[position : position + 20]!r}")
        number, spelling = match.groups()
        unit = _UNITS.get(spelling)
        if unit is None:
            raise InvalidDuration(text, f"{spelling[:20]!r} is no unit")
        if unit in parts:
            raise InvalidDuration(text, f"the unit {unit!r} is given twice")
        parts[unit] = Decimal(number)
        position = match.end()
        if position < len(stripped):
            position = _SEPARATOR.match(stripped, position).end()  # type: ignore[union-attr]  # it matches nothing too
            if position == len(stripped):
                raise InvalidDuration(text, "something must follow the separator")
    return parts


def format_duration(duration: timedelta) -> str:
    """A duration for people: its largest unit and the one below, rounded down: "2 d 3 h", "1 min 30 s", "250 ms"."""
    units = [(unit, size) for unit, size in reversed(_MICROSECONDS.items()) if unit != "w"]
    sign, rest = ("-", -duration) if duration < timedelta(0) else ("", duration)
    microseconds = rest // timedelta(microseconds=1)
    for index, (unit, size) in enumerate(units):
        if microseconds >= size:
            count, remainder = divmod(microseconds, size)
            below, below_size = units[index + 1] if index + 1 < len(units) else ("", 1)
            rounded = remainder // below_size if below and size > _MICROSECONDS["ms"] else 0
            return f"{sign}{count} {unit}" + (f" {rounded} {below}" if rounded else "")
    return "0 s"
