"""A delivery over HTTP: what is started, what is answered, and what leaves no trace."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections, transaction
from django.test import AsyncClient, Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from django_workflows import clock
from django_workflows.models import TRIGGER_FAILED, Event, EventType, Execution, Trigger, Workflow
from django_workflows.triggers import registering
from django_workflows.triggers.webhooks import receiving
from django_workflows.triggers.webhooks.deliveries import Answer, Refusal
from tests.client.conftest import at_the_same_instant
from tests.triggers.webhooks import signing
from tests.triggers.webhooks.conftest import Hook, Sender, received, started
from tests.triggers.webhooks.samples import hook_order
from tests.triggers.webhooks.signing import SECRET

BODY = b'{"number": 4711}'

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock_is_reset() -> Any:
    yield
    clock.reset()


def problem(answer: Any) -> dict[str, Any]:
    assert answer["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.content)
    return document


# what is accepted


def test_a_valid_delivery_is_an_execution_when_it_is_answered(hook: Hook, deliver: Sender) -> None:
    """WHK-01."""
    trigger = hook("github")

    answer = deliver(BODY, signing.github(BODY, id="d-1"))

    execution = Execution.objects.get()
    assert answer.status_code == 202
    assert json.loads(answer.content) == {"execution": str(execution.pk), "delivery": "d-1", "duplicate": False}
    assert execution.trigger_id == trigger.pk
    assert execution.idempotency_key == "webhook:hook:d-1"
    event = received()
    assert (event["id"], event["name"], event["data"], event["source"]) == ("d-1", "hook", {"number": 4711}, "webhook")
    trigger.refresh_from_db()
    assert trigger.trigger_count == 1
    assert trigger.last_triggered_at is not None


def test_the_fields_of_the_body_are_keyword_arguments(hook: Hook, deliver: Sender) -> None:
    hook("bearer", workflow=hook_order)
    assert deliver(BODY, {"Authorization": f"Bearer {SECRET}"}).status_code == 202
    assert Execution.objects.get().input == {"number": 4711}


def test_what_the_trigger_says_wins_over_what_is_sent(hook: Hook, deliver: Sender) -> None:
    """WHK-12."""
    hook("none", workflow=hook_order, input={"tenant": "ours"})
    assert deliver({"number": 1, "tenant": "theirs"}).status_code == 202
    assert Execution.objects.get().input == {"number": 1, "tenant": "ours"}


@pytest.mark.parametrize("path", ["github/issues", "a/b/c", "v1.2/x_y~z-0"])
def test_a_path_may_have_slashes(hook: Hook, deliver: Sender, path: str) -> None:
    hook("none", path=path)
    assert deliver(path=path).status_code == 202
    assert deliver(path=f"{path}/").status_code == 202
    assert deliver(path=f"{path}/more").status_code == 404
    assert deliver(path=path.upper()).status_code == 404


def test_a_delivery_may_be_published_as_an_event_too(hook: Hook, deliver: Sender) -> None:
    hook("github", event="repository.pushed")
    for _ in range(2):
        deliver(BODY, signing.github(BODY))
    event = Event.objects.get(type=EventType.EVENT)
    assert (event.name, event.data, event.source) == ("repository.pushed", {"number": 4711}, "webhook")
    assert event.headers["x-github-event"] == "push"
    assert received()["name"] == "repository.pushed"


def test_no_secret_gets_into_the_input(hook: Hook, deliver: Sender) -> None:
    """What opens a door elsewhere, or proves the sender, is not shown to everybody who may see an execution."""
    hook("api_key", header="X-Mine")
    sent = {
        "X-Mine": SECRET,
        "Authorization": "Bearer abc",
        "Cookie": "sessionid=abc",
        "Proxy-Authorization": "Basic abc",
        "X-Hub-Signature": "sha1=abc",
        "X-Api-Key": "abc",
        "X-Forwarded-For": "192.0.2.1",
        "X-Amz-Security-Token": "abc",
        "Cf-Access-Jwt-Assertion": "abc",
        "X-GitHub-Event": "push",
        "User-Agent": "GitHub-Hookshot/044aadd",
    }
    deliver(BODY, sent)
    headers = received()["headers"]
    assert headers == {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-event": "push",
    }
    assert SECRET not in json.dumps(Execution.objects.get().input)


def test_a_project_names_further_headers_that_stay_outside(hook: Hook, deliver: Sender, settings: Settings) -> None:
    settings.WORKFLOWS = settings.WORKFLOWS | {"REDACT": ["x_tenant_pin"]}
    hook("none")
    deliver(BODY, {"X-Tenant-PIN": "4711", "X-GitHub-Event": "push"})
    assert received()["headers"] == {"content-type": "application/json", "x-github-event": "push"}


# what is refused


@pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature-256": "sha256=00"}, signing.github(BODY, secret="another")])
@pytest.mark.parametrize("secret", ["IT", "EMPTY", "UNKNOWN"])
def test_a_missing_or_wrong_signature_leaves_no_trace(
    hook: Hook, deliver: Sender, headers: dict[str, str], secret: str
) -> None:
    """WHK-02: 401 with one and the same body, whatever is wrong."""
    hook("github", secret=secret)
    answer = deliver(BODY, headers)
    assert answer.status_code == 401
    assert problem(answer) == {
        "type": "urn:django-workflows:problem:not-authenticated",
        "title": "Unauthorized",
        "status": 401,
        "detail": "The signature or secret of this delivery is missing or wrong.",
        "errors": [],
    }
    assert (started(), Event.objects.count(), Trigger.objects.get(pattern="hook").trigger_count) == (0, 0, 0)


def test_without_a_configured_secret_what_is_signed_with_nothing_is_refused(hook: Hook, deliver: Sender) -> None:
    hook("github", secret="EMPTY")
    assert deliver(BODY, signing.github(BODY, secret="")).status_code == 401


def test_a_captured_delivery_is_refused_after_five_minutes(hook: Hook, deliver: Sender) -> None:
    """WHK-05: by the database's clock; who knows the secret is told what is wrong."""
    hook("stripe")
    headers = signing.stripe(BODY)
    assert deliver(BODY, headers).status_code == 202
    clock.skip(timedelta(minutes=6))
    answer = deliver(BODY, headers)
    assert answer.status_code == 401
    assert "five minutes" in problem(answer)["detail"]
    assert deliver(b"{}", headers).status_code == 401
    assert started() == 1


def test_a_replay_under_another_id_starts_nothing_where_the_body_counts(hook: Hook, deliver: Sender) -> None:
    """GitHub does not sign its ids: who fears for a captured body lets each body count once."""
    hook("github", once_per="body")
    assert deliver(BODY, signing.github(BODY, id="1")).status_code == 202
    assert deliver(BODY, signing.github(BODY, id="2")).status_code == 200
    assert started() == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_only_post_delivers_and_other_methods_tell_nothing(hook: Hook, deliver: Sender, method: str) -> None:
    """WHK-14."""
    hook("none")
    known, unknown = deliver(method=method), deliver(method=method, path="unknown")
    assert known.status_code == unknown.status_code == 405
    assert known["Allow"] == "POST"
    assert known.content == unknown.content
    assert started() == 0


def test_unknown_disabled_and_retired_webhooks_are_the_same(hook: Hook, deliver: Sender) -> None:
    """WHK-14."""
    trigger = hook("none")
    unknown = deliver(path="unknown")
    registering.disable(trigger)
    disabled = deliver()
    registering.enable(trigger)
    Trigger.objects.filter(pk=trigger.pk).update(retired_at=clock.database_now())
    assert unknown.status_code == disabled.status_code == deliver().status_code == 404
    assert unknown.content == disabled.content == deliver().content


@pytest.mark.parametrize("path", ["%00", "a%00b", "a//b", "..", "a/../b", "%E2%80%AE", "x" * 600, "a%0d%0ab", "a%20b"])
def test_a_path_that_no_webhook_can_have_is_unknown(db: None, path: str) -> None:
    """EXE-14."""
    address = reverse("django_workflows:webhook", args=["x"])
    answer = Client().post(address[:-1] + path, b"{}", content_type="application/json")
    assert answer.status_code == 404


def test_a_body_above_the_limit_is_refused_unread(hook: Hook, deliver: Sender, settings: Settings) -> None:
    """WHK-09."""
    settings.WORKFLOWS = settings.WORKFLOWS | {"WEBHOOK_MAX_BODY_BYTES": 100}
    hook("none")
    assert deliver(b'"' + b"x" * 98 + b'"').status_code == 202
    answer = deliver(b'"' + b"x" * 99 + b'"')
    assert answer.status_code == 413
    assert problem(answer)["detail"] == "The body is larger than 100 bytes."


def test_a_body_that_does_not_say_its_length_is_read_no_further_than_the_limit(hook: Hook, settings: Settings) -> None:
    """WHK-09."""
    settings.WORKFLOWS = settings.WORKFLOWS | {"WEBHOOK_MAX_BODY_BYTES": 100}
    hook("none")
    asked: list[int] = []

    def read(most: int) -> bytes:
        asked.append(most)
        return b"x" * most

    for headers, reads in (({}, [101]), ({"Content-Length": "101"}, []), ({"Content-Length": "9" * 30}, [])):
        asked.clear()
        with pytest.raises(Refusal) as refusal:
            receiving.receive(receiving.Request(path="hook", method="POST", headers=headers, read=read))
        assert refusal.value.status == 413
        assert asked == reads


def test_what_does_not_fit_the_workflow_is_told_by_field_and_recorded(hook: Hook, deliver: Sender) -> None:
    """WHK-12."""
    trigger = hook("none", workflow=hook_order)
    answer = deliver({"number": "many", "colour": "red"})
    assert answer.status_code == 400
    assert {error["field"] for error in problem(answer)["errors"]} == {"number", "colour"}
    record = Event.objects.get(type=EventType.ERROR, name=TRIGGER_FAILED)
    assert record.data["trigger"] == str(trigger.pk)
    assert started() == 0


def test_any_number_of_wrong_fields_is_told_in_a_few(hook: Hook, deliver: Sender) -> None:
    hook("none", workflow=hook_order)
    answer = deliver({f"field-{number}": "x" for number in range(10_000)})
    assert answer.status_code == 400
    assert len(problem(answer)["errors"]) == 20
    assert len(str(Event.objects.get(name=TRIGGER_FAILED).data)) < 10_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"event": "\\u0000"}', 400),
        (b"[" * 100 + b"]" * 100, 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * 300 + b'"', 413),
    ],
)
def test_what_cannot_be_stored_is_refused(
    hook: Hook, deliver: Sender, settings: Settings, body: bytes, status: int
) -> None:
    """SER-08: the same on every database, and never a 500."""
    settings.WORKFLOWS = settings.WORKFLOWS | {"MAX_PAYLOAD_BYTES": 300}
    hook("none")
    assert deliver(body).status_code == status
    assert started() == 0


def test_what_the_trigger_adds_counts_too(hook: Hook, deliver: Sender, settings: Settings) -> None:
    settings.WORKFLOWS = settings.WORKFLOWS | {"MAX_PAYLOAD_BYTES": 100}
    hook("none", workflow=hook_order, input={"tenant": "x" * 60})
    assert deliver({"number": 1, "note": "y" * 60}).status_code == 413
    assert deliver({"number": 1}).status_code == 202


def test_a_workflow_that_is_switched_off_asks_the_sender_to_come_back(hook: Hook, deliver: Sender) -> None:
    hook("github")
    Workflow.objects.update_or_create(name="hook_anything", defaults={"enabled": False})
    answer = deliver(BODY, signing.github(BODY))
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "hook_anything" not in answer.content.decode()
    Workflow.objects.update(enabled=True)
    assert deliver(BODY, signing.github(BODY)).status_code == 202


def test_a_row_that_nobody_has_checked_proves_nothing(hook: Hook, deliver: Sender) -> None:
    trigger = hook("none")
    for config, status in (
        ({"verify": "nothing"}, 401),
        ({"verify": ["none"]}, 401),
        ({"verify": "hmac", "secret": "IT", "hash": "new"}, 401),
        ({"verify": "hmac", "secret": "IT", "timestamp_header": 5}, 401),
        ({}, 401),
        ([], 404),
    ):
        Trigger.objects.filter(pk=trigger.pk).update(config=config)
        assert deliver().status_code == status
    assert started() == 0


# once


@pytest.mark.parametrize("scheme", ["github", "stripe", "standard", "bearer", "hmac"])
def test_a_second_delivery_starts_nothing_and_gets_the_first_execution(
    hook: Hook, deliver: Sender, scheme: str
) -> None:
    """WHK-04: a sender that has missed the answer delivers again."""
    hook(scheme)
    body = b'{"id": "evt_1"}'
    signed = {
        "github": signing.github(body),
        "stripe": signing.stripe(body),
        "standard": signing.standard(body),
        "bearer": {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "abc"},
        "hmac": {"X-Signature": signing.digest(SECRET.encode(), body).hex()},
    }[scheme]
    first = deliver(body, signed)
    second = deliver(body, signed)
    assert (first.status_code, second.status_code) == (202, 200)
    assert json.loads(second.content) == json.loads(first.content) | {"duplicate": True}
    assert started() == 1


def test_a_day_later_it_is_still_the_same_delivery(hook: Hook, deliver: Sender) -> None:
    """WHK-04: as long as the execution's row exists, finished or not."""
    hook("github")
    first = json.loads(deliver(BODY, signing.github(BODY)).content)
    Execution.objects.update(status="completed", completed_at=clock.database_now(), wake_at=None)
    clock.skip(timedelta(days=1))
    again = deliver(BODY, signing.github(BODY))
    assert again.status_code == 200
    assert json.loads(again.content)["execution"] == first["execution"]


def test_the_id_of_stripe_is_in_its_body(hook: Hook, deliver: Sender) -> None:
    """It signs anew when it delivers again."""
    hook("stripe")
    body = b'{"id": "evt_1"}'
    assert deliver(body, signing.stripe(body)).status_code == 202
    assert deliver(body, signing.stripe(body, at=time.time() - 60)).status_code == 200
    other = b'{"id": "evt_2"}'
    assert deliver(other, signing.stripe(other)).status_code == 202


@pytest.mark.parametrize(("body", "id"), [({"event": {"id": 7}}, "7"), ({"event": {"id": "é"}}, "é")])
def test_the_id_may_stand_anywhere_in_the_body(hook: Hook, deliver: Sender, body: Any, id: str) -> None:
    hook("none", id_field="event.id")
    assert json.loads(deliver(body).content)["delivery"] == id
    assert deliver(body).status_code == 200


@pytest.mark.parametrize("body", [{}, {"event": 1}, {"event": {"id": None}}, {"event": {"id": True}}, [], "x"])
def test_without_id_or_signature_equal_bodies_are_two_deliveries(hook: Hook, deliver: Sender, body: Any) -> None:
    hook("none", id_field="event.id")
    assert deliver(body).status_code == deliver(body).status_code == 202
    assert started() == 2


def test_who_leaves_out_the_id_of_a_signed_delivery_does_not_start_it_twice(hook: Hook, deliver: Sender) -> None:
    hook("github")
    headers = signing.github(BODY)
    del headers["X-GitHub-Delivery"]
    assert deliver(BODY, headers).status_code == 202
    assert deliver(BODY, headers).status_code == 200


@pytest.mark.parametrize("id", ["x" * 5000, "a\tb", "é" * 200])
def test_an_id_may_be_anything(hook: Hook, deliver: Sender, id: str) -> None:
    hook("none", id_field="id")
    first, second = deliver({"id": id}), deliver({"id": id})
    assert (first.status_code, second.status_code) == (202, 200)
    assert deliver({"id": id + "x"}).status_code == 202


def test_one_id_at_two_webhooks_is_two_deliveries(hook: Hook, deliver: Sender) -> None:
    hook("github", path="one")
    hook("github", path="two")
    headers = signing.github(BODY)
    assert deliver(BODY, headers, path="one").status_code == deliver(BODY, headers, path="two").status_code == 202


@pytest.mark.django_db(transaction=True)
def test_deliveries_at_the_same_instant_start_one_execution(hook: Hook, deliver: Sender) -> None:
    """WHK-04: ten at once, and all get the same id."""
    hook("github", event="pushed")
    answers = at_the_same_instant(10, lambda number: deliver(BODY, signing.github(BODY)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert len({json.loads(answer.content)["execution"] for answer in answers}) == 1
    assert started() == 1
    assert Event.objects.filter(type=EventType.EVENT).count() == 1
    assert Trigger.objects.get(pattern="hook").trigger_count == 1


@pytest.mark.django_db(transaction=True)
def test_a_delivery_does_not_wait_for_somebody_who_has_the_trigger_locked(hook: Hook, deliver: Sender) -> None:
    """Its count is made up for with the next one."""
    if connection.vendor == "sqlite":
        pytest.skip("has one lock for everything")
    trigger = hook("github")
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Trigger.objects.select_for_update().get(pk=trigger.pk)
            locked.set()
            done.wait(30)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(30)
    assert deliver(BODY, signing.github(BODY, id="1")).status_code == 202
    done.set()
    holder.join()
    trigger.refresh_from_db()
    assert trigger.trigger_count == 0
    assert deliver(BODY, signing.github(BODY, id="2")).status_code == 202
    trigger.refresh_from_db()
    assert trigger.trigger_count == 2


# after the commit


@pytest.mark.django_db(transaction=True)
def test_a_fault_before_the_commit_is_a_5xx_and_the_next_delivery_starts_it(
    hook: Hook, deliver: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WHK-10."""
    hook("github", event="pushed")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr("django_workflows.triggers.webhooks.storing.publish_or_get", fail)
        answer = deliver(BODY, signing.github(BODY))
    assert (answer.status_code, started()) == (503, 0)
    assert "closed" not in answer.content.decode()
    assert deliver(BODY, signing.github(BODY)).status_code == 202
    assert started() == 1


@pytest.mark.django_db(transaction=True)
def test_the_answer_is_sent_outside_of_any_transaction(
    hook: Hook, deliver: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WHK-10: what is acknowledged is committed."""
    hook("github")
    seen: list[bool] = []
    answer = Answer

    def watched(**values: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return answer(**values)

    monkeypatch.setattr(receiving, "Answer", watched)
    assert deliver(BODY, signing.github(BODY)).status_code == 202
    assert seen == [False]


def test_neither_a_login_nor_atomic_requests_are_in_its_way(
    hook: Hook, deliver: Sender, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook("github")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert deliver(BODY, signing.github(BODY)).status_code == 202
    assert deliver(BODY, signing.github(BODY)).status_code == 200
    assert deliver(BODY, signing.github(BODY, secret="no")).status_code == 401


async def deliver_async(body: bytes, headers: dict[str, str]) -> Any:
    address = reverse("django_workflows:webhook", args=["hook"])
    answer = await AsyncClient().post(address, body, content_type="application/json", headers=headers)
    await sync_to_async(connections.close_all)()  # those of the view's thread
    return answer


@pytest.mark.django_db(transaction=True)
def test_it_works_under_asgi(hook: Hook) -> None:
    hook("github")
    answers = [asyncio.run(deliver_async(BODY, signing.github(BODY))) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert asyncio.run(deliver_async(BODY, {})).status_code == 401


# secrets


def test_nothing_secret_is_logged(hook: Hook, deliver: Sender, caplog: pytest.LogCaptureFixture) -> None:
    hook("bearer", secret="IT")
    hook("basic", path="basic", secret="LOGIN")
    with caplog.at_level(logging.DEBUG):
        deliver(BODY, {"Authorization": "Bearer guessed-password"})
        deliver(BODY, signing.basic("ada:guessed-password"), path="basic")
        deliver(BODY, {"Authorization": f"Bearer {SECRET}"})
    assert "The header Authorization is missing or wrong".lower() in caplog.text.lower()
    for secret in (SECRET, "lovelace", "guessed-password", signing.basic("ada:guessed-password")["Authorization"]):
        assert secret not in caplog.text


def test_secrets_are_read_with_each_delivery(hook: Hook, deliver: Sender, settings: Settings) -> None:
    hook("github")
    settings.WORKFLOWS = settings.WORKFLOWS | {"WEBHOOK_SECRETS": {"IT": ["new", SECRET]}}
    assert deliver(BODY, signing.github(BODY, id="1")).status_code == 202
    assert deliver(BODY, signing.github(BODY, id="2", secret="new")).status_code == 202
    settings.WORKFLOWS = settings.WORKFLOWS | {"WEBHOOK_SECRETS": {"IT": "new"}}
    assert deliver(BODY, signing.github(BODY, id="3")).status_code == 401
