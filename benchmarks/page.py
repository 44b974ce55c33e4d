"""Puts a report into docs/benchmarks.md, between two marks."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: made by `make bench ARGS=--page` -->", "<!-- end of figures -->"


def with_figures(page: str, figures: str) -> str:
    """The page with these figures in the place of the old ones. Raises ValueError when the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page needs the lines {BEGIN} and {END}.")
    return f"{before}{begin}\n\n{figures.strip()}\n\n{end}{after}"


def write(figures: str, page: Path = PAGE) -> None:
    page.write_text(with_figures(page.read_text(), figures))
