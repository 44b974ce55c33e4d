"""Tables for a terminal: as wide as it is and no wider, whatever stands in them; elsewhere as wide as they need."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence

from django_workflows import codec

GAP = 2
NARROWEST = 6
ROOMY = 36  # columns that the last column of a wrapped table gets before the others keep theirs


def terminal_width() -> int:
    return shutil.get_terminal_size().columns


def table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None, *, wrapped: bool = False
) -> list[str]:
    """The lines of a table, within `width` if there is one: the widest columns give way, and what is cut ends in "…".

    `wrapped` keeps the last column whole: the others give way to it, and it goes on in further lines.
    """
    cells = [[clean(cell) for cell in row] for row in (headers, *rows)]
    kept = [index for index in range(len(headers)) if any(row[index] for row in cells[1:])]
    if not kept:
        return []
    cells = [[row[index] for index in kept] for row in cells]
    widths = [max(measure(row[index]) for row in cells) for index in range(len(kept))]
    if width is not None:
        widths = _fit_wrapped(widths, width) if wrapped and kept[-1] == len(headers) - 1 else _fit(widths, width)
    return [line for row in cells for line in _lines(row, widths, wrapped=wrapped)]


def _lines(row: Sequence[str], widths: Sequence[int], *, wrapped: bool) -> list[str]:
    last = wrap(row[-1], widths[-1]) if wrapped else [cut(row[-1], widths[-1])]
    first = [pad(cell, size) for cell, size in zip(row[:-1], widths[:-1], strict=True)]
    blank = [" " * size for size in widths[:-1]]
    return [(" " * GAP).join([*(first if number == 0 else blank), text]).rstrip() for number, text in enumerate(last)]


def _fit(widths: list[int], available: int) -> list[int]:
    excess = sum(widths) + GAP * (len(widths) - 1) - available
    while excess > 0 and max(widths) > NARROWEST:
        widest = max(range(len(widths)), key=lambda index: widths[index])
        runner_up = max((width for index, width in enumerate(widths) if index != widest), default=NARROWEST)
        step = min(excess, max(widths[widest] - max(runner_up, NARROWEST), 1))
        widths[widest] -= step
        excess -= step
    return widths


def _fit_wrapped(widths: list[int], available: int) -> list[int]:
    """The last column gets what the others leave, and these leave it enough to be read."""
    *others, last = widths
    if others:
        others = _fit(others, available - GAP - min(last, ROOMY))
    room = available - sum(others) - GAP * len(others)
    return [*others, max(min(last, room), 1)]


def wrap(text: str, width: int) -> list[str]:
    """A text in lines of so many columns, broken at blanks where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if measure(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, width)
        lines += full
    return [*lines, line]


def _pieces(word: str, width: int) -> list[str]:
    """A word in pieces of so many columns; a character that is wider stands alone."""
    pieces, piece = [], ""
    for character in word:
        if piece and measure(piece + character) > width:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece]


def clean(value: object) -> str:
    """A value in one line, without anything that a terminal would obey."""
    return "" if value is None else codec.printable(" ".join(str(value).split()))


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
