"""Workflows over HTTP: code to look at, definitions to write."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import step
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.models import Execution, Trigger, Workflow, WorkflowVersion
from tests.api.conftest import Api
from tests.factories import make_execution, make_workflow

pytestmark = pytest.mark.usefixtures("greet")


@pytest.fixture(autouse=True)
def api_note() -> None:
    """What a definition may call."""

    @step(name="api_note")
    def note(text: str = "") -> str:
        return text


DEFINITION = {"name": "api_defined", "steps": [{"id": "note", "action": "api_note", "input": {"text": "$.input.text"}}]}


def test_workflows_are_listed_by_name_in_pages(viewer: Api) -> None:
    Workflow.objects.all().delete()
    for name in ("c", "a", "b"):
        make_workflow(name)
    first = viewer.get("workflows?limit=2").json()
    rest = viewer.get(first["next"]).json()

    assert [row["name"] for row in first["results"] + rest["results"]] == ["a", "b", "c"]
    assert rest["next"] is None


def test_a_workflow_is_found_by_name_and_by_id(viewer: Api) -> None:
    row = Workflow.objects.get(name="api_greet")

    by_name, by_id = viewer.get("workflows/api_greet").json(), viewer.get(f"workflows/{row.id}").json()

    assert by_name == by_id
    assert (by_name["kind"], by_name["definition"]) == ("code", None)
    assert viewer.get("workflows/nothing").status_code == 404


def test_versions_tell_how_many_executions_they_have(viewer: Api) -> None:
    for number in (1, 2):
        WorkflowVersion.objects.create(workflow="api_greet", version=number)
        make_execution(workflow="api_greet", version=number)
    make_execution(workflow="api_greet", version=2)

    page = viewer.get("workflows/api_greet/versions").json()

    assert [(row["version"], row["executions"]) for row in page["results"]] == [(2, 2), (1, 1)]
    small = viewer.get("workflows/api_greet/versions?limit=1").json()
    assert viewer.get(small["next"]).json()["results"][0]["version"] == 1


def test_a_definition_is_created_changed_started_and_removed(manager: Api) -> None:
    created = manager.post("workflows", DEFINITION)
    changed = manager("PUT", "workflows/api_defined", DEFINITION | {"description": "Two"})
    same = manager("PUT", "workflows/api_defined", DEFINITION | {"description": "Two"})
    member = manager("PATCH", "workflows/api_defined", {"timeout": "2 days"})
    started = manager.post("workflows/api_defined/start", {"input": {"text": "x"}})

    assert [answer.status_code for answer in (created, changed, same, member, started)] == [201, 200, 200, 200, 201]
    assert [answer.json()["version"] for answer in (created, changed, same, member, started)] == [1, 2, 2, 3, 3]
    assert member.json()["definition"]["description"] == "Two"
    assert member.json()["timeout"] == 172_800
    assert manager("DELETE", "workflows/api_defined").status_code == 204
    assert manager.get("workflows/api_defined").status_code == 404
    assert Execution.objects.count() == 1


def test_what_is_wrong_with_a_definition_is_told_by_its_path(manager: Api) -> None:
    document = {"name": "api_defined", "steps": [{"id": "a", "action": "no.such"}, {"id": "a", "sleep": "never"}]}
    answer = manager.post("workflows", document)

    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} >= {"steps.1.id", "steps.1.sleep"}
    assert not Workflow.objects.filter(name="api_defined").exists()


@pytest.mark.parametrize("document", [[], "x", 5, None, {"name": 5}, {"name": "a\u0000b", "steps": []}, {"steps": {}}])
def test_what_is_no_definition_is_told(manager: Api, document: Any) -> None:
    assert manager.client.post("/api/workflows", document, content_type="application/json").status_code == 400


def test_a_name_that_is_taken_is_a_conflict_unless_the_key_says_it_is_the_same(manager: Api) -> None:
    first = manager.post("workflows", DEFINITION, Idempotency_Key="d-1")
    again = manager.post("workflows", DEFINITION, Idempotency_Key="d-1")
    without = manager.post("workflows", DEFINITION)
    code = manager.post("workflows", DEFINITION | {"name": "api_greet"})

    assert [answer.status_code for answer in (first, again, without, code)] == [201, 200, 409, 409]
    assert again.json()["id"] == first.json()["id"]


def test_code_is_changed_in_the_code(manager: Api) -> None:
    """The row would come back with the next deploy."""
    answers = (
        manager("PUT", "workflows/api_greet", DEFINITION | {"name": "api_greet"}),
        manager("PATCH", "workflows/api_greet", {"description": "x"}),
        manager("DELETE", "workflows/api_greet"),
    )

    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert all(answer.json()["type"].endswith("not-yours") for answer in answers)


def test_any_workflow_can_be_switched_off_and_on(manager: Api) -> None:
    off = manager("PATCH", "workflows/api_greet", {"enabled": False})
    refused = manager.post("workflows/api_greet/start", {"input": {"name": "Ada"}})
    wrong = manager("PATCH", "workflows/api_greet", {"enabled": "no"})
    on = manager("PATCH", "workflows/api_greet", {"enabled": True})

    assert (off.json()["enabled"], refused.status_code, wrong.status_code) == (False, 409, 400)
    assert on.json()["enabled"]


def test_the_start_of_a_definition_makes_its_triggers(
    manager: Api, greet: WorkflowDefinition[..., str], django_assert_max_num_queries: Any
) -> None:
    manager.post("workflows", DEFINITION | {"events": ["order.created"]})

    trigger = Trigger.objects.get(workflow="api_defined")
    answer = manager("DELETE", f"triggers/{trigger.id}")

    assert (trigger.origin, answer.status_code) == ("definition", 409)
    with django_assert_max_num_queries(6):
        manager.get("workflows")
