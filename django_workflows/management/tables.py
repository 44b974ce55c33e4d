"""Tables for a terminal: as wide as it is and no wider, whatever stands in them."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence

GAP = 2
NARROWEST = 6


def terminal_width() -> int:
    return shutil.get_terminal_size().columns


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None) -> list[str]:
    """The lines of a table. When it is too wide, the widest columns give way, and what is cut ends in "…"."""
    cells = [[clean(cell) for cell in row] for row in (headers, *rows)]
    kept = [index for index in range(len(headers)) if any(row[index] for row in cells[1:])]
    if not kept:
        return []
    widths = _fit([max(measure(row[index]) for row in cells) for index in kept], width or terminal_width())
    return [(" " * GAP).join(pad(row[i], size) for i, size in zip(kept, widths, strict=True)).rstrip() for row in cells]


def _fit(widths: list[int], available: int) -> list[int]:
    excess = sum(widths) + GAP * (len(widths) - 1) - available
    while excess > 0 and max(widths) > NARROWEST:
        widest = max(range(len(widths)), key=lambda index: widths[index])
        runner_up = max((width for index, width in enumerate(widths) if index != widest), default=NARROWEST)
        step = min(excess, max(widths[widest] - max(runner_up, NARROWEST), 1))
        widths[widest] -= step
        excess -= step
    return widths


def clean(value: object) -> str:
    """A value in one line, without anything that a terminal would obey."""
    text = "" if value is None else " ".join(str(value).split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def pad(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * (width - measure(text))


def cut(text: str, width: int) -> str:
    """The beginning of a text that fits into so many columns."""
    if measure(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        used += measure(character)
        if used > width - 1:
            break
        kept += character
    return kept + "…"


def measure(text: str) -> int:
    """How many columns a text takes: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
