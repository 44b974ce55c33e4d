"""The operator's verbs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.models import Event, Execution, Signal, Status
from tests.api.conftest import Api
from tests.factories import make_execution, make_trigger, make_workflow

MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("pause", Status.WAITING, "paused"),
        ("resume", Status.PAUSED, "pending"),
        ("cancel", Status.WAITING, "cancelled"),
        ("retry", Status.FAILED, "pending"),
    ],
)
def test_a_verb_is_carried_out_and_the_execution_answered(operator: Api, verb: str, before: str, after: str) -> None:
    execution = make_execution(before)

    answer = operator.post(f"executions/{execution.id}/{verb}", {"reason": "as agreed"})

    assert answer.status_code == 200
    assert answer.json()["status"] == after
    assert Execution.objects.get().status == after
    logged = Event.objects.get(type="operator")
    assert logged.data["by"] == "operator"


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("pause", Status.COMPLETED),
        ("resume", Status.RUNNING),
        ("cancel", Status.FAILED),
        ("retry", Status.RUNNING),
        ("signal", Status.CANCELLED),
    ],
)
def test_a_verb_that_does_not_apply_says_which_do(operator: Api, verb: str, status: str) -> None:
    """PAU-09, FRK-09"""
    execution = make_execution(status)
    body = {"name": "go"} if verb == "signal" else {}

    answer = operator.post(f"executions/{execution.id}/{verb}", body)
    problem = answer.json()

    assert answer.status_code == 409
    assert problem["type"] == "urn:django-workflows:problem:not-applicable"
    assert problem["execution_status"] == status
    assert problem["allowed"] == sorted(execution.allowed_verbs)
    assert status in problem["detail"]
    execution.refresh_from_db()
    assert execution.status == status


def test_a_retry_that_another_holder_of_the_key_prevents_names_it(operator: Api) -> None:
    """FRK-09"""
    failed = make_execution(Status.FAILED, key="order-1")
    holder = make_execution(key="order-1")

    answer = operator.post(f"executions/{failed.id}/retry")

    assert answer.status_code == 409
    assert answer.json()["execution"] == str(holder.id)


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "signal"])
@pytest.mark.parametrize("id", [MISSING, "42", "x" * 300])
def test_who_is_not_there_is_not_found(operator: Api, verb: str, id: str) -> None:
    """EXE-12"""
    assert operator.post(f"executions/{id}/{verb}", {"name": "go"} if verb == "signal" else {}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"raeson": "typo"}, "raeson"),
        ({"reason": 5}, "reason"),
        ({"reason": "nul \u0000"}, "reason"),
        ({"reason": "x" * 3_000}, "reason"),
        ({"status": "completed"}, "status"),
        ([], ""),
        (["cancel"], ""),
    ],
)
def test_a_body_that_cannot_be_is_told_by_field(operator: Api, body: object, field: str) -> None:
    """Mass assignment: what nobody asked for is refused, not ignored."""
    execution = make_execution()
    answer = operator.post(f"executions/{execution.id}/pause", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field
    assert Execution.objects.get().status == Status.PENDING


def test_a_verb_without_a_body_is_fine(operator: Api) -> None:
    execution = make_execution()

    assert operator.client.post(f"/api/executions/{execution.id}/pause/").status_code in {200, 415}
    assert operator("POST", f"executions/{execution.id}/cancel", {}).status_code == 200


def test_a_signal_is_kept_once_for_each_key(operator: Api) -> None:
    """EVT-08"""
    execution = make_execution(Status.WAITING)
    path = f"executions/{execution.id}/signal"

    first = operator.post(path, {"name": "go", "data": {"by": "Ada"}}, Idempotency_Key="s-1")
    again = operator.post(path, {"name": "go", "data": {"by": "Ada"}}, Idempotency_Key="s-1")

    assert first.status_code == 201
    assert first.json()["number"] == 1
    assert again.json() == first.json()
    assert Signal.objects.get().data == {"by": "Ada"}


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "a\nb"}, {"name": "x" * 201}, {"name": 5}])
def test_a_signal_needs_a_proper_name(operator: Api, body: object) -> None:
    """EXE-14"""
    execution = make_execution(Status.WAITING)
    answer = operator.post(f"executions/{execution.id}/signal", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "name"


@pytest.mark.parametrize("key", ["", "x" * 300, "tab\tin it"])
def test_a_key_that_cannot_be_stored_is_told(operator: Api, key: str) -> None:
    execution = make_execution(Status.WAITING)
    answer = operator.post(f"executions/{execution.id}/signal", {"name": "go"}, Idempotency_Key=key)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("method", "path", "body", "most"),
    [
        ("POST", "executions/{waiting}/pause", {}, 16),
        ("POST", "executions/{waiting}/cancel", {}, 16),
        ("POST", "executions/{failed}/retry", {}, 18),
        ("POST", "executions/{waiting}/signal", {"name": "go"}, 9),
        ("GET", "executions/{waiting}/result", None, 6),
        ("GET", "metrics", None, 22),
        ("GET", "metrics?workflow=fulfil", None, 22),
        ("GET", "workflows", None, 6),  # sizes first, then the rows
        ("GET", "triggers", None, 6),
        ("GET", "", None, 2),
    ],
)
def test_what_an_address_costs_does_not_grow(
    operator: Api, method: str, path: str, body: object, most: int, django_assert_max_num_queries: Any
) -> None:
    """Statements, with those that ask who it is and what they may do."""
    for number in range(10):
        waiting, failed = make_execution(Status.WAITING), make_execution(Status.FAILED)
        make_trigger(pattern=f"order.{number}", workflow=make_workflow(f"w{number}").name)
    with django_assert_max_num_queries(most):
        answer = operator(method, "/api/" + path.format(waiting=waiting.id, failed=failed.id), body)

    assert answer.status_code < 300
