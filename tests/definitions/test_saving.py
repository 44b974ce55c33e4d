"""Definitions as rows: versions are added and nothing is overwritten."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from django_workflows import client, workflow
from django_workflows.authoring.registry import registry
from django_workflows.declarative.loader import stored
from django_workflows.definitions import current_document, delete, save
from django_workflows.engine.worker.workflow_rows import publish
from django_workflows.exceptions import InvalidDefinition, UnknownWorkflow
from django_workflows.models import Execution, Trigger, TriggerOrigin, Workflow, WorkflowVersion
from django_workflows.testing import Workflows
from django_workflows.triggers import registering
from django_workflows.triggers.syncing import sync


def document(text: str = "hi", **keys: Any) -> dict[str, Any]:
    steps = [{"id": "n", "action": "note", "input": {"text": text}}]
    return {"name": "flow", "steps": steps, "output": "$.steps.n", **keys}


def versions() -> Any:
    return WorkflowVersion.objects.filter(workflow="flow")


def test_the_first_save_makes_the_workflow(db: None) -> None:
    schema = {"type": "object"}
    saved = save(
        document(description="d", tags=["a"], queue="bulk", timeout="1 day", onError="pause", inputSchema=schema)
    )
    assert (saved.created, saved.changed, saved.version.version) == (True, True, 1)
    row = Workflow.objects.get(name="flow")
    assert (row.description, row.tags, row.queue, row.on_error, row.version) == ("d", ["a"], "bulk", "pause", 1)
    assert row.timeout is not None
    version = WorkflowVersion.objects.get(workflow="flow")
    assert (version.definition, version.input_schema) == (current_document("flow"), schema)


def test_the_same_document_is_no_new_version_and_a_change_is_one(db: None) -> None:
    save(document())
    again = save(dict(reversed(document().items())))
    assert (again.created, again.changed, again.version.version) == (False, False, 1)
    changed = save(document("two"))
    assert (changed.created, changed.changed, changed.version.version) == (False, True, 2)
    back = save(document())
    assert back.version.version == 3
    texts = [row.definition["steps"][0]["input"]["text"] for row in versions().order_by("version")]
    assert texts == ["hi", "two", "hi"]


def test_an_execution_keeps_the_version_that_it_began_with(flows: Workflows, crm: list[str]) -> None:
    save(document("one"))
    first = client.start("flow")
    save(document("two"))
    second = client.start("flow")
    third = client.using("flow", version=1).start()
    flows.run_to_end()
    assert [execution.result(0) for execution in (first, second, third)] == ["one", "two", "one"]


def test_events_and_schedules_are_triggers_that_follow_the_document(flows: Workflows, crm: list[str]) -> None:
    save(document("$.input.text", events=["said.*"], schedules=["every monday at 9am"]))
    rows = Trigger.objects.filter(workflow="flow", retired_at=None)
    assert {(row.type, row.pattern, row.origin) for row in rows} == {
        ("event", "said.*", TriggerOrigin.DEFINITION),
        ("schedule", "every monday at 9am", TriggerOrigin.DEFINITION),
    }
    added = registering.create("flow", "event", "shouted")
    sync("default", only_missing=False)  # a deploy
    save(document("$.event.name", events=["said.*"]))
    assert set(rows.values_list("pattern", flat=True)) == {"said.*", "shouted"}
    with pytest.raises(InvalidDefinition):
        save(document(events=["said.*", ""]))
    assert Trigger.objects.get(pk=added.pk).is_active


def test_an_event_starts_it_with_its_data_and_the_whole_event(flows: Workflows, crm: list[str]) -> None:
    steps = [
        {"id": "a", "action": "note", "input": {"text": "$.input.text"}},
        {"id": "b", "action": "note", "input": {"text": "$.event.name"}},
    ]
    schema = {"required": ["text"]}
    save({"name": "flow", "steps": steps, "events": ["said.*"], "inputSchema": schema})
    client.send_event("said.loud", {"text": "hello"})
    client.send_event("said.loud", {"nothing": 1})
    flows.run_to_end()
    assert crm == ["hello", "said.loud"]
    assert Execution.objects.get().input["event"]["data"] == {"text": "hello"}


def test_a_deleted_workflow_leaves_its_executions_and_comes_back_where_it_was(flows: Workflows, crm: list[str]) -> None:
    save(document("one", events=["said"]))
    execution = client.start("flow")
    assert delete("flow")
    assert not delete("flow")
    assert not Trigger.objects.filter(workflow="flow").exists()
    with pytest.raises(UnknownWorkflow):
        client.start("flow")
    assert flows.result(execution) == "one"
    back = save(document("one", events=["said"]))
    assert (back.created, back.changed, back.version.version) == (True, False, 1)
    assert save(document("two")).version.version == 2
    assert Trigger.objects.filter(workflow="flow", retired_at=None).count() == 0


def test_what_is_code_is_neither_replaced_nor_deleted(db: None) -> None:
    with pytest.raises(InvalidDefinition, match="is code"):
        save(document(name="provision"))
    with pytest.raises(InvalidDefinition, match="is code"):
        delete("provision")


def test_code_that_takes_over_a_name_leaves_old_versions_to_their_definitions(flows: Workflows, crm: list[str]) -> None:
    save(document("data"))
    old = client.start("flow")

    @workflow(name="flow", version=2)
    def flow(ctx: Any) -> str:
        return "code"

    assert flows.result(old) == "data"
    assert flows.result(client.start("flow")) == "code"


def test_the_operator_s_switch_stays(db: None) -> None:
    save(document())
    Workflow.objects.filter(name="flow").update(enabled=False)
    save(document("two"))
    assert not Workflow.objects.get(name="flow").enabled


def test_another_name_or_somebody_s_save_in_between_is_a_problem(db: None) -> None:
    save(document(), expected=0)
    with pytest.raises(InvalidDefinition, match="another workflow"):
        save(document(), name="other")
    save(document("two"), name="flow", expected=1)
    with pytest.raises(InvalidDefinition, match="Somebody has saved version 2"):
        save(document("three"), expected=1)
    assert versions().count() == 2


def test_a_save_that_is_rolled_back_leaves_no_trace(flows: Workflows, crm: list[str]) -> None:
    """What a process keeps in memory is told from what another one saves under the same number."""
    save(document("one"))
    with transaction.atomic():
        save(document("never"))
        assert flows.result(client.start("flow")) == "never"
        transaction.set_rollback(True)
    save(document("two"))
    assert flows.result(client.start("flow")) == "two"


def test_starting_asks_the_database_twice_and_a_version_once(
    db: None, django_assert_num_queries: Any, crm: list[str]
) -> None:
    save(document())
    registry.workflow("flow")
    with django_assert_num_queries(2):
        registry.workflow("flow")
    with django_assert_num_queries(0):
        registry.workflow("flow", 1)
    with django_assert_num_queries(0):
        registry.workflow("provision")


def test_two_that_save_at_once_make_two_versions(transactional_db: None, crm: list[str]) -> None:
    errors: list[BaseException] = []

    def run(text: str) -> None:
        try:
            save(document(text))
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[f"t{number}"]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert sorted(versions().values_list("version", flat=True)) == list(range(1, 9))
    stored.clear()


def test_code_under_the_number_of_a_definition_is_told(
    db: None, crm: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    save(document())
    save(document("two"))

    @workflow(name="flow")
    def flow(ctx: Any) -> None: ...

    publish("default", only_missing=False)
    assert "Version 1 of flow is a stored definition" in caplog.text
    assert "@workflow(version=3)" in caplog.text
