"""Deliveries over real HTTP, a real worker behind them, and the body that never ends."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from http.client import HTTPConnection
from typing import Any
from uuid import UUID

import pytest
from pytest_django.live_server_helper import LiveServer

from django_workflows.models import Execution
from testproject.demo.deliveries import SAMPLES
from testproject.github.models import Issue
from tests.acceptance.conftest import Reach
from tests.acceptance.processes import Commands
from tests.client.conftest import at_the_same_instant

SECRET = "what only GitHub and we know"
BODY = (SAMPLES / "issues.json").read_bytes()
TESTPROJECT = {"DJANGO_SETTINGS_MODULE": "testproject.settings"}


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"GITHUB": ["a newer one", SECRET]}}


def sign(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def deliver(server: LiveServer, body: bytes = BODY, *, id: str = "1", signature: str = "") -> tuple[int, Any]:
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": id,
        "X-Hub-Signature-256": signature or sign(body),
    }
    connection = HTTPConnection(server.thread.host, server.thread.port, timeout=30)
    try:
        connection.request("POST", "/api/webhooks/github", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_what_is_delivered_is_done_by_a_worker_once(
    live_server: LiveServer, runworkflows: Commands, reach: Reach
) -> None:
    """WHK-01, WHK-02, WHK-04: over HTTP, many at once, and with a wrong signature."""
    runworkflows.typed(environment=TESTPROJECT)
    answers = at_the_same_instant(5, lambda number: deliver(live_server))
    assert sorted(status for status, _ in answers) == [200] * 4 + [202]
    (id,) = {answer["execution"] for _, answer in answers}
    assert deliver(live_server, id="2", signature=sign(BODY + b" "))[0] == 401
    assert reach(Execution(pk=UUID(id)), "completed").output == "triaged"
    assert str(Issue.objects.get()) == "example/shop#7"
    assert Execution.objects.count() == 1


def test_a_body_above_the_limit_is_refused_before_it_is_sent(live_server: LiveServer) -> None:
    """WHK-09: 50 MB are announced, and the answer is there after the headers."""
    with socket.create_connection((live_server.thread.host, live_server.thread.port), timeout=30) as connection:
        connection.sendall(
            b"POST /api/webhooks/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 50000000\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
