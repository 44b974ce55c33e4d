"""Starting executions over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from django_workflows import Context, step, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.models import Execution
from tests.api.conftest import Api
from tests.factories import make_workflow

START = "workflows/api_greet/start"

pytestmark = pytest.mark.usefixtures("greet")


def test_a_start_answers_with_the_execution(operator: Api) -> None:
    answer = operator.post(START, {"input": {"name": "Ada", "times": 2}, "tags": {"tenant": "acme"}, "priority": 7})

    assert answer.status_code == 201
    execution = Execution.objects.get()
    document = answer.json()
    assert document["id"] == str(execution.id)
    assert document["input"] == {"name": "Ada", "times": 2}
    assert (execution.tags, execution.priority, execution.status) == ({"tenant": "acme"}, 7, "pending")


def test_a_name_with_slashes_and_blanks_can_be_started(operator: Api) -> None:
    """EXE-14"""

    @workflow(name="api/greet you")
    def strange(ctx: Context) -> None: ...

    make_workflow("api/greet you")

    assert operator.post("workflows/api%2Fgreet%20you/start/").status_code == 201
    assert operator.get("workflows/api/greet you").json()["name"] == "api/greet you"


def test_types_of_python_are_made_from_what_json_has(operator: Api) -> None:
    """SER-13"""

    @workflow(name="api_typed")
    def typed(ctx: Context, amount: Decimal, event: dict[str, Any] | None = None) -> None: ...

    make_workflow("api_typed")
    path = "workflows/api_typed/start"

    assert operator.post(path, {"input": {"amount": "12.50"}}).json()["input"]["amount"] == "12.50"
    wrong = operator.post(path, {"input": {"amount": "much"}})
    assert wrong.json()["errors"][0]["field"] == "input.amount"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input.name"),
        ({"input": {"name": 5}}, "input.name"),
        ({"input": {"name": "Ada", "nmae": "Bob"}}, "input.nmae"),
        ({"input": ["Ada"]}, "input"),
        ({"input": {"name": "Ada"}, "delay": "a while"}, "delay"),
        ({"input": {"name": "Ada"}, "delay": True}, "delay"),
        ({"input": {"name": "Ada"}, "delay": 1, "start_at": "2030-01-01T00:00:00Z"}, "start_at"),
        ({"input": {"name": "Ada"}, "start_at": "0001-01-01T00:00:00+23:00"}, "start_at"),
        ({"input": {"name": "Ada"}, "start_at": "9999-12-31T23:59:59-23:00"}, "start_at"),
        ({"input": {"name": "Ada"}, "priority": 10}, "priority"),
        ({"input": {"name": "Ada"}, "priority": "5"}, "priority"),
        ({"input": {"name": "Ada"}, "tags": {"a": [1]}}, "tags"),
        ({"input": {"name": "Ada"}, "tags": "a:b"}, "tags"),
        ({"input": {"name": "Ada"}, "key": ""}, "key"),
        ({"input": {"name": "Ada"}, "timeout": 0}, "timeout"),
        ({"input": {"name": "Ada"}, "ttl": -1}, "ttl"),
        ({"input": {"name": "nul \u0000"}}, "input.name"),
        # mass assignment
        ({"input": {"name": "Ada"}, "status": "completed"}, "status"),
        ({"input": {"name": "Ada"}, "output": 5}, "output"),
        ({"input": {"name": "Ada"}, "parent": "x"}, "parent"),
        ({"input": {"name": "Ada"}, "idempotency_key": "x"}, "idempotency_key"),
        ({"input": {"name": "Ada"}, "version": 99}, "version"),
        ({"inptu": {"name": "Ada"}}, "inptu"),
    ],
)
def test_what_is_wrong_is_told_by_field_before_anything_is_stored(operator: Api, body: object, field: str) -> None:
    """SER-13, SER-08"""
    answer = operator.post(START, body)

    assert answer.status_code == 400, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    assert not Execution.objects.exists()


def test_a_value_that_is_too_large_or_too_deep_is_told(operator: Api, settings: Any) -> None:
    """SER-06"""
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 1_000}
    deep: Any = "x"
    for _ in range(70):
        deep = [deep]

    assert operator.post(START, {"input": {"name": "x" * 2_000}}).status_code == 400
    assert operator.post("events", {"name": "a", "data": "x" * 2_000}).status_code == 413
    assert operator.post("events", {"name": "a", "data": deep}).status_code == 400
    assert not Execution.objects.exists()


def test_the_same_idempotency_key_answers_200_with_the_first_execution(operator: Api) -> None:
    """EXE-04"""
    first = operator.post(START, {"input": {"name": "Ada"}}, Idempotency_Key="k-1")
    again = operator.post(START, {"input": {"name": "Ada"}}, Idempotency_Key="k-1")
    other = operator.post(START, {"input": {"name": "Ada"}}, Idempotency_Key="k-2")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert again.json()["id"] == first.json()["id"] != other.json()["id"]


def test_a_key_that_is_taken_is_answered_as_asked_for(operator: Api) -> None:
    """QUE-09"""
    body = {"input": {"name": "Ada"}, "key": "order-1"}
    first = operator.post(START, body)
    again = operator.post(START, body)
    error = operator.post(START, body | {"on_conflict": "error"})
    replaced = operator.post(START, body | {"on_conflict": "cancel"})

    assert (first.status_code, again.status_code, error.status_code, replaced.status_code) == (201, 200, 409, 201)
    assert error.json()["type"] == "urn:django-workflows:problem:key-taken"
    assert error.json()["execution"] == first.json()["id"]
    assert Execution.objects.get(pk=first.json()["id"]).status == "cancelled"


def test_a_wrong_name_is_not_found_and_the_right_one_proposed(operator: Api) -> None:
    answer = operator.post("workflows/api_gret/start", {"input": {"name": "Ada"}})

    assert answer.status_code == 404
    assert "api_greet" in answer.json()["detail"]
    assert operator.post("workflows/zzz%00/start").status_code == 404


def test_a_single_step_cannot_be_started_from_outside(operator: Api) -> None:
    """Python code may; over HTTP it would open every step to who may start workflows."""

    @step(name="api_wipe")
    def wipe() -> None: ...

    assert operator.post("workflows/api_wipe/start").status_code == 404


def test_a_disabled_workflow_is_not_started(operator: Api) -> None:
    make_workflow("api_greet", enabled=False)
    answer = operator.post(START, {"input": {"name": "Ada"}})

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("disabled")
    assert not Execution.objects.exists()


def test_a_workflow_whose_code_is_not_here_is_told(operator: Api) -> None:
    """EXE-08"""
    make_workflow("api_elsewhere")

    assert operator.post("workflows/api_elsewhere/start").json()["type"].endswith("no-code")


def test_starting_costs_few_statements(
    operator: Api, django_assert_max_num_queries: Any, greet: WorkflowDefinition[..., str]
) -> None:
    with django_assert_max_num_queries(6):  # session, user, two of permissions, workflow, INSERT
        assert operator.post(START, {"input": {"name": "Ada"}}).status_code == 201
