"""The Python of the page on events, executed, and what it says of patterns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from django_workflows.expressions.glob import compile_glob
from django_workflows.models import Event, Execution, Trigger
from django_workflows.testing import Workflows
from django_workflows.triggers import syncing

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| (`[^|]*`) \| (`[^|]*`) \| (`[^|]*`) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]*)`")


@pytest.mark.django_db
@pytest.mark.usefixtures("own_registry")
def test_the_page_does_what_it_says(workflows: Workflows) -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    namespace: dict[str, Any] = {"__name__": "page"}
    declarations, publishing = blocks[0].rsplit("send_event(", 1)
    exec(compile(declarations, str(PAGE), "exec"), namespace)
    syncing.sync("default", only_missing=False)

    exec(compile(f"send_event({publishing}", str(PAGE), "exec"), namespace)
    exec(compile(blocks[1], str(PAGE), "exec"), namespace)
    workflows.run_until_idle()

    shipped = Execution.objects.filter(workflow="ship")
    assert sorted(row.output for row in shipped) == ["order 42 goes to DE", "order 43 goes to DE"]
    assert Trigger.objects.filter(workflow="keep_books", retired_at=None).count() == 4
    assert Event.objects.get(name="trial.ended").dispatched_at is None


@pytest.mark.parametrize(("pattern", "names", "others"), ROW.findall(PAGE.read_text("utf-8")))
def test_patterns_match_what_the_table_says(pattern: str, names: str, others: str) -> None:
    glob = compile_glob(pattern.strip("`"))
    assert [name for name in NAME.findall(names) if not glob.matches(name)] == []
    assert [name for name in NAME.findall(others) if glob.matches(name)] == []
