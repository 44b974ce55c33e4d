"""Schemes by the name of who delivers: what these senders have published or sent is accepted, and nothing near it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from django_workflows.authoring.webhook_options import options_of
from django_workflows.models import Execution
from django_workflows.testing import sign_delivery
from django_workflows.triggers.webhooks.contents import FORM
from django_workflows.triggers.webhooks.deliveries import Delivery
from django_workflows.triggers.webhooks.schemes import Stale, Unproven, verify
from tests.triggers.webhooks.conftest import Hook, Sender, received, started
from tests.triggers.webhooks.signing import SECRET, digest


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A delivery whose secret is known."""

    scheme: str
    secret: str
    body: bytes
    headers: dict[str, str]
    at: datetime = datetime(2026, 12, 1, tzinfo=UTC)
    options: dict[str, Any] = field(default_factory=dict)

    def check(self, *, body: bytes = b"", secret: str = "", at: datetime | None = None) -> None:
        delivery = Delivery(path="hook", headers=self.headers, body=body or self.body)
        options = options_of(self.scheme, self.options)
        verify(self.scheme, delivery, options, [secret or self.secret], at or self.at)


SHOPIFY = b'{"id":820982911946154508,"email":"jon@example.com","total_price":"398.00"}'

RECORDED = [
    Recorded(  # the example of Slack's documentation
        scheme="slack",
        secret="8f742231b10e8888abcd99yyyzzz85a5",
        body=(
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
            b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
            b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
            b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
        ),
        headers={
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        at=datetime.fromtimestamp(1531420618, UTC),
    ),
    Recorded(  # with which the libraries of Twilio are tested
        scheme="twilio",
        secret="1c892n40nd03kdnc0112slzkl3091j20",
        body=(
            b"FromZip=89449&From=%2B15306666666&FromCity=SOUTH+LAKE+TAHOE&ApiVersion=2010-04-01&To=%2B15306384866"
            b"&CallStatus=ringing&CalledState=CA&FromState=CA&Direction=inbound&ToCity=OAKLAND&ToZip=94612"
            b"&CallerCity=SOUTH+LAKE+TAHOE&FromCountry=US&CallerName=CA+Wireless+Call&CalledCity=OAKLAND"
            b"&CalledCountry=US&Caller=%2B15306666666&CallerZip=89449&AccountSid=AC9a9f9392lad99kla0sklakjs90j092j3"
            b"&Called=%2B15306384866&CallerCountry=US&CalledZip=94612&CallSid=CAd800bb12c0426a7ea4230e492fef2a4f"
            b"&CallerState=CA&ToCountry=US&ToState=CA"
        ),
        headers={"content-type": FORM, "x-twilio-signature": "fF+xx6dTinOaCdZ0aIeNkHr/ZAA="},
        options={"url": "http://www.postbin.org/1ed898x"},
    ),
    Recorded(  # a test notification of Square, with which its libraries are tested
        scheme="square",
        secret="Ibxx_5AKakO-3qeNVR61Dw",
        body=(
            b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
            b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
            b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}'
        ),
        headers={"x-square-hmacsha256-signature": "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4="},
        options={"url": "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9"},
    ),
    Recorded(  # with which the libraries of Paddle are tested; its first signature is of another secret
        scheme="paddle",
        secret="pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_WvRO0eL4Bj9rgYYIBZY6wZhG4EHy9jzh",
        body=b"hello-world",
        headers={
            "paddle-signature": (
                "ts=1696195954;h1=dummy;h1=d96299976a6eb066f484d7fde011ac56fc32b38fc9940bc419d6e537fdc6ef02"
            )
        },
        at=datetime.fromtimestamp(1696195954, UTC),
    ),
    Recorded(  # Shopify publishes no signature: an order of its documentation, signed here
        scheme="shopify",
        secret="hush",
        body=SHOPIFY,
        headers={"x-shopify-hmac-sha256": base64.b64encode(digest(b"hush", SHOPIFY)).decode()},
    ),
]
by_name = pytest.mark.parametrize("recorded", RECORDED, ids=[recorded.scheme for recorded in RECORDED])


@by_name
def test_what_was_recorded_is_accepted(recorded: Recorded) -> None:
    recorded.check()


@by_name
def test_another_body_or_secret_proves_nothing(recorded: Recorded) -> None:
    with pytest.raises(Unproven):
        recorded.check(body=recorded.body + b"&a=1")
    with pytest.raises(Unproven):
        recorded.check(secret="another")


@pytest.mark.parametrize("recorded", [one for one in RECORDED if one.scheme in {"slack", "paddle"}])
def test_a_signed_time_that_is_over_is_refused(recorded: Recorded) -> None:
    with pytest.raises(Stale):
        recorded.check(at=recorded.at + timedelta(minutes=6))


def test_an_address_that_is_signed_must_be_the_one_that_is_known() -> None:
    for recorded in RECORDED:
        if "url" in recorded.options:
            other = Recorded(**{**vars(recorded), "options": {"url": "https://example.com/other"}})
            with pytest.raises(Unproven):
                other.check()


def test_twilio_signs_the_address_with_its_port_or_without() -> None:
    secret, body = "s" * 20, b"B=2&A=1&A=1"
    signed = b"https://example.com:443/hook?x=1" + b"A1B2"
    signature = base64.b64encode(digest(secret.encode(), signed, "sha1")).decode()
    headers = {"content-type": f"{FORM}; charset=UTF-8", "x-twilio-signature": signature}
    Recorded(
        scheme="twilio", secret=secret, body=body, headers=headers, options={"url": "https://example.com/hook?x=1"}
    ).check()


def test_twilio_signs_json_by_its_hash_in_the_address() -> None:
    secret, body = "s" * 20, b'{"a":1}'
    url = f"https://example.com/hook?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = base64.b64encode(digest(secret.encode(), url.encode(), "sha1")).decode()
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    recorded = Recorded(scheme="twilio", secret=secret, body=body, headers=headers, options={"url": url})
    recorded.check()
    with pytest.raises(Unproven, match="hash stands in the address"):
        recorded.check(body=b'{"a":2}')


def test_twilio_json_whose_hash_is_not_signed_proves_nothing() -> None:
    secret, url = "s" * 20, "https://example.com/hook"
    signature = base64.b64encode(digest(secret.encode(), url.encode(), "sha1")).decode()
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    with pytest.raises(Unproven):
        Recorded(scheme="twilio", secret=secret, body=b"{}", headers=headers, options={"url": url}).check()


# from end to end


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("slack", {}),
        ("shopify", {}),
        ("gitlab", {}),
        ("paddle", {}),
        ("square", {"url": "https://example.com/api/webhooks/hook"}),
    ],
)
def test_a_delivery_starts_once_and_a_repetition_nothing(
    hook: Hook, deliver: Sender, scheme: str, options: dict[str, Any]
) -> None:
    hook(scheme, **options)
    body = json.dumps({"event_id": "e-1", "n": 1}).encode()
    headers = sign_delivery(scheme, body, SECRET, id="d-1", **options)

    first, second = deliver(body, headers), deliver(body, headers)

    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["delivery"] in {"e-1", "d-1"}
    assert started() == 1
    assert received()["data"] == {"event_id": "e-1", "n": 1}
    assert deliver(body, headers | dict.fromkeys(headers, "x")).status_code == 401


def test_a_call_of_twilio_is_signed_for_the_address_at_which_it_arrives(hook: Hook, deliver: Sender) -> None:
    hook("twilio")
    body = b"CallSid=CA1&CallStatus=ringing"
    address = f"http://testserver{reverse('django_workflows:webhook', args=['hook'])}"
    headers = sign_delivery("twilio", body, SECRET, id="t-1", url=address)

    assert deliver(body, headers).status_code == 202
    assert deliver(body, headers).status_code == 200
    assert Execution.objects.get().input["event"]["data"] == {"CallSid": "CA1", "CallStatus": "ringing"}


def test_a_button_of_slack_is_the_json_in_its_payload(hook: Hook, deliver: Sender) -> None:
    hook("slack")
    body = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    assert deliver(body, sign_delivery("slack", body, SECRET), type=FORM).status_code == 202
    assert received()["data"] == {"type": "block_actions"}


def test_no_token_of_gitlab_gets_into_the_input(hook: Hook, deliver: Sender) -> None:
    hook("gitlab")
    headers = sign_delivery("gitlab", b"{}", SECRET, id="1") | {"X-Gitlab-Event": "Push Hook"}
    assert deliver(b"{}", headers).status_code == 202
    assert received()["headers"]["x-gitlab-event"] == "Push Hook"
    assert SECRET not in json.dumps(received())
