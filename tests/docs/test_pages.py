"""What holds for all pages: links lead somewhere, code is code, and the promises are the same words everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMISES = re.compile(r"^1\. A start, .*?^8\. .*?$", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = HEADING.findall(FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    dead = []
    for target in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_is_python(page: Path) -> None:
    for block in PYTHON.findall(page.read_text("utf-8")):
        compile(block, page.name, "exec")


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    missing = [page.name for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in index]
    assert missing == ["README.md"]


def test_the_promises_are_the_same_words_everywhere() -> None:
    """A promise that is worded anew is another promise."""
    texts = [(ROOT / name).read_text("utf-8") for name in ("README.md", "docs/guarantees.md")]
    first, second = (" ".join(PROMISES.findall(text)[0].split()) for text in texts)
    assert first == second


def test_each_promise_says_how_it_is_kept() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    assert re.findall(r"^\*\*(\d)\. ", page, re.MULTILINE) == [str(number) for number in range(1, 9)]


def test_the_wording_is_that_of_the_project() -> None:
    """One word per idea: an execution is never called a job, nor a worker a runner."""
    stray = re.compile(r"\b(background jobs?|celery|jobs?|task queue)\b", re.IGNORECASE)
    found = {
        page.name: stray.findall(page.read_text("utf-8"))
        for page in PAGES
        if page.name not in {"CONTRIBUTING.md", "scenarios.md"}
    }
    assert {name: words for name, words in found.items() if words} == {}
