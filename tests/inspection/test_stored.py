"""Who can execute a stored definition: every worker that has the steps which it calls."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import step
from django_workflows.inspection import why_waiting
from django_workflows.inspection.doctor import examine
from django_workflows.inspection.stored import actions_of
from django_workflows.models import Trigger, WorkflowVersion
from tests.factories import ago, make_execution, make_worker

pytestmark = pytest.mark.django_db


@step
def stored_charge() -> None: ...


@pytest.fixture
def document() -> dict[str, Any]:
    """Of `stored_flow`, version 3; it calls one step by its name with the app, and one that is not known here."""
    Trigger.objects.all().delete()  # a test that commits leaves behind what the example apps declare
    actions = [{"id": "a", "action": "inspection.stored_charge"}, {"id": "b", "action": "unknown"}]
    value = {"name": "stored_flow", "steps": [*actions, {"id": "c", "sleep": 1}]}
    row = WorkflowVersion(workflow="stored_flow", version=3)
    row.definition = value
    row.save()
    return value


def findings() -> list[str]:
    return [finding.check for finding in examine(history=None).findings]


def test_the_steps_are_told_by_the_names_that_workers_report(document: dict[str, Any]) -> None:
    assert actions_of([("stored_flow", 3), ("stored_flow", 2), ("other", 1)]) == {
        ("stored_flow", 3): {"stored_charge", "unknown"}
    }
    assert actions_of([]) == {}


@pytest.mark.parametrize("damage", [[], "text", {"steps": 5}, {"steps": [5, {"action": 5}]}])
def test_a_damaged_document_needs_nothing(damage: Any) -> None:
    row = WorkflowVersion(workflow="broken", version=1)
    row.definition = damage
    row.save()
    assert actions_of([("broken", 1)]) == {("broken", 1): frozenset()}


def test_a_worker_with_all_steps_serves_it_and_one_that_lacks_some_does_not(document: dict[str, Any]) -> None:
    execution = make_execution(workflow="stored_flow", version=3, created_at=ago(seconds=30), wake_at=ago(seconds=20))
    make_worker({"stored_charge": [1]})
    assert findings() == ["unserved"]
    assert "nobody serves version 3 of stored_flow" in why_waiting(execution)
    make_worker({"stored_charge": [1], "unknown": [1]}, queues=["elsewhere"])
    assert findings() == ["unserved"]
    make_worker({"stored_charge": [1], "unknown": [1]}, queues=[])
    assert findings() == []
    assert "nobody serves" not in why_waiting(execution)
