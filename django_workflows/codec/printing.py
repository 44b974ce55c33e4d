"""Texts of others on their way to a terminal or a log: whatever is in them, they are only read.

An exception's message may bring escape sequences, which a terminal obeys, carriage returns, which hide what stands
before them, line breaks, which look like another entry of the log, and marks that turn the direction of the writing.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

CONTINUED = "\n    "  # a line break within an entry: what follows cannot be taken for the next entry

_JOINERS = "\u200c\u200d"  # which Persian and families of emoji need


def printable(text: object, newline: str = "\\n") -> str:
    r"""In one line, with escapes like `\x1b` for what must not be obeyed; `newline` is what a line break becomes."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    return newline.join(_escaped(line, lambda sign: sign.encode("unicode_escape").decode()) for line in lines)


def printable_json(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Indented JSON of the same value, in whatever language the texts are, that a terminal may be shown."""
    lines = json.dumps(value, indent=2, ensure_ascii=False, default=default).split("\n")
    return "\n".join(_escaped(line, lambda sign: json.dumps(sign)[1:-1]) for line in lines)


def _escaped(line: str, escape: Callable[[str], str]) -> str:
    return line if line.isprintable() else "".join(sign if _is_harmless(sign) else escape(sign) for sign in line)


def _is_harmless(sign: str) -> bool:
    """No control, no mark of direction, no break of a line, no half of a pair, and nothing that nobody knows."""
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"
