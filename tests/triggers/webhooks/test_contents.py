"""Bodies of all kinds."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory
from django.test.client import encode_multipart

from django_workflows.api.webhooks import receive_webhook
from django_workflows.models import Execution
from tests.triggers.webhooks import signing
from tests.triggers.webhooks.conftest import Hook, Sender, received, started

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("type", "body", "data"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/json", b" \r\n[1, 2]\n", [1, 2]),
        ("application/json", b'"text"', "text"),
        ("application/json", b"null", None),
        ("application/json", b"12345678901234567890", 12345678901234567890),
        ("application/json; charset=utf-8", b'{"a": "\\u00e9"}', {"a": "é"}),
        ("application/json", BOM + b"{}", {}),
        ("application/cloudevents+json", b"{}", {}),
        ("APPLICATION/JSON", b"{}", {}),
        ("text/json", b"{}", {}),
        (FORM, b"a=1&b=%C3%A9+x&c=&a=2&a=3", {"a": ["1", "2", "3"], "b": "é x", "c": ""}),
        (FORM, b"", None),
        ("text/plain", b"hello", "hello"),
        ("text/plain; charset=latin-1", b"caf\xe9", "café"),
        ("text/plain", BOM + b"hello", "hello"),
        ("text/xml", b"<a/>", "<a/>"),
        ("application/soap+xml", b"<a/>", "<a/>"),
        ("", b'{"a": 1}', {"a": 1}),
        ("", b"hello", "hello"),
        ("", b"", None),
    ],
)
def test_a_body_is_json_or_a_form_or_a_text(hook: Hook, deliver: Sender, type: str, body: bytes, data: Any) -> None:
    """WHK-08."""
    hook("none")
    assert deliver(body, type=type).status_code == 202
    assert received()["data"] == data


@pytest.mark.parametrize(
    ("type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"a": NaN}', 400),
        ("application/json", b'{"a": 1} x', 400),
        ("application/json", b'"\xff"', 400),
        ("application/json", b'"\\ud800"', 400),
        ("application/json", '{"a": 1}'.encode("utf-16"), 400),
        (FORM, b"a=%ff", 400),
        (FORM, b"a=\xff", 400),
        (FORM, b"&".join(b"a=1" for _ in range(1001)), 400),
        ("text/plain", b"\xff", 400),
        ("text/plain; charset=nonsense", b"a", 400),
        ("text/plain; charset=base64", b"a", 400),
        ("text/plain; charset=idna", b"\xff", 400),
        ("", b"\xff\xfe", 400),
        ("text/plain", b"a\0b", 400),
        ("application/octet-stream", b"a", 415),
        ("multipart/form-data", b"--x--", 400),
        ("multipart/form-data; boundary=", b"--x--", 400),
        ("multipart/form-data; boundary=\xe9", b"--x--", 400),
        ("application/gzip", gzip.compress(b"{}", mtime=0), 415),
        ("image/png", b"a", 415),
    ],
)
def test_other_bodies_are_refused_in_words(hook: Hook, deliver: Sender, type: str, body: bytes, status: int) -> None:
    """WHK-08."""
    hook("none")
    answer = deliver(body, type=type)
    assert answer.status_code == status
    assert json.loads(answer.content)["detail"]
    assert started() == 0


def test_the_fields_of_a_multipart_form_are_taken_and_its_files_left_out(hook: Hook, deliver: Sender) -> None:
    """WHK-08."""
    hook("github")
    content = {"a": ["1", "2"], "b": "é", "file": SimpleUploadedFile("x.txt", b"hello")}
    body = encode_multipart("frontier", content)
    type = "multipart/form-data; boundary=frontier"
    assert deliver(body, signing.github(body), type=type).status_code == 202
    assert received()["data"] == {"a": ["1", "2"], "b": "é"}


def test_a_compressed_body_is_never_inflated(hook: Hook, deliver: Sender) -> None:
    hook("none")
    bomb = gzip.compress(b"0" * 10_000_000)
    assert deliver(bomb, {"Content-Encoding": "gzip"}).status_code == 415
    assert deliver(b"{}", {"Content-Encoding": "identity"}).status_code == 202


def test_what_is_malformed_is_told_only_to_who_may_deliver(hook: Hook, deliver: Sender) -> None:
    """WHK-06: verified before it is parsed."""
    hook("github")
    assert deliver(b"{", {}).status_code == 401
    assert deliver(b"{", signing.github(b"{")).status_code == 400


@pytest.mark.parametrize("body", [b'{ "a" :1 }', b'{"a":"\\u00e9\\/"}', BOM + b'{"a": 1}', '{"a": "é"}'.encode()])
def test_a_signature_is_over_the_bytes_as_they_were_sent(hook: Hook, deliver: Sender, body: bytes) -> None:
    """WHK-06."""
    hook("github")
    assert deliver(body, signing.github(body)).status_code == 202
    assert received()["data"] == json.loads(body.decode("utf-8-sig"))


def test_githubs_forms_are_unwrapped(hook: Hook, deliver: Sender) -> None:
    hook("github")
    body = urlencode({"payload": '{"action": "opened"}'}).encode()
    assert deliver(body, signing.github(body), type=FORM).status_code == 202
    assert received()["data"] == {"action": "opened"}
    bad = b"payload=%7B"
    assert deliver(bad, signing.github(bad, id="2"), type=FORM).status_code == 400


def test_a_body_that_a_middleware_has_read_is_read_once_more(hook: Hook, settings: Any, deliver: Sender) -> None:
    hook("github")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Curious"]
    body = b"a=1"
    assert deliver(body, signing.github(body), type=FORM).status_code == 202
    assert Execution.objects.get().input["event"]["data"] == {"a": "1"}


class Curious:
    """A middleware that looks into every form."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        assert request.POST["a"] == "1"
        return self.get_response(request)


# charsets


@pytest.mark.parametrize(
    ("type", "body", "data"),
    [
        (f"{FORM}; charset=windows-1252", b"name=J%F6rg&price=5%80", {"name": "Jörg", "price": "5€"}),
        (f"{FORM}; charset=windows-1252", b"name=J\xf6rg&price=5\x80", {"name": "Jörg", "price": "5€"}),
        (f"{FORM}; charset=iso-8859-1", b"n%E4me=J%F6rg", {"näme": "Jörg"}),
        (f"{FORM}; charset=Shift_JIS", b"name=%93%FA%96%7B", {"name": "日本"}),
        (f"{FORM}; charset=windows-1251", b"name=%C8%E2%E0%ED", {"name": "Иван"}),
        (FORM, b"name=J%F6rg&charset=windows-1252", {"name": "Jörg", "charset": "windows-1252"}),
        (FORM, b"_charset_=iso-8859-1&name=J%F6rg", {"name": "Jörg", "_charset_": "iso-8859-1"}),
        (FORM, b"name=J%C3%B6rg&charset=windows-1252", {"name": "Jörg", "charset": "windows-1252"}),
        ("application/json; charset=iso-8859-1", b'{"name": "J\xf6rg"}', {"name": "Jörg"}),
        ("application/json; charset=utf-16", '{"name": "Jörg"}'.encode("utf-16"), {"name": "Jörg"}),
    ],
)
def test_what_is_escaped_is_read_in_the_charset_of_the_rest(
    hook: Hook, deliver: Sender, type: str, body: bytes, data: Any
) -> None:
    hook("none")
    assert deliver(body, type=type).status_code == 202
    assert received()["data"] == data


@pytest.mark.parametrize(
    ("type", "body"),
    [
        (FORM, b"name=J%F6rg"),
        (FORM, b"name=J%F6rg&charset=klingon"),
        (f"{FORM}; charset=utf-8", b"name=J%F6rg&charset=windows-1252"),  # the Content-Type has said it
        (f"{FORM}; charset=idna", b"name=x%F6"),
    ],
)
def test_a_form_whose_charset_nobody_can_tell_is_refused_with_what_to_do(
    hook: Hook, deliver: Sender, type: str, body: bytes
) -> None:
    hook("none")
    answer = deliver(body, type=type)
    assert answer.status_code == 400
    assert "Name theirs in the Content-Type, or in a field `charset`" in answer.json()["detail"]
    assert started() == 0


@pytest.mark.parametrize(
    ("charset", "more", "name"),
    [("; charset=windows-1252", "", b"J\xf6rg"), ("", "windows-1252", b"J\xf6rg"), ("", "", "Jörg".encode())],
)
def test_the_fields_of_a_multipart_form_lose_no_letter(
    hook: Hook, deliver: Sender, charset: str, more: str, name: bytes
) -> None:
    hook("none")
    parts = {b"name": name} | ({b"charset": more.encode()} if more else {})
    body = b"".join(b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part for part in parts.items())
    assert deliver(body + b"--x--\r\n", type=f"multipart/form-data; boundary=x{charset}").status_code == 202
    assert received()["data"]["name"] == "Jörg"


def test_a_multipart_form_in_an_unknown_charset_is_refused(hook: Hook, deliver: Sender) -> None:
    hook("none")
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nJ\xf6rg\r\n--x--\r\n'
    assert deliver(body, type="multipart/form-data; boundary=x").status_code == 400
    assert started() == 0


# bodies that are gone


@pytest.mark.parametrize("way", ["Greedy", "Parsing"])
def test_a_body_that_a_middleware_has_read_away_is_not_accepted_as_empty(
    hook: Hook, settings: Any, deliver: Sender, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    hook("none")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{way}"]
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'

    answer = deliver(body, type="multipart/form-data; boundary=x")

    assert answer.status_code == 500
    assert answer.json()["type"].endswith("body-read")
    assert "request.body must be used" in answer.json()["detail"]
    assert f"{__name__}.{way}" in caplog.text
    assert started() == 0


class Greedy:
    """A middleware that reads the stream, and keeps nothing."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.read()
        return self.get_response(request)


class Parsing(Greedy):
    """One that looks into a multipart form, which Django reads from the stream."""

    def __call__(self, request: Any) -> Any:
        assert request.POST["a"] == "1"
        return self.get_response(request)


@pytest.mark.parametrize(("body", "status"), [(b"", 500), (b'{"a"', 400)])
def test_a_body_that_is_shorter_than_it_says_is_not_accepted(hook: Hook, body: bytes, status: int) -> None:
    """Read by the server's own middleware, or cut off on its way."""
    hook("none")
    request = RequestFactory().generic("POST", "/", body, content_type="application/json")
    request.META["CONTENT_LENGTH"] = "8"
    assert receive_webhook(request, "hook").status_code == status
    assert started() == 0
