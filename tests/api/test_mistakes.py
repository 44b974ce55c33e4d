"""The mistakes that people make with an address, each answered by what to do."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from django_workflows import urls
from django_workflows.api.base import ApiView
from django_workflows.models import Event, Execution, Status
from tests.api.conftest import Api
from tests.factories import ago, make_execution, make_trigger


def test_a_parameter_that_nobody_knows_is_told_on_every_address(operator: Api) -> None:
    """A typo must not look as if it had counted; lists and others name the parameters that there are."""
    id = str(make_execution(Status.COMPLETED).pk)
    for route in urls.urlpatterns:
        view: type[ApiView] | None = getattr(route.callback, "cls", None)
        if view is None or "stream" in str(route.pattern) or view.schema is None:
            continue
        path = "/api/" + str(route.pattern).replace("<any:name>", "api_greet").replace("<any:id>", id)
        method = "GET" if hasattr(view, "get") else "POST"
        answer = operator(method, f"{path}?limti=3", None if method == "GET" else {})

        assert (path, answer.status_code) == (path, 400)
        assert answer.json()["errors"][0]["field"] == "limti"


def test_nothing_is_started_by_a_request_with_a_slip_in_its_query(operator: Api, greet: Any) -> None:
    answer = operator.post("workflows/api_greet/start?delay=5", {"input": {"name": "Ada"}})

    assert answer.status_code == 400
    assert not Execution.objects.exists()


def test_a_stream_may_carry_a_token_of_the_project(operator: Api) -> None:
    """An EventSource can send no headers."""
    execution = make_execution(Status.COMPLETED)

    answer = operator.get(f"executions/{execution.pk}/stream?token=abc")

    assert answer.status_code == 200
    assert answer.getvalue()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("executions?status=fail", "'fail' is none of them. Choose one of: pending, running, waiting"),
        ("events?type=webhook", "Choose one of: event, step"),
        ("triggers?type=cron", "Choose one of: event, schedule, webhook"),
    ],
)
def test_a_word_that_is_none_of_them_names_them(operator: Api, path: str, words: str) -> None:
    answer = operator.get(path)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_verb_that_does_not_exist_is_not_found_and_those_that_do_are_named(operator: Api) -> None:
    execution = make_execution()

    answer = operator.post(f"executions/{execution.pk}/cancle")

    assert answer.status_code == 404
    assert "cancel" in answer.json()["detail"]


def test_the_wrong_method_names_the_right_ones(operator: Api) -> None:
    answer = operator.get("workflows/api_greet/start")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.json()["detail"] == "GET is not possible here, but POST."


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_what_is_allowed_is_what_works(operator: Api, method: str) -> None:
    answer = operator.client.generic(method, "/api/executions")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert operator.client.head("/api/executions").status_code == 200


@pytest.mark.parametrize(
    ("body", "words"), [('{"name": "a"', "truncated"), ('{"name": NaN}', "invalid character (byte 9)")]
)
def test_broken_json_says_where(operator: Api, body: str, words: str) -> None:
    answer = operator.client.post("/api/events", body, content_type="application/json")

    assert answer.json()["detail"].startswith("The body is no valid JSON: ")
    assert words in answer.json()["detail"]
    assert "stored" not in answer.json()["detail"]


def test_a_wrong_password_is_another_problem_than_a_missing_permission(db: None) -> None:
    User.objects.create_user("ada", password="right")
    wrong, right = (base64.b64encode(f"ada:{password}".encode()).decode() for password in ("wrong", "right"))

    told = [
        Client().get("/api/executions", headers={"authorization": f"Basic {credentials}"}).json()["type"]
        for credentials in (wrong, right)
    ]

    assert [type.rpartition(":")[2] for type in told] == ["not-authenticated", "permission-denied"]


def test_a_key_that_comes_again_with_another_request_answers_with_the_first(operator: Api, greet: Any) -> None:
    """The key stands for the thing, as in Python; the status says that nothing was made."""
    first = operator.post("workflows/api_greet/start", {"input": {"name": "Ada"}}, Idempotency_Key="k")
    second = operator.post("workflows/api_greet/start", {"input": {"name": "Bob"}}, Idempotency_Key="k")
    third = operator.post("events", {"name": "a.b", "data": 1}, Idempotency_Key="k")
    fourth = operator.post("events", {"name": "c.d", "data": 2}, Idempotency_Key="k")

    assert [answer.status_code for answer in (first, second, third, fourth)] == [201, 200, 201, 200]
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["input"] == {"name": "Ada"}
    assert fourth.json()["name"] == "a.b"


def test_an_id_whose_window_has_passed_publishes_anew(operator: Api) -> None:
    operator.post("events", {"name": "a.b", "id": "daily"})
    Event.objects.update(created_at=ago(days=2))

    assert operator.post("events", {"name": "a.b", "id": "daily"}).status_code == 201


def test_a_trigger_is_not_fired_by_a_slip(operator: Api) -> None:
    trigger = make_trigger(workflow="api_greet")

    assert operator.post(f"triggers/{trigger.pk}/fier").status_code == 405
