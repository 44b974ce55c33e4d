"""Values that a database or a date cannot hold, wherever a caller may put them: told, and never an error of ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError
from django.http.request import UnreadablePostError
from django.test import Client

from django_workflows.models import Status
from tests.api.conftest import Api
from tests.factories import make_execution, make_trigger

ID = "00000000-0000-0000-0000-000000000000"


def cursor_of(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("executions", ("2026-01-01T00:00:00+00:00", 5)),
        ("executions", ("2026-01-01T00:00:00+00:00", None)),
        ("executions", ("2026-01-01T00:00:00+00:00", [ID])),
        ("executions", (5, ID)),
        ("executions", ("0001-01-01T00:00:00+14:00", ID)),
        ("executions", ("9999-12-31T23:59:59-14:00", ID)),
        ("executions/{id}/steps", (0, 0, 5)),
        ("executions/{id}/steps", (0, 2**70, ID)),
        ("executions/{id}/steps", (True, 0, ID)),
        ("executions/{id}/steps", ("0", 0, ID)),
        ("triggers", ("fulfil", 5)),
        ("triggers", (5, ID)),
        ("triggers", ("a\0b", ID)),
        ("workflows", (5,)),
        ("workflows", ("\ud800",)),
        ("workflows", ()),
        ("events", (5,)),
        ("events", ({},)),
    ],
)
def test_a_cursor_with_other_values_than_ours_is_told(manager: Api, path: str, values: tuple[Any, ...]) -> None:
    execution = make_execution(Status.WAITING)
    name = "after" if path == "events" else "cursor"

    answer = manager.get(f"{path.format(id=execution.pk)}?{name}={cursor_of(*values)}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert "ursor" in answer.json()["detail"]


@pytest.mark.parametrize(
    "cursor", ["[", "~", "a~b~c", "%00", "%EF%BF%BF", "1" * 4_000, "-" * 10, "e30", "NQ", "bnVsbA"]
)
@pytest.mark.parametrize(
    "path", ["executions", "workflows", "triggers", "executions/{id}/steps", "executions/{id}/history"]
)
def test_a_cursor_that_is_none_is_told(manager: Api, path: str, cursor: str) -> None:
    execution = make_execution(Status.WAITING)

    assert manager.get(f"{path.format(id=execution.pk)}?cursor={cursor}").status_code == 400


@pytest.mark.parametrize("name", ["ro\0ot", "\0", "r\ud800t", "\xff", ""])
@pytest.mark.parametrize("password", ["secret", "se\0cret", ""])
def test_a_name_that_nobody_can_have_lets_nobody_in(db: None, name: str, password: str) -> None:
    User.objects.create_superuser("root", password="secret")
    credentials = base64.b64encode(f"{name}:{password}".encode("utf-8", "surrogatepass")).decode()

    answer = Client().get("/api/executions", headers={"authorization": f"Basic {credentials}"})

    assert (answer.status_code, answer.headers["Content-Type"]) in {
        (401, "application/problem+json"),
        (403, "application/problem+json"),
    }
    assert answer.json()["type"].endswith("not-authenticated")


@pytest.mark.parametrize("error", [ValueError, DataError, UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate")])
def test_whatever_way_of_logging_in_meets_them(
    db: None, error: type[Exception] | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes a NUL and PostgreSQL refuses it; a project's own way may look elsewhere."""

    def look_up(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("rest_framework.authentication.BasicAuthentication.authenticate_credentials", look_up)

    answer = Client().get("/api/executions", headers={"authorization": "Basic cm9vdDpzZWNyZXQ="})

    assert answer.status_code in {401, 403}


@pytest.mark.parametrize("header", [b"Basic \xff\xfe", b"Basic", b"Basic a b", b"Basic %%%", b"Token \xff", b"\xff"])
def test_a_header_that_is_no_text_lets_nobody_in(db: None, header: bytes) -> None:
    answer = Client().get("/api/executions", headers={"authorization": header.decode("latin-1")})

    assert answer.status_code in {401, 403}


@pytest.mark.parametrize("key", [r'"\000abcdefgh"', r'"\377\376abcdefgh"', "a" * 5_000])
def test_a_session_that_nobody_can_have_lets_nobody_in(db: None, key: str) -> None:
    """A cookie may hold any character, written in octal digits."""
    answer = Client().get("/api/executions", headers={"cookie": f"sessionid={key}"})

    assert answer.status_code in {401, 403}


def test_a_body_that_breaks_off_is_told(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(*args: Any) -> bytes:
        raise UnreadablePostError

    monkeypatch.setattr("django.http.HttpRequest.read", breaks_off)

    assert operator.post("events", {"name": "a"}).status_code == 400


NUL = "a\0b"


ADDRESSES = (
    *(f"executions?{name}={{}}" for name in ("workflow", "key", "parent", "created_after", "limit", "status")),
    *("executions?tag=a:{}", "executions?tag={}:a", "executions?error=abc{}"),
    *("events?name={}", "events?workflow={}", "events?after={}", "triggers?workflow={}", "metrics?workflow={}"),
    *("workflows/{}", "workflows/{}/versions", "triggers/{}", "executions/{}", "executions/{id}/result?wait={}"),
    *(f"executions/{{}}/{below}" for below in ("steps", "history", "timeline", "stream", "result")),
)


@pytest.mark.parametrize("bad", ["a%00b", "%ED%A0%80", "%FF", "%EF%BF%BE", "9" * 400])
def test_an_address_with_a_text_that_no_database_takes_is_answered(manager: Api, bad: str) -> None:
    execution = make_execution(Status.COMPLETED)
    found = {
        path: manager.get(path.replace("{id}", str(execution.pk)).replace("{}", bad)).status_code for path in ADDRESSES
    }

    assert {path: status for path, status in found.items() if status not in {200, 400, 404}} == {}


def bodies() -> list[tuple[str, str, Any]]:
    """Each text of each body, with what no database takes in it."""
    tried: list[tuple[str, str, Any]] = []
    for bad in (NUL, [NUL], {NUL: 1}, {"a": {"b": [NUL]}}, 2**70, -(2**63), 1e300, "9" * 400):
        tried += [
            ("POST", "events", {"name": bad}),
            ("POST", "events", {"name": "a", "data": bad}),
            ("POST", "events", {"name": "a", "id": bad}),
            ("POST", "events", {"name": "a", "source": bad}),
            ("POST", "events", {"name": "a", "deliver_at": bad}),
            ("POST", "events", [{"name": "a", "data": bad}]),
            ("POST", "workflows", {"name": bad, "steps": []}),
            ("POST", "workflows", {"name": "a", "steps": [{"id": bad, "sleep": "1 s"}]}),
            ("POST", "workflows", {"name": "a", "description": bad, "steps": [{"id": "x", "sleep": "1 s"}]}),
            ("POST", "workflows", {"name": "a", "tags": [bad], "steps": [{"id": "x", "sleep": "1 s"}]}),
            ("POST", "workflows", {"name": "a", "steps": [{"id": "x", "sleep": bad}]}),
            ("POST", "workflows", {"name": "a", "timeout": bad, "steps": [{"id": "x", "sleep": "1 s"}]}),
            ("POST", "workflows", {"name": "a", "queue": bad, "steps": [{"id": "x", "sleep": "1 s"}]}),
            ("POST", "workflows", {"name": "a", "output": bad, "steps": [{"id": "x", "sleep": "1 s"}]}),
            ("POST", "triggers", {"workflow": bad, "type": "event", "pattern": "a"}),
            ("POST", "triggers", {"workflow": "api_greet", "type": "event", "pattern": bad}),
            ("POST", "triggers", {"workflow": "api_greet", "type": "event", "pattern": "a", "config": {"where": bad}}),
            ("POST", "triggers", {"workflow": "api_greet", "type": "event", "pattern": "a", "config": {"input": bad}}),
            (
                "POST",
                "triggers",
                {"workflow": "api_greet", "type": "webhook", "pattern": "a", "config": {"input": bad}},
            ),
            (
                "POST",
                "triggers",
                {"workflow": "api_greet", "type": "schedule", "pattern": "@daily", "config": {"tz": bad}},
            ),
            ("PATCH", "triggers/{trigger}", {"note": bad}),
            ("PATCH", "triggers/{trigger}", {"config": bad}),
            ("POST", "triggers/{trigger}/fire", {"data": bad}),
            ("POST", "triggers/{trigger}/fire", {"name": bad}),
            ("POST", "executions/{id}/signal", {"name": "a", "data": bad}),
            ("POST", "executions/{id}/signal", {"name": bad}),
            ("POST", "executions/{id}/cancel", {"reason": bad}),
            ("POST", "rpc", {"jsonrpc": "2.0", "id": bad, "method": "getMetrics"}),
            ("POST", "rpc", {"jsonrpc": "2.0", "id": 1, "method": bad}),
            ("POST", "rpc", {"jsonrpc": "2.0", "id": 1, "method": "getExecution", "params": [bad]}),
            ("POST", "rpc", {"jsonrpc": "2.0", "id": 1, "method": "getWorkflow", "params": {"name": bad}}),
        ]
        options = ("input", "key", "delay", "start_at", "timeout", "ttl", "priority", "queue", "tags", "on_conflict")
        for option in options:
            tried.append(("POST", "workflows/api_greet/start", {"input": {"name": "Ada"}} | {option: bad}))
        tried += [
            ("POST", "workflows/api_greet/start", {"input": {"name": bad}}),
            ("POST", "workflows/api_greet/start", {"input": {"name": "Ada", "times": bad}}),
            ("POST", "workflows/api_greet/start", {"input": {"name": "Ada"}, "tags": {"a": bad}}),
        ]
    return tried


def test_no_body_brings_an_error_of_ours(manager: Api, greet: Any) -> None:
    execution, trigger = make_execution(Status.WAITING), make_trigger(workflow="api_greet")
    manager.client.raise_request_exception = False
    failed = []
    for method, path, body in bodies():
        answer = manager(method, path.format(id=execution.pk, trigger=trigger.pk), body)
        if answer.status_code >= 500 or b"-32603" in answer.content:
            failed.append((method, path, body, answer.status_code))

    assert failed == []
