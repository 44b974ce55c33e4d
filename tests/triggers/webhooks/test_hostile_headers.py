"""Whatever stands in the headers of a signature: refused, never an error, never accepted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_workflows.authoring.webhook_options import SCHEMES, options_of
from django_workflows.triggers.webhooks import contents, schemes
from django_workflows.triggers.webhooks.deliveries import Delivery, Refusal
from tests.triggers.webhooks import signing
from tests.triggers.webhooks.signing import KEY, SECRET

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRETS = {"standard": KEY, "basic": "ada:lovelace"}
TEXT = st.text(st.characters(max_codepoint=255) | st.characters(), max_size=200)
LIKELY = st.lists(
    st.sampled_from(
        ["v1", "v0", "t", "=", ",", " ", "sha256=", "0" * 64, "1772323200", "Bearer ", "Basic ", "==", "\0"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)
NAMES = ["x-hub-signature-256", "stripe-signature", "webhook-id", "webhook-timestamp", "webhook-signature"]
NAMES += ["authorization", "x-api-key", "x-signature"]

signed = pytest.mark.parametrize("scheme", sorted(SCHEMES.keys() - {"none"}))


def passes(scheme: str, headers: dict[str, str], body: bytes) -> bool:
    delivery = Delivery(path="hook", headers=headers, body=body)
    try:
        schemes.verify(scheme, delivery, options_of(scheme, {}), [SECRETS.get(scheme, SECRET)], NOW)
    except schemes.Unproven:
        return False
    return True


@signed
@settings(max_examples=40)
@given(headers=st.dictionaries(st.sampled_from(NAMES), TEXT | LIKELY), body=st.binary(max_size=50))
def test_what_nobody_has_signed_is_refused(scheme: str, headers: dict[str, str], body: bytes) -> None:
    assert not passes(scheme, headers, body)


@given(body=st.binary(max_size=200))
def test_what_is_signed_passes_whatever_the_body(body: bytes) -> None:
    lowered = {name.lower(): value for name, value in signing.github(body).items()}
    assert passes("github", lowered, body)
    lowered = {name.lower(): value for name, value in signing.stripe(body, at=NOW.timestamp()).items()}
    assert passes("stripe", lowered, body)


@given(body=st.text(max_size=200), id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_what_is_signed_as_a_standard_webhook_passes(body: str, id: str) -> None:
    content = body.encode("utf-8", "replace")
    assert passes("standard", signing.standard(content, id=id, at=NOW.timestamp()), content)


@given(body=st.binary(min_size=1, max_size=100), place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_bit_of_the_body_is_enough(body: bytes, place: int, bit: int) -> None:
    place %= len(body)
    changed = body[:place] + bytes([body[place] ^ 1 << bit]) + body[place + 1 :]
    lowered = {name.lower(): value for name, value in signing.github(body).items()}
    assert not passes("github", lowered, changed)


TYPES = st.sampled_from(
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "/", ""]
)
CHARSETS = st.sampled_from(["utf-8", "punycode", "idna", "utf-7", "zlib", "rot13", "../x", '"', "unicode_escape"])


PARTS = st.lists(
    st.sampled_from([b"--x", b"--x--", b"\r\n", b'Content-Disposition: form-data; name="a"', b"\xff", b"a", b";"]),
    max_size=9,
).map(b"".join)


@given(
    type=TEXT | st.builds("{}; charset={}".format, TYPES, CHARSETS | TEXT),
    encoding=st.just("") | TEXT,
    body=st.binary(max_size=100) | st.text(max_size=50).map(str.encode) | PARTS,
)
def test_any_content_type_is_read_or_refused_in_words(type: str, encoding: str, body: bytes) -> None:
    """WHK-08."""
    headers = {"content-type": type, "content-encoding": encoding}
    try:
        contents.read(Delivery(path="hook", headers=headers, body=body))
    except Refusal as refusal:
        told = refusal.status, bool(refusal.detail)
    else:
        told = 400, True
    assert told in {(400, True), (415, True)}
