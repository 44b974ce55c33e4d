"""What a webhook may say of its deliveries: checked where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import InvalidTrigger, webhook
from django_workflows.authoring.webhook_options import SCHEMES, options_of


def errors_of(**config: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidTrigger) as error:
        webhook("hook", **config)
    return error.value.errors


@pytest.mark.parametrize("scheme", sorted(SCHEMES.keys() - {"none"}))
def test_every_scheme_but_none_needs_a_secret(scheme: str) -> None:
    assert webhook("hook", verify=scheme, secret="IT").config["verify"] == scheme
    assert "config.secret" in errors_of(verify=scheme)


def test_none_must_be_said() -> None:
    assert "config.verify" in errors_of(verify="")
    assert webhook("hook", verify="none").config == {"verify": "none"}


def test_an_option_that_does_not_exist_names_those_that_do() -> None:
    assert errors_of(verify="github", secret="IT", header="X-Mine") == {
        "config.header": ["There is no such option for github. The options are: once_per."]
    }
    assert errors_of(verify="standard", secret="IT", colour=1) == {
        "config.colour": ["There is no such option for standard. It takes none."]
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("header", "X Mine"),
        ("header", "X-Mine\r\nX-Other"),
        ("header", ""),
        ("header", 1),
        ("hash", "md5"),
        ("hash", []),
        ("encoding", "rot13"),
        ("prefix", "a b"),
        ("prefix", "x" * 51),
        ("signed", "{timestamp}"),
        ("signed", "{body}{body}"),
        ("signed", "{body}{colour}"),
        ("signed", "{body.__class__}"),
        ("signed", None),
        ("timestamp_header", "X-At"),  # which is not signed
        ("id_header", "a:b"),
        ("id_field", "a..b"),
        ("id_field", ".".join("a" * 11)),
        ("once_per", "day"),
    ],
)
def test_options_that_cannot_work_are_refused(option: str, value: Any) -> None:
    assert set(errors_of(verify="hmac", secret="IT", **{option: value})) <= {f"config.{option}", "config.signed"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"signed": "{timestamp}.{body}"}, "timestamp_header"),
        ({"signed": "{id}.{body}"}, "id_header"),
        ({"id_header": "X-Id", "id_field": "id"}, "id_field"),
    ],
)
def test_options_that_need_each_other_are_given_together(options: dict[str, str], field: str) -> None:
    assert list(errors_of(verify="hmac", secret="IT", **options)) == [f"config.{field}"]


def test_a_signed_body_counts_once_unless_an_id_tells_more() -> None:
    assert options_of("hmac", {}).once_per == "body"
    assert options_of("hmac", {"id_header": "X-Id"}).once_per == "id"
    assert options_of("hmac", {"id_field": "id"}).once_per == "id"
    assert options_of("bearer", {}).once_per == "id"
    assert options_of("bearer", {"id_field": "id"}).id_header == ""
