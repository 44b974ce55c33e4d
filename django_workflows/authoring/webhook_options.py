"""What a webhook may say about its deliveries: how they are signed, and what tells two of them apart. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

HASHES = ("sha256", "sha512", "sha384", "sha1")
ENCODINGS = ("hex", "base64")
ONCE_PER = ("id", "body")
HANDSHAKES = ("slack", "zoom", "meta", "dropbox", "microsoft", "event_grid")

_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_FIELD = re.compile(r"[^.\x00-\x1f]{1,100}(?:\.[^.\x00-\x1f]{1,100}){0,9}")
_PREFIX = re.compile(r"[\x21-\x7e]{0,50}")
_PIECES = re.compile(r"(\{body\}|\{timestamp\}|\{id\}|\{url\})")
_URL = re.compile(r"https?://[\x21-\x7e]{1,500}")
_NAME = re.compile(r"[^\x00-\x1f]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """How the deliveries of one webhook are verified and told apart.

    `header` holds the signature or the key. `hash`, `encoding` and `prefix` say how a signature is written, `signed`
    what it is made of: the raw "{body}", perhaps with "{timestamp}", "{id}" and "{url}", the address that the sender
    has, which is `url` where that is another than the one that arrives here. `id_header` or `id_field` (a dotted
    key in the body) holds the sender's id. `once_per` says what makes two deliveries the same one: "id", or "body".
    `handshake` names the sender whose question for an address is answered before it delivers; `token` the secret that
    it asks with.
    """

    header: str = ""
    hash: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str = ""
    id_header: str = ""
    id_field: str = ""
    once_per: str = "id"
    url: str = ""
    handshake: str = ""
    token: str = ""

    @property
    def pieces(self) -> list[str]:
        """What is signed, as literal texts and placeholders."""
        return [piece for piece in _PIECES.split(self.signed) if piece]


_SAME = ("id_header", "id_field", "once_per", "handshake", "token")
_SLACK = "X-Slack-Signature"

# By scheme: what it begins with, and which options it takes.
SCHEMES: dict[str, tuple[WebhookOptions, tuple[str, ...]]] = {
    "standard": (WebhookOptions(id_header="webhook-id"), ()),
    "github": (
        WebhookOptions(header="X-Hub-Signature-256", prefix="sha256=", id_header="X-GitHub-Delivery"),
        ("once_per",),
    ),
    "stripe": (WebhookOptions(header="Stripe-Signature", id_field="id"), ()),
    "slack": (
        WebhookOptions(
            header=_SLACK,
            prefix="v0=",
            signed="v0:{timestamp}:{body}",
            timestamp_header="X-Slack-Request-Timestamp",
            id_field="event_id",
            handshake="slack",
        ),
        ("once_per",),
    ),
    "shopify": (
        WebhookOptions(header="X-Shopify-Hmac-Sha256", encoding="base64", id_header="X-Shopify-Webhook-Id"),
        ("once_per",),
    ),
    "twilio": (
        WebhookOptions(
            header="X-Twilio-Signature", hash="sha1", encoding="base64", id_header="I-Twilio-Idempotency-Token"
        ),
        ("once_per", "url"),
    ),
    "gitlab": (WebhookOptions(header="X-Gitlab-Token", id_header="Idempotency-Key"), ("once_per", "id_header")),
    "paddle": (WebhookOptions(header="Paddle-Signature", id_field="event_id"), ()),
    "square": (
        WebhookOptions(
            header="X-Square-HmacSha256-Signature", encoding="base64", signed="{url}{body}", id_field="event_id"
        ),
        ("url",),
    ),
    "hmac": (
        WebhookOptions(header="X-Signature"),
        ("header", "hash", "encoding", "prefix", "signed", "timestamp_header", "url", *_SAME),
    ),
    "bearer": (WebhookOptions(header="Authorization", id_header="Idempotency-Key"), _SAME),
    "basic": (WebhookOptions(header="Authorization", id_header="Idempotency-Key"), _SAME),
    "api_key": (WebhookOptions(header="X-API-Key", id_header="Idempotency-Key"), ("header", *_SAME)),
    "none": (WebhookOptions(id_header="Idempotency-Key"), _SAME),
}


def is_path(text: str) -> bool:
    """Whether a webhook may have this path: parts with single slashes between them."""
    return _PATH.fullmatch(text) is not None and not any(set(part) == {"."} for part in text.split("/"))


def options_of(scheme: str, given: Mapping[str, Any]) -> WebhookOptions:
    """The options in force; `given` may hold more than options, and has been checked by `problems_with`."""
    preset, allowed = SCHEMES[scheme]
    chosen = {name: given[name] for name in allowed if name in given}
    if "id_field" in chosen and "id_header" not in chosen:
        chosen["id_header"] = ""
    if scheme == "hmac" and "once_per" not in chosen and not (chosen.get("id_header") or chosen.get("id_field")):
        chosen["once_per"] = "body"  # nothing else tells a repetition from a new delivery
    if scheme == "hmac" and chosen.get("header", "").lower() == _SLACK.lower():
        chosen.setdefault("handshake", "slack")  # it accepts no address without
    return replace(preset, **chosen)


def problems_with(scheme: str, given: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with the options, by name."""
    allowed = SCHEMES[scheme][1]
    known = f"The options are: {', '.join(allowed)}." if allowed else "It takes none."
    problems = {name: [f"There is no such option for {scheme}. {known}"] for name in given if name not in allowed}
    for name, value in given.items():
        if name in allowed and (problem := _RULES[name](value)) is not None:
            problems[name] = [problem]
    return problems or _together(scheme, options_of(scheme, given))


def _together(scheme: str, options: WebhookOptions) -> dict[str, list[str]]:
    """What cannot be seen in one option alone."""
    pieces = options.pieces
    if "{timestamp}" in pieces and not options.timestamp_header:
        return {"timestamp_header": ["names the header with the timestamp that is signed."]}
    if options.timestamp_header and "{timestamp}" not in pieces:
        return {"signed": ["must contain {timestamp}: one that is not signed can be forged, and protects nothing."]}
    if "{id}" in pieces and not options.id_header:
        return {"id_header": ["names the header with the id that is signed."]}
    if scheme == "hmac" and options.url and "{url}" not in pieces:
        return {"signed": ["must contain {url}, else `url` says nothing."]}
    if (options.handshake == "meta") is not bool(options.token):
        return {"token": ['names the entry of WORKFLOWS["WEBHOOK_SECRETS"] with which "meta" asks; only it needs one.']}
    if options.handshake == "zoom" and scheme != "hmac":
        return {"handshake": ['zoom is answered with a signature: it needs verify="hmac".']}
    if options.id_header and options.id_field:
        return {"id_field": ["Give either `id_header` or `id_field`."]}
    return {}


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str | None]:
    def rule(value: Any) -> str | None:
        return None if isinstance(value, str) and pattern.fullmatch(value) else f"{expected}, not {value!r:.60}."

    return rule


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str | None]:
    def rule(value: Any) -> str | None:
        return None if value in allowed else f"must be one of {', '.join(allowed)}, not {value!r:.60}."

    return rule


def _signed(value: Any) -> str | None:
    pieces = _PIECES.split(value) if isinstance(value, str) and len(value) <= 200 else []
    if pieces.count("{body}") != 1:
        return 'must contain {body} once, like "{timestamp}.{body}".'
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        return "has other braces than those of {body}, {timestamp}, {id} and {url}."
    return None


def _url(value: Any) -> str | None:
    """Also its port must be one, which nobody sees in the text."""
    try:
        parts = urlsplit(value) if isinstance(value, str) and _URL.fullmatch(value) else None
        if parts is not None and parts.hostname and parts.port != 0:
            return None
    except ValueError:
        pass
    return f'must be the whole address that the sender has: "https://example.com/api/webhooks/x", not {value!r:.60}.'


_header = _matching(_HEADER, "must be the name of a header: letters, digits and -")

_RULES: dict[str, Callable[[Any], str | None]] = {
    "header": _header,
    "hash": _one_of(HASHES),
    "encoding": _one_of(ENCODINGS),
    "prefix": _matching(_PREFIX, 'must be a short text without spaces, like "sha256="'),
    "signed": _signed,
    "timestamp_header": _header,
    "id_header": _header,
    "id_field": _matching(_FIELD, 'must be a key of the body, dotted for inner ones: "event.id"'),
    "once_per": _one_of(ONCE_PER),
    "url": _url,
    "handshake": _one_of(HANDSHAKES),
    "token": _matching(_NAME, 'must be the name of an entry of WORKFLOWS["WEBHOOK_SECRETS"]'),
}

assert _RULES.keys() == {field.name for field in fields(WebhookOptions)}
