"""Texts of others on their way to a terminal or a log: whatever is in them, they are only read.

An exception's message may bring escape sequences, which a terminal obeys, carriage returns, which hide what stands
before them, line breaks, which look like another entry of the log, and marks that turn the direction of the writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

CONTINUED = "\n    "  # a line break within an entry: what follows cannot be taken for the next entry

# Control characters (C0 but the line break, DEL, C1), breaks of lines and paragraphs, marks of direction, half of a
# pair, annotations and tags, which nobody sees. Joiners stay: Persian and families of emoji need them.
_UNSAFE = (
    "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_UNPRINTABLE = re.compile(f"[{_UNSAFE}]")


def printable(text: object, newline: str = "\\n") -> str:
    r"""In one line, with escapes like `\x1b` for what must not be obeyed; `newline` is what a line break becomes."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    return newline.join(_UNPRINTABLE.sub(_escape, line) for line in lines)


def printable_json(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Indented JSON of the same value, in whatever language the texts are, that a terminal may be shown."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=default)
    return _UNPRINTABLE.sub(lambda found: json.dumps(found.group())[1:-1], text)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
