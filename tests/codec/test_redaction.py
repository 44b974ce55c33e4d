"""Values and texts as others may see them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from django_workflows.codec import redact, redact_text
from django_workflows.codec.concealing import HIDDEN
from django_workflows.codec.redaction import RedactingFilter, is_secret, redact_positional


def test_what_stands_under_a_secret_key_is_hidden_however_deep() -> None:
    value = {"user": "ada", "password": "x", "logins": [{"api_key": {"id": 1}, "n": 1}, [{"token": ["x"]}]]}

    assert redact(value) == {
        "user": "ada",
        "password": HIDDEN,
        "logins": [{"api_key": HIDDEN, "n": 1}, [{"token": HIDDEN}]],
    }
    assert value["password"] == "x", "what was given stays"


@pytest.mark.parametrize(
    "key", ["password", "Password", "DB_PASSWORD", "apiKey", "API-Key", "x-api-key", "accessToken", "Set-Cookie", "cvc"]
)
def test_case_hyphens_and_underscores_do_not_count(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["tokens", "password_changed_at", "secretary", "cookies_accepted", "key", "pass", ""])
def test_a_name_covers_whole_keys(key: str) -> None:
    assert redact({key: 1}) == {key: 1}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([["Host", "a"], ["Authorization", "Bearer x"]], [["Host", "a"], ["Authorization", HIDDEN]]),
        (("x-api-key", "x"), ["x-api-key", HIDDEN]),
        (["curl", "--password", "x", "a"], ["curl", "--password", HIDDEN, "a"]),
        (["user", "password", "email"], ["user", "password", "email"]),
        ({"name": "DB_PASSWORD", "value": "x"}, {"name": "DB_PASSWORD", "value": HIDDEN}),
        ({"name": "COLOUR", "value": "red"}, {"name": "COLOUR", "value": "red"}),
        (["token", None], ["token", None]),
        ({"dsn": "postgres://ada:x@db/a"}, {"dsn": "postgres://ada:[redacted]@db/a"}),
    ],
)
def test_a_key_may_stand_beside_its_value(value: Any, shown: Any) -> None:
    assert redact(value) == shown
    assert redact(shown) == shown


def test_nothing_and_other_keys_stay_as_they_are() -> None:
    value = {"token": None, "a": 1.5, "b": True, 3: "x", "url": "https://example.com/a?b=c", "at": "12:00:00"}

    assert redact(value) == value
    assert [redact(leaf) for leaf in (None, 1, "text", True)] == [None, 1, "text", True]


def test_a_project_names_its_own_keys(settings: Any) -> None:
    settings.WORKFLOWS = {"REDACT": ["iban", "acct_*"]}
    assert redact({"IBAN": "DE", "acct-no": 1, "password": "x"}) == {"IBAN": HIDDEN, "acct-no": HIDDEN, "password": "x"}

    settings.WORKFLOWS = {"REDACT": []}
    assert redact({"password": "x"}) == {"password": "x"}
    assert redact_text("password=x") == "password=x"
    assert redact_positional(sign_in, ["ada", "x"]) == ["ada", "x"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"password": "x", "a": 1}', '{"password": "[redacted]", "a": 1}'),
        ("KeyError: {'api_key': 'x', 'b': [1]}", "KeyError: {'api_key': '[redacted]', 'b': [1]}"),
        ('{"secret": {"a": "}]", "b": [1]}, "c": 2}', '{"secret": "[redacted]", "c": 2}'),
        ('{"token": "a\\"b\\\\", "c": 2}', '{"token": "[redacted]", "c": 2}'),
        (
            '{"body": "{\\"token\\": \\"a\\\\\\"b\\", \\"n\\": 1}"}',
            '{"body": "{\\"token\\": \\"[redacted]\\", \\"n\\": 1}"}',
        ),
        ('{"token": 12.5, "n": null}', '{"token": "[redacted]", "n": null}'),
        ('{"token": ["x", "y', '{"token": "[redacted]"'),
        ('{"token": null}', '{"token": null}'),
        ("Login(user='a', password='x y', n=1)", "Login(user='a', password=[redacted], n=1)"),
        ("{b'password': b'x'}", "{b'password': '[redacted]'}"),
        ("GET /login?token=x&next=/", "GET /login?token=[redacted]&next=/"),
        ("Authorization: Bearer x.y, then", "Authorization: [redacted], then"),
        ("password: This field is required.", "password: This field is required."),
        ("password = 'x y'", "password = [redacted]"),
        ("password == x", "password == [redacted]"),
        ("    self.password: str = 'x'", "    self.password: str = [redacted]"),
        ("conf['password'] = 'x'", "conf['password'] = '[redacted]'"),
        ("array('password' => 'x', 'a' => 1)", "array('password' => '[redacted]', 'a' => 1)"),
        ("{password: 'x', a: 1}", "{password: [redacted], a: 1}"),
        ("user: ada\npassword: x\na: 1", "user: ada\npassword: [redacted]\na: 1"),
        ("X-Api-Key: x y", "X-Api-Key: [redacted] y"),
        ("Authorization: x", "Authorization: [redacted]"),
        ('Authorization: Digest username="a", response="x"\nHost: b', "Authorization: [redacted]\nHost: b"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature=x", "Authorization: [redacted]"),
        ("Proxy-Authorization: Basic eDp5 via b", "Proxy-Authorization: [redacted] via b"),
        ("Cookie: sessionid=x; csrftoken=y\r\nHost: b", "Cookie: [redacted]\r\nHost: b"),
        ("postgres://ada:x@db:5432/a", "postgres://ada:[redacted]@db:5432/a"),
        ("redis://:x/y@db and amqp://a:p@q@db", "redis://:[redacted]@db and amqp://a:[redacted]@db"),
        ("https://0123456789abcdef01234@github.com/a", "https://[redacted]@github.com/a"),
        ("ssh://git@github.com http://db:8000/a@b", "ssh://git@github.com http://db:8000/a@b"),
        ('["Authorization", "Bearer x"]', '["Authorization", "[redacted]"]'),
        ("[('Host', 'a'), (b'x-api-key', b'x')]", "[('Host', 'a'), (b'x-api-key', '[redacted]')]"),
        ('"[[\\"password\\", \\"x\\"]]"', '"[[\\"password\\", \\"[redacted]\\"]]"'),
        ("fields = ['user', 'password', 'email']", "fields = ['user', 'password', 'email']"),
        ('{"name": "DB_PASSWORD", "value": "x"}', '{"name": "DB_PASSWORD", "value": "[redacted]"}'),
        ("curl --password x --user a", "curl --password [redacted] --user a"),
        ("['curl', '--api-key', 'x', 'a']", "['curl', '--api-key', '[redacted]', 'a']"),
        ("--password --user a", "--password --user a"),
        ("AWS_SECRET_ACCESS_KEY=x/y+z a", "AWS_SECRET_ACCESS_KEY=[redacted] a"),
        ("GET /a?b=c&access_token=x#d", "GET /a?b=c&access_token=[redacted]"),
        ("<soap:Password Type='a'>x</soap:Password>", "<soap:Password Type='a'>[redacted]</soap:Password>"),
        ("<Token object at 0x7f> has expired", "<Token object at 0x7f> has expired"),
        ("sent Bearer eyJhbGciOiJIUzI1NiJ9.e30.x to b", "sent Bearer [redacted] to b"),
        ("the bearer of good news, basic instructions", "the bearer of good news, basic instructions"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END", "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END"),
        ("the token expired at 12:00", "the token expired at 12:00"),
    ],
)
def test_texts_are_searched_for_what_quotes_a_value(text: str, shown: str) -> None:
    assert redact_text(text) == shown
    assert redact_text(shown) == shown, "what is shown again stays"


@pytest.mark.parametrize(
    "part",
    [
        "\\",
        '"',
        ":",
        "'password': ",
        '"password":"',
        "password=",
        "password: ",
        '\\"',
        '"a" ',
        "token=(",
        "a.",
        "--",
        "-a ",
        "://",
        "://:",
        "://a:b@",
        "://a:b",
        "@",
        "<password>",
        "<a ",
        "Bearer a",
        "bearer ",
        "Basic",
        "-----BEGIN PRIVATE KEY-----",
        "('password', ",
        "password ",
        '"name": "token", ',
        "Cookie: ",
        "Authorization: ",
        "password: a: ",
        " ",
        "token\t",
        "\n",
        "a=",
        "a:b=",
        "'token']",
    ],
)
def test_hostile_texts_take_linear_time(part: str) -> None:
    def seconds(size: int) -> float:
        text = part * (size // len(part))
        start = time.process_time()
        redact_text(text)
        return time.process_time() - start

    assert seconds(200_000) < 1


def test_depth_has_no_limit() -> None:
    value: Any = {"password": "x"}
    for _ in range(sys.getrecursionlimit() * 2):
        value = [value]

    shown = redact(value)

    while isinstance(shown, list):
        shown = shown[0]
    assert shown == {"password": HIDDEN}


def test_json_that_is_hidden_as_text_is_still_json() -> None:
    text = json.dumps({"password": "x", "inner": json.dumps({"token": {"a": [1, "]"]}, "b": 2})})

    shown = json.loads(redact_text(text))

    assert shown == {"password": HIDDEN, "inner": json.dumps({"token": HIDDEN, "b": 2})}


def sign_in(user: str, password: str, *token: str, remember: bool = False) -> None:
    """The parameters have names that the stored arguments have not."""


def test_arguments_by_position_go_by_the_names_of_the_parameters() -> None:
    assert redact_positional(sign_in, ["ada", "x", "y", "z"]) == ["ada", HIDDEN, HIDDEN, HIDDEN]
    assert redact_positional(sign_in, ["ada"]) == ["ada"]
    assert redact_positional(print, ["x"]) == ["x"]


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    logger, own = logging.getLogger("tests.redaction"), RedactingFilter()
    logger.addFilter(own)
    yield logger
    logger.removeFilter(own)


def test_log_records_are_gone_over_with_their_tracebacks(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError({"password": "hunter2"})
    except ValueError as error:
        logger.exception("Failed: %s (%d)", error, 7)

    assert "hunter2" not in caplog.text
    assert f"Failed: {{'password': '{HIDDEN}'}} (7)" in caplog.text
    assert "Traceback (most recent call last)" in caplog.text


def test_the_app_logs_through_the_filter() -> None:
    assert any(isinstance(one, RedactingFilter) for one in logging.getLogger("django_workflows").filters)
