"""Who may deliver: signatures over the raw body, and secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_workflows.authoring.webhook_options import options_of
from django_workflows.triggers.webhooks import schemes
from django_workflows.triggers.webhooks.deliveries import Delivery
from django_workflows.triggers.webhooks.schemes import Stale, Unproven
from tests.triggers.webhooks import signing
from tests.triggers.webhooks.signing import KEY, SECRET

BODY = b'{"caf\xc3\xa9": "\\u00e9",  "n": 1}'
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def verify(
    scheme: str,
    headers: Mapping[str, str],
    body: bytes = BODY,
    *,
    secrets: Sequence[str] = (SECRET,),
    now: datetime = NOW,
    **options: Any,
) -> None:
    lowered = {name.lower(): value for name, value in headers.items()}
    delivery = Delivery(path="hook", headers=lowered, body=body)
    schemes.verify(scheme, delivery, options_of(scheme, options), secrets, now)


def refuses(scheme: str, headers: Mapping[str, str], body: bytes = BODY, **options: Any) -> bool:
    try:
        verify(scheme, headers, body, **options)
    except Unproven:
        return True
    return False


def flipped(text: str, first: int) -> list[str]:
    """Every text that differs by one bit, from the character `first` on, and could stand in a header."""
    places = [(place, bit) for place in range(first, len(text)) for bit in range(7)]
    found = [text[:place] + chr(ord(text[place]) ^ 1 << bit) + text[place + 1 :] for place, bit in places]
    return [other for other in found if other.isprintable()]


# what their senders publish


def test_the_example_of_githubs_documentation_is_right() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verify("github", {"X-Hub-Signature-256": signature}, b"Hello, World!")
    assert refuses("github", {"X-Hub-Signature-256": signature}, b"Hello, World?")


def test_a_standard_webhook_is_right_with_the_prefix_of_its_secret_or_without() -> None:
    headers = signing.standard(BODY, at=NOW.timestamp())
    verify("standard", headers, secrets=[KEY])
    verify("standard", headers, secrets=[f"whsec_{KEY}"])
    assert refuses("standard", headers, secrets=["whsec_"])
    assert refuses("standard", headers | {"webhook-id": "msg_2"}, secrets=[KEY])


def test_a_sender_that_rotates_its_key_sends_several_signatures() -> None:
    other = signing.standard(BODY, secret=base64.b64encode(b"another").decode(), at=NOW.timestamp())
    headers = signing.standard(BODY, at=NOW.timestamp())
    both = f"v1a,unknown {other['webhook-signature']} {headers['webhook-signature']}"
    verify("standard", headers | {"webhook-signature": both}, secrets=[KEY])

    one = signing.stripe(BODY, at=NOW.timestamp())["Stripe-Signature"]
    verify("stripe", {"Stripe-Signature": one.replace(",v1=", ",v1=00,v1=")})


def test_versions_of_stripe_other_than_v1_prove_nothing() -> None:
    header = signing.stripe(BODY, at=NOW.timestamp())["Stripe-Signature"]
    verify("stripe", {"Stripe-Signature": header})
    assert refuses("stripe", {"Stripe-Signature": header.replace("v1=", "v2=")})
    assert refuses("stripe", {"Stripe-Signature": header + ",t=1"})


@pytest.mark.parametrize("hash", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmac_is_what_you_say(hash: str, encoding: str) -> None:
    raw = signing.digest(SECRET.encode(), BODY, hash)
    text = raw.hex() if encoding == "hex" else base64.b64encode(raw).decode()
    verify("hmac", {"X-Mine": f"is:{text}"}, header="X-Mine", hash=hash, encoding=encoding, prefix="is:")
    assert refuses("hmac", {"X-Mine": text}, header="X-Mine", hash=hash, encoding=encoding, prefix="is:")
    assert refuses("hmac", {"X-Signature": f"is:{text}"}, header="X-Mine", hash=hash, encoding=encoding, prefix="is:")


def test_a_timestamp_and_an_id_may_be_signed_too() -> None:
    """As Slack does it."""
    at = str(int(NOW.timestamp()))
    how: dict[str, Any] = {
        "signed": "v0:{timestamp}:{id}:{body}",
        "timestamp_header": "X-At",
        "id_header": "X-Id",
        "prefix": "v0=",
    }
    signature = "v0=" + signing.digest(SECRET.encode(), f"v0:{at}:7:".encode() + BODY).hex()
    headers = {"X-Signature": signature, "X-At": at, "X-Id": "7"}
    verify("hmac", headers, **how)
    assert refuses("hmac", headers | {"X-At": str(int(at) + 1)}, **how)
    assert refuses("hmac", headers | {"X-Id": "8"}, **how)


def test_shared_secrets_are_compared_whole() -> None:
    verify("bearer", {"Authorization": f"Bearer {SECRET}"})
    verify("bearer", {"Authorization": "bearer pässword".encode().decode("latin-1")}, secrets=["pässword"])
    verify("api_key", {"X-API-Key": SECRET})
    verify("api_key", {"X-Mine": SECRET}, header="X-Mine")
    verify("basic", signing.basic("ada:lovelace"), secrets=["ada:lovelace"])
    assert refuses("bearer", {"Authorization": f"Basic {SECRET}"})
    assert refuses("bearer", {"Authorization": f"Bearer {SECRET[:-1]}"})
    assert refuses("bearer", {"Authorization": "Bearer "})
    assert refuses("api_key", {"X-API-Key": ""})
    assert refuses("basic", {"Authorization": "Basic %%%"}, secrets=["ada:lovelace"])
    assert refuses("basic", signing.basic("ada:"), secrets=["ada:lovelace"])


def test_none_must_be_said_and_then_anybody_may() -> None:
    verify("none", {}, secrets=[])


# what must not pass

SIGNED = {
    "github": ("X-Hub-Signature-256", signing.github(BODY), SECRET),
    "stripe": ("Stripe-Signature", signing.stripe(BODY, at=NOW.timestamp()), SECRET),
    "standard": ("webhook-signature", signing.standard(BODY, at=NOW.timestamp()), KEY),
    "bearer": ("Authorization", {"Authorization": f"Bearer {SECRET}"}, SECRET),
    "basic": ("Authorization", signing.basic("ada:lovelace"), "ada:lovelace"),
    "api_key": ("X-API-Key", {"X-API-Key": SECRET}, SECRET),
}


@pytest.mark.parametrize("scheme", SIGNED)
def test_a_signature_that_is_wrong_by_one_bit_is_refused(scheme: str) -> None:
    """WHK-02: whichever bit it is. The word before a password is no secret, nor is v0 of Stripe."""
    header, headers, secret = SIGNED[scheme]
    given = headers[header].partition(",v0")[0]
    verify(scheme, headers | {header: given}, secrets=[secret])
    others = flipped(given, first=given.find(" ") + 1)
    assert len(others) > 50
    assert [other for other in others if not refuses(scheme, headers | {header: other}, secrets=[secret])] == []


@pytest.mark.parametrize("scheme", ["github", "stripe", "standard"])
def test_a_body_that_is_wrong_by_one_bit_is_refused(scheme: str) -> None:
    """WHK-06: over the raw bytes, before anything is parsed."""
    _, headers, secret = SIGNED[scheme]
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert refuses(scheme, headers, changed, secrets=[secret])


@pytest.mark.parametrize("scheme", SIGNED)
def test_without_a_secret_nothing_passes(scheme: str) -> None:
    """WHK-02: not even what would be right for an empty secret."""
    _, headers, _ = SIGNED[scheme]
    assert refuses(scheme, headers, secrets=[])
    assert refuses(scheme, headers, secrets=["", ""])
    empty = {"X-Hub-Signature-256": "sha256=" + signing.digest(b"", BODY).hex(), "X-API-Key": ""}
    assert refuses(scheme, empty, secrets=[""])


@pytest.mark.parametrize("scheme", SIGNED)
def test_any_of_several_secrets_will_do(scheme: str) -> None:
    _, headers, secret = SIGNED[scheme]
    verify(scheme, headers, secrets=["new", secret])
    verify(scheme, headers, secrets=[secret, "old"])
    assert refuses(scheme, headers, secrets=["new", "old"])


@pytest.mark.parametrize("scheme", ["stripe", "standard"])
@pytest.mark.parametrize(("away", "stale"), [(-301, True), (-299, False), (0, False), (299, False), (301, True)])
def test_a_timestamp_counts_for_five_minutes(scheme: str, away: int, stale: bool) -> None:
    """WHK-05: what was captured cannot be sent again later."""
    _, headers, secret = SIGNED[scheme]
    now = NOW + timedelta(seconds=away)
    if stale:
        with pytest.raises(Stale, match="it is 2026-03-01"):
            verify(scheme, headers, secrets=[secret], now=now)
    else:
        verify(scheme, headers, secrets=[secret], now=now)


@pytest.mark.parametrize("time", ["", "x", "-1", "1e9", "١٢٣", "99999999999999", " 1", "01772366400", "1.0"])
def test_a_timestamp_is_digits(time: str) -> None:
    headers = signing.standard(BODY, at=NOW.timestamp()) | {"webhook-timestamp": time}
    assert refuses("standard", headers, secrets=[KEY])
    assert refuses("stripe", {"Stripe-Signature": f"t={time},v1=00"})


def test_without_the_package_standard_webhooks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemes, "HAS_STANDARD", False)
    with pytest.raises(Unproven, match=r"pip install"):
        verify("standard", signing.standard(BODY, at=NOW.timestamp()), secrets=[KEY])


def test_neither_headers_nor_body_show_in_a_repr() -> None:
    assert repr(Delivery(path="hook", headers={"authorization": "s"}, body=b"s")) == "Delivery(path='hook')"
