"""What senders ask of an address before they deliver is answered, starts nothing, and is no way around a signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from django_workflows import InvalidTrigger, webhook
from django_workflows.testing import sign_delivery
from tests.triggers.webhooks.conftest import Hook, Sender, started
from tests.triggers.webhooks.signing import KEY, SECRET

pytestmark = pytest.mark.django_db

CHALLENGE = json.dumps({"token": "t", "challenge": "3eZbrw1a", "type": "url_verification"}).encode()
SLACK = {
    "header": "X-Slack-Signature",
    "prefix": "v0=",
    "signed": "v0:{timestamp}:{body}",
    "timestamp_header": "X-Slack-Request-Timestamp",
}


def ask(query: Mapping[str, str], method: str = "GET") -> Any:
    address = f"{reverse('django_workflows:webhook', args=['hook'])}?{urlencode(query)}"
    return Client().generic(method, address, b"", content_type="text/plain")


@pytest.mark.parametrize(("scheme", "options"), [("slack", {}), ("hmac", SLACK)])
def test_slack_gets_its_challenge_back(hook: Hook, deliver: Sender, scheme: str, options: dict[str, Any]) -> None:
    hook(scheme, **options)
    answer = deliver(CHALLENGE, sign_delivery(scheme, CHALLENGE, SECRET, **options))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1a"})
    assert started() == 0


def test_a_challenge_that_is_not_signed_is_not_answered(hook: Hook, deliver: Sender) -> None:
    hook("slack")
    answer = deliver(CHALLENGE, sign_delivery("slack", CHALLENGE, "another secret"))
    assert answer.status_code == 401
    assert "3eZbrw1a" not in answer.content.decode()


def test_what_only_looks_like_a_challenge_is_a_delivery(hook: Hook, deliver: Sender) -> None:
    hook("hmac")
    assert deliver(CHALLENGE, sign_delivery("hmac", CHALLENGE, SECRET)).status_code == 202
    hook("slack", path="other")
    body = b'{"type": "event_callback", "challenge": "x", "event_id": "1"}'
    assert deliver(body, sign_delivery("slack", body, SECRET), path="other").status_code == 202
    assert started() == 2


def test_zoom_gets_its_token_back_with_a_signature(hook: Hook, deliver: Sender) -> None:
    options: dict[str, Any] = {
        "header": "X-Zm-Signature",
        "prefix": "v0=",
        "signed": "v0:{timestamp}:{body}",
        "timestamp_header": "X-Zm-Request-Timestamp",
        "handshake": "zoom",
    }
    hook("hmac", **options)
    body = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8"}}'
    answer = deliver(body, sign_delivery("hmac", body, SECRET, **options))
    expected = hmac.new(SECRET.encode(), b"qgg8", hashlib.sha256).hexdigest()
    assert (answer.status_code, answer.json()) == (200, {"plainToken": "qgg8", "encryptedToken": expected})
    assert started() == 0


def test_event_grid_gets_its_code_back(hook: Hook, deliver: Sender) -> None:
    hook("api_key", handshake="event_grid")
    body = b'[{"id": "1", "data": {"validationCode": "512d38b6"}}]'
    headers = sign_delivery("api_key", body, SECRET)
    asks = headers | {"aeg-event-type": "SubscriptionValidation"}
    assert deliver(body, asks).json() == {"validationResponse": "512d38b6"}
    assert deliver(body, {"aeg-event-type": "SubscriptionValidation"}).status_code == 401
    assert started() == 0
    assert deliver(body, headers).status_code == 202


def test_meta_gets_its_challenge_back_if_it_knows_the_token(hook: Hook) -> None:
    hook("hmac", header="X-Hub-Signature-256", prefix="sha256=", handshake="meta", token="KEY")
    asks = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}

    answer = ask(asks | {"hub.verify_token": KEY})

    assert (answer.status_code, answer.content) == (200, b"1158201444")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert ask(asks | {"hub.verify_token": "guess"}).status_code == 401
    assert ask(asks).status_code == 401
    assert started() == 0


@pytest.mark.parametrize(
    ("handshake", "method", "name"), [("dropbox", "GET", "challenge"), ("microsoft", "POST", "validationToken")]
)
def test_a_challenge_in_the_address_goes_back_as_plain_text(hook: Hook, handshake: str, method: str, name: str) -> None:
    hook("hmac", handshake=handshake)

    answer = ask({name: "<script>alert(1)</script>"}, method)

    assert (answer.status_code, answer.content) == (200, b"<script>alert(1)</script>")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert ask({name: "a\r\nb"}, method).status_code == 400
    assert ask({name: "a" * 3000}, method).status_code == 400
    assert ask({}, method).status_code == (405 if method == "GET" else 401)
    assert started() == 0


def test_who_asks_with_get_elsewhere_learns_nothing(hook: Hook) -> None:
    unknown = ask({"challenge": "x"})
    hook("hmac")
    assert (ask({"challenge": "x"}).status_code, unknown.status_code) == (405, 405)
    assert ask({"challenge": "x"}).content == unknown.content


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"verify": "hmac", "handshake": "nobody"}, "config.handshake"),
        ({"verify": "hmac", "handshake": "meta"}, "config.token"),
        ({"verify": "hmac", "handshake": "slack", "token": "KEY"}, "config.token"),
        ({"verify": "api_key", "handshake": "zoom"}, "config.handshake"),
        ({"verify": "hmac", "url": "https://example.com/hook"}, "config.signed"),
        ({"verify": "square", "url": "example.com/hook"}, "config.url"),
        ({"verify": "twilio", "url": "https://example.com:port/hook"}, "config.url"),
        ({"verify": "slack", "handshake": "slack"}, "config.handshake"),
    ],
)
def test_a_handshake_that_cannot_be_is_refused_where_it_is_written(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        webhook("hook", secret="IT", **options)
    assert list(refused.value.errors) == [field]
