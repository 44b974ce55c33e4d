"""POST /tokens/{secret}: the secret is the permission."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import InterfaceError, OperationalError
from django.http.request import UnreadablePostError
from django.test import AsyncClient, Client

from django_workflows import Context, step, workflow
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.testing import Workflows

ADDRESSES: list[str] = []


@step
def api_send_link(url: str) -> None:
    ADDRESSES.append(url.removeprefix("http://localhost:8000"))


@workflow(name="api_approval")
def approval(ctx: Context) -> Any:
    link = ctx.token(timeout="1 hour")
    ctx.do(api_send_link, link.url)
    return link.wait()


@pytest.fixture
def flows(db: None) -> Iterator[Workflows]:
    with Workflows() as flows:
        yield flows


@pytest.fixture
def execution(flows: Workflows) -> Any:
    execution = approval.start()
    flows.run_until_idle()
    return execution


@pytest.fixture
def stranger() -> Client:
    """Somebody without an account, and without a CSRF token."""
    return Client(enforce_csrf_checks=True)


def post(client: Client, body: Any, path: str | None = None, content_type: str = "application/json") -> Any:
    return client.post(path or ADDRESSES[-1], body, content_type=content_type)


def test_a_stranger_with_the_address_answers_once(flows: Workflows, execution: Any, stranger: Client) -> None:
    """WHK-13: 202, then 410."""
    answer = post(stranger, {"ok": True})
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert "no-store" in answer["Cache-Control"]
    again = post(stranger, {"ok": False})
    assert (again.status_code, again["Content-Type"]) == (410, "application/problem+json")
    assert "used already" in again.json()["detail"]
    assert flows.result(execution) == {"ok": True}


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b"", "application/json", {}),
        (b"", "text/plain", {}),
        (b"by=ada&ok=yes", "application/x-www-form-urlencoded", {"by": "ada", "ok": "yes"}),
        (b'"yes"', "application/json", "yes"),
        (b"false", "text/plain", False),
    ],
)
def test_a_form_and_an_empty_body_are_answers_too(
    flows: Workflows, execution: Any, stranger: Client, body: bytes, content_type: str, value: Any
) -> None:
    assert post(stranger, body, content_type=content_type).status_code == 202
    assert flows.result(execution) == value


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "no valid JSON"),
        (b"null", 400, "null is no answer"),
        (b'"\xff"', 400, "no valid JSON"),
        (b"[" * 5000 + b"]" * 5000, 400, ""),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "at most 1,048,576 bytes"),
    ],
)
def test_what_is_no_answer_leaves_the_link_open(
    flows: Workflows, execution: Any, stranger: Client, body: bytes, status: int, detail: str
) -> None:
    refused = post(stranger, body)
    assert refused.status_code == status
    assert detail in refused.json()["detail"]
    assert post(stranger, {"ok": True}).status_code == 202
    assert flows.result(execution) == {"ok": True}


def test_an_unknown_address_is_404_and_one_whose_time_is_over_410(
    flows: Workflows, execution: Any, stranger: Client
) -> None:
    assert post(stranger, {}, "/api/tokens/nobody").status_code == 404
    assert post(stranger, {}, ADDRESSES[-1] + "x").status_code == 404
    flows.skip("2 hours")
    assert post(stranger, {}).status_code == 410


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, AmbiguousCommit, ConnectionLost])
def test_an_answer_that_the_database_cannot_take_is_to_be_given_later(
    flows: Workflows, execution: Any, stranger: Client, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise error("could not connect to secret-host")

    with monkeypatch.context() as outage:
        outage.setattr("django_workflows.api.tokens.answer_token", away)
        refused = post(stranger, {"ok": True})

    assert (refused.status_code, refused["Content-Type"]) == (503, "application/problem+json")
    assert refused["Retry-After"]
    assert "secret-host" not in refused.content.decode()
    assert post(stranger, {"ok": True}).status_code == 202
    assert flows.result(execution) == {"ok": True}


def test_a_body_that_breaks_off_leaves_the_link_open(
    flows: Workflows, execution: Any, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(*args: Any) -> bytes:
        raise UnreadablePostError

    with monkeypatch.context() as broken:
        broken.setattr("django.http.HttpRequest.read", breaks_off)
        assert post(stranger, {"ok": True}).status_code == 400
    assert post(stranger, {"ok": True}).status_code == 202


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_looking_at_a_link_does_not_answer_it(flows: Workflows, execution: Any, stranger: Client, method: str) -> None:
    """Mail programs follow links."""
    looked = getattr(stranger, method)(ADDRESSES[-1])
    assert (looked.status_code, looked["Allow"]) == (405, "POST")
    assert post(stranger, {}, ADDRESSES[-1] + "/").status_code == 202


@pytest.mark.django_db(transaction=True)
def test_it_works_under_asgi_too() -> None:
    post = async_to_sync(AsyncClient().post)
    assert post("/api/tokens/nobody", {}, content_type="application/json").status_code == 404
