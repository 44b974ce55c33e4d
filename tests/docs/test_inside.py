"""The tour of the code names what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "inside.md"
ROW = re.compile(r"^\| \[`(?P<shown>[^`]+)`\]\((?P<link>[^)]+)\) \| `(?P<name>[^`]+)` \|", re.MULTILINE)
LINK = re.compile(r"\[`(?P<shown>[\w/.]+\.py)`\]\((?P<link>[^)]+)\)")
STOPS = [match.groups() for match in ROW.finditer(PAGE.read_text())]


def definitions_in(path: Path) -> set[str]:
    """The functions and classes of a file; those of a class as `Class.method`."""
    return set(_names(ast.parse(path.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _names(node.body, f"{prefix}{node.name}.")


def test_the_tour_has_stops() -> None:
    assert len(STOPS) > 20


@pytest.mark.parametrize(("shown", "link", "name"), STOPS, ids=[f"{shown} {name}" for shown, _, name in STOPS])
def test_each_stop_is_there(shown: str, link: str, name: str) -> None:
    path = (PAGE.parent / link).resolve()
    assert path.as_posix().endswith(f"/django_workflows/{shown}")
    assert name in definitions_in(path)


def test_links_show_where_they_lead() -> None:
    for match in LINK.finditer(PAGE.read_text()):
        assert (PAGE.parent / match["link"]).is_file(), match["link"]
        assert match["link"].endswith(match["shown"])
