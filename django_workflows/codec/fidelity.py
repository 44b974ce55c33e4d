"""Whether the value that was brought back is the one that was given.

Some classes write less than they hold: pydantic leaves out excluded fields and private attributes, writes stars for a
`SecretStr`, and a subclass as the class that the field declares. Only a look at both values can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from django_workflows.codec.records import fields_of

_MAX_SHOWN = 60

# Their text says it all, so that another type may be what the hint makes of it.
_TOLD_BY_TEXT = (str, int, float, bytes, bytearray, memoryview, date, time, timedelta, Decimal, UUID, Enum, type(None))


class Difference(NamedTuple):
    """The first place where two values differ, below `$`, and in what."""

    path: str
    problem: str


def difference(before: Any, after: Any, path: str = "") -> Difference | None:
    """What of `before` is not in `after`, or None. What a hint may turn it into is the same: text into a date."""
    if before is after:
        return None
    if (fields := fields_of(before)) is not None:
        return _of_records(before, fields, after, path)
    if isinstance(before, dict):
        return _of_dicts(before, after, path) if isinstance(after, dict) else None
    if isinstance(before, list | tuple):
        return _of_lists(before, after, path) if isinstance(after, list | tuple) else None
    if isinstance(before, set | frozenset):
        return _of_sets(before, after, path) if isinstance(after, set | frozenset) else None
    if _is_same(before, after):
        return None
    return Difference(path, f"{_kind(before)} would come back as {_shown(before, after)}")


def _of_records(before: Any, fields: Any, after: Any, path: str) -> Difference | None:
    others = fields_of(after)
    if others is None:  # where the hint says Any: a dict, under aliases perhaps, and without defaults
        return (
            _of_dicts({key: fields[key] for key in fields if key in after}, after, path)
            if isinstance(after, dict)
            else None
        )
    if not isinstance(after, type(before)):
        return Difference(path, f"{_kind(before)} would come back as {_kind(after)}")
    missing = next((name for name in fields if name not in others), None)
    if missing is not None:
        return Difference(f"{path}.{missing}", "this field would be lost")
    return _first(difference(value, others[name], f"{path}.{name}") for name, value in fields.items())


def _of_dicts(before: dict[Any, Any], after: dict[Any, Any], path: str) -> Difference | None:
    if len(before) > len(after):
        gone = next((key for key in before if key not in after), "")
        return Difference(path + _at(gone), "this key would be lost")
    return _first(difference(value, after[key], path + _at(key)) for key, value in before.items() if key in after)


def _of_lists(before: Any, after: Any, path: str) -> Difference | None:
    if len(before) > len(after):
        return Difference(path, f"of {len(before)} parts only {len(after)} would come back")
    pairs = enumerate(zip(before, after, strict=False))
    return _first(difference(one, two, f"{path}[{index}]") for index, (one, two) in pairs)


def _of_sets(before: Any, after: Any, path: str) -> Difference | None:
    """Members have no place, so only those of a class that nothing in the other set has are told."""
    for member in before - after:
        if fields_of(member) is not None and not any(isinstance(other, type(member)) for other in after):
            return Difference(path, f"its member {_kind(member)} would come back as something else")
    return None


def _first(differences: Iterable[Difference | None]) -> Difference | None:
    return next((found for found in differences if found is not None), None)


def _is_same(before: Any, after: Any) -> bool:
    if isinstance(before, int | float) and isinstance(after, int | float):
        return before == after
    if type(before) is not type(after):
        return isinstance(before, _TOLD_BY_TEXT)
    if isinstance(before, datetime):  # two zones are never equal in the hour that a clock shows twice
        return _on_the_wall(before) == _on_the_wall(after)
    if isinstance(before, Decimal):  # NaN is not equal to itself
        return str(before) == str(after) or (before.is_finite() and before == after)
    try:
        return bool(before == after) or not _can_be_compared(type(before))
    except Exception:  # foreign code
        return False


def _can_be_compared(cls: type) -> bool:
    return any("__eq__" in vars(base) for base in cls.__mro__[:-1])  # the last one is `object`


def _on_the_wall(moment: datetime) -> tuple[datetime, timedelta | None]:
    return moment.replace(tzinfo=None), moment.utcoffset()


def _at(key: Any) -> str:
    is_name = type(key) is str and len(key) <= _MAX_SHOWN and key.isidentifier()
    return f".{key}" if is_name else f"[{_clip(ascii(key))}]"


def _kind(value: Any) -> str:
    return type(value).__qualname__


def _shown(before: Any, after: Any) -> str:
    """A number as it is; a text could be a secret, and what others show is foreign code."""
    if type(after) in (int, float, bool, type(None)):
        return _clip(repr(after))
    return f"another {_kind(after)}" if type(before) is type(after) else _kind(after)


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
