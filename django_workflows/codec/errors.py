"""An exception as data: what is stored of it, whatever it does to prevent that.

The class path is for readers and never imported again. Nothing here raises, and the size is bounded: the JSON stays
far below the default limit of payloads.
"""

from __future__ import annotations

import re
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MAX_MESSAGE = 10_000
MAX_TRACEBACK = 30_000

_MAX_INNER_MESSAGE = 2_000
_MAX_NAME = 200
_MAX_NOTES = 10
_MAX_NOTE = 500
_MAX_DEPTH = 8
_MAX_NODES = 20
_MAX_FRAMES = 100

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"

# What no database column or UTF-8 text can hold.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def encode_exception(exc: BaseException) -> dict[str, Any]:
    """Type name, class path, message and traceback text of an exception; its notes, cause and members when it has any.

    `type`, `class`, `message` and `traceback` are always there. `cause` describes the exception that it came from,
    explicitly or while handling it; `members` those of an exception group, and `members_omitted` counts the rest.
    Texts beyond the limits (in bytes of UTF-8) say how long they were; what no column can hold becomes U+FFFD.
    """
    data = _describe(exc, _Budget(), 0)
    data["message"] = _clip(_message(exc), MAX_MESSAGE)
    text = _safely(lambda: "".join(_traceback(exc, _Budget(), 0)), "<the traceback could not be read>")
    data["traceback"] = _clip_middle(text, MAX_TRACEBACK)
    return data


class _Budget:
    """Which exceptions may still be described: a few, and each once, as causes can form a ring."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def allows(self, exc: BaseException, depth: int) -> bool:
        return depth <= _MAX_DEPTH and len(self.seen) < _MAX_NODES and id(exc) not in self.seen


def _describe(exc: BaseException, budget: _Budget, depth: int) -> dict[str, Any]:
    budget.seen.add(id(exc))
    data: dict[str, Any] = {
        "type": _clip(_safely(lambda: str.__str__(type(exc).__name__), "Exception"), _MAX_NAME),
        "class": _clip(_safely(lambda: f"{type(exc).__module__}.{type(exc).__qualname__}", "Exception"), _MAX_NAME),
        "message": _clip(_message(exc), _MAX_INNER_MESSAGE),
    }
    if notes := _notes(exc):
        data["notes"] = notes
    cause, _ = _cause(exc)
    if cause is not None and budget.allows(cause, depth + 1):
        data["cause"] = _describe(cause, budget, depth + 1)
    if members := _members(exc):
        data["members"] = [_describe(m, budget, depth + 1) for m in members if budget.allows(m, depth + 1)]
        if omitted := len(members) - len(data["members"]):
            data["members_omitted"] = omitted
    return data


def _traceback(exc: BaseException, budget: _Budget, depth: int) -> Iterator[str]:
    """The text that Python prints, with few frames and short messages; `traceback` itself would copy huge ones."""
    budget.seen.add(id(exc))
    cause, connection = _cause(exc)
    if cause is not None and budget.allows(cause, depth + 1):
        yield from _traceback(cause, budget, depth + 1)
        yield connection
    frames = traceback.extract_tb(exc.__traceback__, limit=-_MAX_FRAMES)
    if frames:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_list(frames)
    yield f"{_safely(lambda: type(exc).__qualname__, 'Exception')}: {_clip(_message(exc), _MAX_INNER_MESSAGE)}\n"
    yield from (f"{note}\n" for note in _notes(exc))
    for number, member in enumerate(_members(exc), start=1):
        if budget.allows(member, depth + 1):
            yield f"  ---------------- {number} ----------------\n"
            yield textwrap.indent("".join(_traceback(member, budget, depth + 1)), "  | ")


def _message(exc: BaseException) -> str:
    # `str.__str__` makes an exact text of a subclass, whose own methods could raise later.
    return _safely(lambda: str.__str__(str(exc)), "<the message could not be read>")


def _notes(exc: BaseException) -> list[str]:
    def read() -> list[str]:
        notes = getattr(exc, "__notes__", ())
        return [_clip(str.__str__(note), _MAX_NOTE) for note in list(notes)[:_MAX_NOTES] if isinstance(note, str)]

    return _safely(read, [])


def _cause(exc: BaseException) -> tuple[BaseException | None, str]:
    """The exception that this one came from, and how."""
    cause = _safely(lambda: exc.__cause__, None)
    if cause is not None:
        return cause, _CAUSED
    return _safely(lambda: None if exc.__suppress_context__ else exc.__context__, None), _DURING


def _members(exc: BaseException) -> Sequence[BaseException]:
    # `isinstance` would ask the exception itself for its class.
    is_group = issubclass(type(exc), BaseExceptionGroup)
    return _safely(lambda: tuple(getattr(exc, "exceptions", ())), ()) if is_group else ()


def _safely(read: Callable[[], T], otherwise: T) -> T:
    """What `read` gives, or `otherwise`. Foreign code runs in there, and even a SystemExit of it must not get out."""
    try:
        return read()
    except BaseException:
        return otherwise


def _clip(text: str, limit: int) -> str:
    shown = _storable(text[:limit])
    if len(text) <= limit and len(shown) <= limit:
        return shown.decode()
    return f"{shown[:limit].decode(errors='ignore')}… [truncated: {len(text):,} characters in all]"


def _clip_middle(text: str, limit: int) -> str:
    """Keep where it began and, as that tells more, twice as much of where it ended."""
    data = _storable(text)
    if len(data) <= limit:
        return data.decode()
    head, tail = data[: limit // 3].decode(errors="ignore"), data[-2 * limit // 3 :].decode(errors="ignore")
    return f"{head}\n… [truncated: {len(text):,} characters in all]\n{tail}"


def _storable(text: str) -> bytes:
    return _UNSTORABLE.sub("\ufffd", text).encode()
