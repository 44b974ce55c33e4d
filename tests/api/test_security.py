"""What somebody would try who means harm."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test import Client

from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.models import Event, Execution, Status
from tests.api.conftest import Api
from tests.factories import make_execution

JSON = "application/json"


def post(api: Api, path: str, body: bytes | str, content_type: str = JSON, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.generic("POST", f"/api/{path}", body, content_type=content_type, headers=named)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"name": "a", "data": ' + "[" * 500 + "]" * 500 + "}",
    ],
)
@pytest.mark.parametrize("path", ["events", "rpc", "workflows", "triggers"])
def test_deep_json_is_refused(manager: Api, path: str, body: str) -> None:
    answer = post(manager, path, body)

    assert answer.status_code == 400 or answer.json()["error"]["code"] < -32000
    assert not Event.objects.exists()


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_refused_unread(operator: Api, settings: Any, announced: bool) -> None:
    settings.WORKFLOWS = {"API_MAX_BODY_BYTES": 2_000}
    body = json.dumps({"name": "a", "data": "x" * 5_000})
    extra: dict[str, Any] = {} if announced else {"CONTENT_LENGTH": "-"}

    answer = operator.client.generic("POST", "/api/events", body, content_type=JSON, **extra)

    assert answer.status_code in {413, 400}
    assert not Event.objects.exists()


def test_a_gzip_bomb_is_not_unpacked(operator: Api) -> None:
    bomb = gzip.compress(b'{"name": "' + b"a" * 10_000_000 + b'"}')
    answer = post(operator, "events", bomb, Content_Encoding="gzip")

    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/xml"],
)
def test_only_json_is_read(operator: Api, content_type: str) -> None:
    """A form of another site can send the others without asking the browser first."""
    answer = post(operator, "events", '{"name": "a"}', content_type)

    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b'{"name": "\xff"}', b'{"name": "a", "data": 1e999}', b"NaN", b'{"name": "\\ud800"}', b"{,}", b""],
)
def test_broken_json_is_told(operator: Api, body: bytes) -> None:
    assert post(operator, "events", body).status_code == 400


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "\x7f"])
def test_nothing_gets_into_headers(operator: Api, value: str) -> None:
    execution = make_execution(Status.WAITING)
    answer = operator.post(f"executions/{execution.id}/signal", {"name": "go"}, Idempotency_Key=value)

    assert answer.status_code == 400
    assert "X-Evil" not in answer.headers


def test_next_is_a_path_whatever_the_host_says(operator: Api) -> None:
    for _ in range(2):
        make_execution()
    answer = operator.client.get(
        "/api/executions?limit=1", headers={"host": "evil.example", "x-forwarded-host": "evil"}
    )

    assert answer.json()["next"].startswith("/api/executions?")
    assert "evil" not in answer.content.decode()


def test_what_looks_like_a_page_is_never_shown_as_one(operator: Api) -> None:
    """XSS: names and outputs come back as they are, as JSON, and a browser may not guess otherwise."""
    evil = "<script>alert(1)</script>"
    execution = make_execution(Status.COMPLETED, output=evil, key=evil)

    for path in (f"executions/{execution.id}", f"executions/{evil}", f"executions?key={evil}&{evil}={evil}"):
        answer = operator.client.get(f"/api/{path}", headers={"accept": "text/html"})
        assert answer.headers["Content-Type"] in {JSON, "application/problem+json"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_session_needs_the_csrf_token(db: None) -> None:
    user, client = User.objects.create_superuser("root"), Client(enforce_csrf_checks=True)
    client.force_login(user)
    execution = make_execution()

    answer = client.post(f"/api/executions/{execution.id}/cancel", {}, content_type=JSON)

    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]
    assert Execution.objects.get().status == Status.PENDING


def test_nothing_can_be_read_from_another_site(operator: Api) -> None:
    answer = operator.client.get("/api/executions", headers={"origin": "https://evil.example"})

    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("key", ["' OR 1=1 --", '"; DROP TABLE x', "%", "_", "\\", "../../etc/passwd", "‮", "🙂"])
def test_filters_are_values_and_never_code(operator: Api, key: str) -> None:
    """EXE-14"""
    execution, _ = make_execution(key=key), make_execution(key="other")

    found = operator.client.get("/api/executions", {"key": key}).json()["results"]

    assert [row["id"] for row in found] == [str(execution.id)]


@pytest.mark.parametrize("tag", ["a__gt:1", "a'b:1", 'a"b:1', "a.b:1", "$:1", "0:1", "a:b:c", "a:"])
def test_names_of_tags_are_values_too(operator: Api, tag: str) -> None:
    name, _, value = tag.partition(":")
    execution = make_execution(tags={name: value})
    make_execution(tags={"b": "1"})

    found = operator.client.get("/api/executions", {"tag": tag}).json()["results"]

    assert [row["id"] for row in found] == [str(execution.id)]


def test_an_error_of_ours_tells_nothing(
    operator: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("password 4711")

    monkeypatch.setattr("django_workflows.api.actions.metrics.metrics", broken)
    operator.client.raise_request_exception = False

    answer = operator.get("metrics")

    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "4711" not in answer.content.decode()
    assert "4711" in caplog.text


@pytest.mark.parametrize("error", [OperationalError, AmbiguousCommit, ConnectionLost])
def test_a_database_that_does_not_answer_is_told_apart(
    operator: Api, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise error("could not connect to server secret-host")

    monkeypatch.setattr("django_workflows.api.actions.metrics.metrics", down)

    answer = operator.get("metrics")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "secret-host" not in answer.content.decode()


def test_bodies_and_answers_are_not_logged(operator: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "django_workflows")
    operator.post("events", {"name": "a", "data": "4711"})
    operator.post("events", {"nmae": "a", "data": "4711"})

    assert "4711" not in caplog.text


def test_somebody_who_is_locked_out_is_out(operator: Api) -> None:
    User.objects.update(is_active=False)

    assert operator.get("executions").status_code in {401, 403}


def test_who_may_publish_learns_nothing_of_others_events(db: None) -> None:
    """A known id answers with that event's name and times, not with its data."""
    user, client = User.objects.create_user("publisher"), Client()
    user.user_permissions.add(Permission.objects.get(codename="send_event"))
    client.force_login(user)
    Api(client).post("events", {"name": "a", "data": "4711", "id": "e"})

    assert "4711" not in Api(client).post("events", {"name": "b", "id": "e"}).content.decode()


@pytest.mark.parametrize("atomic", [True, False])
def test_requests_in_a_transaction_work_alike(operator: Api, atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """DBF-18"""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    execution = make_execution()

    assert operator.post("events", [{"name": "a"}, {"name": ""}]).status_code == 400
    assert operator.post("events", {"name": "a"}).status_code == 201
    assert operator.post(f"executions/{execution.id}/resume").status_code == 409
    assert operator.post(f"executions/{execution.id}/cancel").status_code == 200
    assert operator.get(f"executions/{execution.id}/result?wait=1").json()["finished"]
    assert Event.objects.filter(type="event").count() == 1
