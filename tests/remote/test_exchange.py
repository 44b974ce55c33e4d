"""A call from its first attempt to its last, without a network; and what needs no Django."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from django_workflows import WorkflowsError
from django_workflows.remote import Attempts, Client, calls
from django_workflows.remote.errors import (
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PermissionMissing,
    Refused,
    RemoteError,
    ServerFault,
    Unavailable,
)
from django_workflows.remote.exchange import Answer, Lost, Pause, Received, Send, exchange

ID = uuid4()
EXECUTION = {"id": str(ID), "workflow": "fulfil", "status": "running", "created_at": "2026-01-01T12:00:00Z"}


def received(document: Any, status: int = 200, **headers: str) -> Received:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Received(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body)


def result(value: Any) -> Received:
    return received({"jsonrpc": "2.0", "id": 1, "result": value})


def refused(status: int, **more: Any) -> Received:
    problem = {"type": "urn:django-workflows:problem:invalid", "status": status, "detail": "No.", "errors": [], **more}
    return received({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "No.", "data": problem}})


class Play:
    """Runs an exchange against these answers; notes what was sent and how long was waited."""

    def __init__(self, call: calls.Call[Any], *answers: Answer, attempts: Attempts | None = None) -> None:
        self.sent: list[Send] = []
        self.pauses: list[float] = []
        left = list(answers)
        steps, answer = exchange(call, attempts or Attempts()), None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    answer = None
                else:
                    self.sent.append(step)
                    answer = left.pop(0)
        except StopIteration as end:
            self.result = end.value
        assert left == []


def test_one_request_when_all_is_well() -> None:
    play = Play(calls.get_execution(ID), result(EXECUTION))
    assert (play.result.id, play.result.workflow) == (ID, "fulfil")
    (sent,) = play.sent
    assert (sent.method, sent.path) == ("POST", "rpc")
    assert sent.body is not None
    assert json.loads(sent.body) == {"jsonrpc": "2.0", "id": 1, "method": "getExecution", "params": {"id": str(ID)}}
    assert play.pauses == []


def test_the_key_is_made_once_and_kept() -> None:
    call = calls.start_workflow("fulfil", {"order": 1})
    play = Play(call, Lost(reason="ReadTimeout"), received(b"", 503), result(EXECUTION))
    bodies = {sent.body for sent in play.sent}
    assert (len(play.sent), len(bodies)) == (3, 1)
    assert json.loads(bodies.pop() or b"")["params"]["idempotency_key"] == call.key


@pytest.mark.parametrize("answer", [received(b"", 429), received(b"", 502), received(b"", 504), refused(503)])
def test_later_means_later(answer: Received) -> None:
    assert Play(calls.get_execution(ID), answer, result(None)).result is None


def test_pauses_grow_and_the_server_may_ask_for_longer_ones() -> None:
    attempts = Attempts(most=6, first_pause=timedelta(seconds=1), longest_pause=timedelta(seconds=4))
    with pytest.raises(Unavailable, match=r"no answer in 6 attempt\(s\): ReadTimeout"):
        Play(calls.get_metrics(), *[Lost(reason="ReadTimeout")] * 6, attempts=attempts)
    play = Play(calls.get_execution(ID), *[Lost(reason="x")] * 5, result(None), attempts=attempts)
    limits = [(0.5, 1), (1, 2), (2, 4), (2, 4), (2, 4)]
    assert all(least <= pause <= most for pause, (least, most) in zip(play.pauses, limits, strict=True))
    asked = Play(calls.get_execution(ID), received(b"", 429, retry_after="3"), result(None), attempts=attempts)
    assert asked.pauses == [3.0]
    endless = Play(calls.get_execution(ID), received(b"", 429, retry_after="9999"), result(None), attempts=attempts)
    assert endless.pauses == [4.0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (401, NotAuthenticated),
        (403, PermissionMissing),
        (404, NotFound),
        (409, Conflict),
        (413, InvalidRequest),
        (418, Refused),
        (500, ServerFault),
    ],
)
def test_each_status_has_its_error(status: int, error: type[Refused]) -> None:
    """Of the whole request as of the call in it."""
    errors = [{"field": "input.a", "message": "One."}, {"field": "input.a", "message": "Two."}]
    document = {"type": "urn:django-workflows:problem:invalid", "detail": "No.", "errors": errors, "allowed": ["pause"]}
    for answer in (refused(status, **document), received(document, status)):
        with pytest.raises(error) as raised:
            Play(calls.get_metrics(), answer)
        problem = raised.value.problem
        assert (problem.status, problem.type, problem.detail) == (status, "invalid", "No.")
        assert problem.errors == {"input.a": ["One.", "Two."]}
        assert problem.extra["allowed"] == ["pause"]
        assert isinstance(raised.value, RemoteError | WorkflowsError)


def test_who_is_unknown_is_told_apart_from_who_may_not() -> None:
    """With Django REST framework's defaults both are 403."""
    with pytest.raises(NotAuthenticated):
        Play(
            calls.get_metrics(),
            received({"type": "urn:django-workflows:problem:not-authenticated", "status": 403, "detail": "Who?"}, 403),
        )


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"null", b'"x"', b"[" * 100_000, b"{}", b'{"id": 1}'])
def test_an_answer_of_somebody_else_is_told_with_the_likely_reason(body: bytes) -> None:
    with pytest.raises(ServerFault, match="is the address that of its API"):
        Play(calls.get_metrics(), received(body))
    with pytest.raises(NotFound, match="is the address that of its API"):
        Play(calls.get_metrics(), received(body, 404))


def test_an_address_that_has_moved_is_told() -> None:
    with pytest.raises(Refused, match=r"moved to https://example\.com/api/rpc"):
        Play(calls.get_metrics(), received(b"", 301, location="https://example.com/api/rpc"))


def test_errors_of_the_protocol_without_a_problem() -> None:
    for code, error in ((-32601, InvalidRequest), (-32603, ServerFault)):
        answer = received({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "There is no method."}})
        with pytest.raises(error, match="There is no method"):
            Play(calls.get_metrics(), answer)


def test_a_result_of_an_unknown_form_is_no_crash() -> None:
    with pytest.raises(ServerFault, match="unknown form"):
        Play(calls.get_execution(ID), result({"id": "x"}))


def test_newer_servers_may_say_more() -> None:
    assert Play(calls.get_execution(ID), result({**EXECUTION, "colour": "red"})).result.status == "running"


def test_without_a_lost_answer_a_no_is_a_no() -> None:
    play = Play(calls.pause_execution(ID), result(False))
    assert play.result is False
    assert len(play.sent) == 1


def test_after_a_lost_answer_a_no_is_looked_at() -> None:
    lost, paused = Lost(reason="x"), received({**EXECUTION, "status": "paused", "requested": ""})
    play = Play(calls.pause_execution(ID), lost, result(False), paused)
    assert play.result is True
    assert (play.sent[-1].method, play.sent[-1].path) == ("GET", f"executions/{ID}")
    running = received({**EXECUTION, "requested": ""})
    assert Play(calls.pause_execution(ID), lost, result(False), running).result is False
    assert Play(calls.pause_execution(ID), lost, result(False), received(b"", 404)).result is False
    assert Play(calls.pause_execution(ID), lost, result(False), received(b"", 403)).result is False
    assert Play(calls.pause_execution(ID), lost, result(False), Lost(reason="x")).result is False


def test_a_workflow_with_a_strange_name_has_an_address() -> None:
    call = calls.delete_workflow("a/b c?d#e")
    assert call.settle is not None
    assert call.settle.path == "workflows/a/b%20c%3Fd%23e"


def test_an_address_without_a_scheme_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r'begins with "https://"'):
        Client("example.com/api/")


def test_paths_are_relative_to_the_address_with_a_slash_at_its_end_or_without() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": None})

    for url in ("https://example.com/api", "https://example.com/api/"):
        with Client(url, headers={"Authorization": "Token abc"}, transport=httpx.MockTransport(answer)) as client:
            assert client.get_workflow("x") is None
    assert seen == ["https://example.com/api/rpc"] * 2


def test_a_method_tells_how_it_is_called_and_what_it_gives() -> None:
    with Client("https://example.com/api/") as client:
        signature = inspect.signature(client.get_execution)
        assert str(signature) == "(id: 'Id') -> 'Execution | None'"
        assert client.get_execution.__doc__ == "An execution; None when there is none."


def test_it_needs_no_settings_of_django(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    program = (
        "from django_workflows.remote import Client; from django.conf import settings; "
        "Client('http://127.0.0.1:9/api/'); print(settings.configured)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_without_httpx_the_import_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['httpx'] = None; import django_workflows.remote"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert 'ImportError: django_workflows.remote needs httpx: pip install "django-workflows[remote]".' in done.stderr
