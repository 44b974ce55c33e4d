"""The documents of the page on definitions are saved and executed, and its claims tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_workflows import Context, client, step, workflow
from django_workflows.declarative.loader import stored
from django_workflows.definitions import save, validate
from django_workflows.exceptions import InvalidDefinition
from django_workflows.expressions.conditions import parse_condition
from django_workflows.models import Workflow
from django_workflows.testing import Workflows

PAGE = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text("utf-8")
DOCUMENTS = [json.loads(found) for found in re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONDITIONS = re.findall(r"^\| `(.+?)` \| .+ \|$", PAGE.split("## Conditions")[1].split("##")[0], re.MULTILINE)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry", "steps")]


@pytest.fixture
def steps() -> Iterator[None]:
    """What the page speaks of and does not define."""

    @step
    def create_user(email: str) -> dict[str, Any]:
        return {"id": 42, "email": email}

    create_user.fn.__module__ = "project.crm.workflows"
    step(create_user.fn)

    @step
    def send_mail(to: str, user: int = 0) -> None: ...

    @step
    def collect(what: str) -> int:
        return len(what)

    @step
    def merge(parts: list[int]) -> int:
        return sum(parts)

    @workflow
    def provision(ctx: Context, user: int) -> dict[str, int]:
        return {"server": user + 1}

    yield
    stored.clear()


@pytest.fixture
def flows() -> Iterator[Workflows]:
    with Workflows() as flows:
        yield flows


def test_the_page_has_documents_and_conditions() -> None:
    assert [document["name"] for document in DOCUMENTS] == ["onboarding", "report"]
    assert len(CONDITIONS) == 4


def test_the_first_document_does_what_the_page_says(flows: Workflows) -> None:
    save(DOCUMENTS[0])
    namespace: dict[str, Any] = {}
    exec(PYTHON[0], namespace)
    flows.run_to_end()
    assert namespace["execution"].result(0) == {"user": 42, "server": 43}
    assert [execution.result(0)["user"] for execution in namespace["many"]] == [42, 42]


def test_an_event_starts_the_first_document(flows: Workflows) -> None:
    save(DOCUMENTS[0])
    client.send_event("user.created", {"email": "ada@example.org"})
    flows.run_to_end()
    assert Workflow.objects.get(name="onboarding").version == 1


def test_the_graph_runs(flows: Workflows) -> None:
    save(DOCUMENTS[1])
    assert flows.result(client.start("report", to="ada@example.org")) == 11


@pytest.mark.parametrize("text", CONDITIONS)
def test_the_conditions_of_the_page_are_read(text: str) -> None:
    parse_condition(text)


def test_an_age_that_is_not_there_is_neither_below_nor_above() -> None:
    assert not parse_condition("$.input.age < 18").holds({"input": {}})
    assert not parse_condition("$.input.age >= 18").holds({"input": {}})


def test_the_problems_that_the_page_shows(flows: Workflows) -> None:
    """All of them at once, and no others."""
    document = json.loads(json.dumps(DOCUMENTS[0]))
    document["steps"][1]["sleep"] = "tomorrow"
    document["steps"][3]["match"]["id"] = "$.steps.creat.id"
    document["steps"][4]["acton"] = document["steps"][4].pop("action")
    shown = dict(re.findall(r"^  (steps\S+): (.*)$", PAGE, re.MULTILINE))
    with pytest.raises(InvalidDefinition) as raised:
        validate(document)
    told = {problem["path"]: problem["message"] for problem in raised.value.problems}
    assert told.keys() == shown.keys()
    for path, message in shown.items():
        assert told[path].startswith(message.removesuffix(" …"))
