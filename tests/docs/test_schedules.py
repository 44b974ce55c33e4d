"""Every form of the page on schedules, as it stands there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from django_workflows.authoring.registry import registry
from django_workflows.expressions import cron, natural
from django_workflows.expressions.schedules import parse_schedule

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text("utf-8")
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
ROW = re.compile(rf"^\| `?(?P<text>[^|`]+)`? \|(?: [^|]+ \|)? (?P<next>{MOMENT}, {MOMENT}) \|$", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
ROWS = [(row["text"].strip(), row["next"]) for row in ROW.finditer(PAGE)]


@pytest.mark.parametrize(("text", "moments"), ROWS, ids=[text for text, _ in ROWS])
def test_a_form_means_what_the_page_says(text: str, moments: str) -> None:
    found = parse_schedule(text).upcoming(NOW, 2)
    assert ", ".join(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in found) == moments


def test_the_page_has_all_forms() -> None:
    assert len(ROWS) > 65
    kinds = [parse_schedule(text).kind for text, _ in ROWS]
    assert min(kinds.count("cron"), kinds.count("natural")) > 20


@pytest.mark.parametrize("text", ["weekly", "monthly", "quarterly", "yearly"])
def test_adverbs_are_short_for_every(text: str) -> None:
    long = f"every {text.removesuffix('ly')}"
    assert parse_schedule(text).upcoming(NOW, 3) == parse_schedule(long).upcoming(NOW, 3)


@pytest.mark.parametrize(
    "example",
    [
        *re.findall(r"every \d+ \w+(?: on friday)?", natural.GRAMMAR),
        *(["every second", "every minute", "every hour", "every day", "every week", "every quarter", "every year"]),
        *re.findall(r"[^,;:]* of (?:month|january)", natural.GRAMMAR.partition("friday; ")[2]),
        *re.findall(r"@\w+", cron.GRAMMAR),
    ],
)
def test_the_grammar_in_the_errors_is_true(example: str) -> None:
    assert parse_schedule(example.strip()).next_after(NOW) is not None


@pytest.mark.usefixtures("own_registry")
def test_the_code_of_the_page_makes_the_schedules_that_it_says() -> None:
    for block in BLOCK.findall(PAGE):
        exec(compile(block, "schedules.md", "exec"), {"__name__": "page"})
    made = {found.name: [trigger.pattern for trigger in found.options.triggers] for found in registry.workflows()}
    assert made == {
        "remind": ["every weekday at 9am"],
        "settle": ["first of month at 6am", "59 23 LW * *", "every 5 minutes"],
        "report": ["@daily"],
    }
