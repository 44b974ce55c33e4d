"""Bodies as data, and which headers a workflow may see."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import SuspiciousOperation
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.translation import gettext as _

from django_workflows import codec, conf
from django_workflows.codec.redaction import is_secret
from django_workflows.exceptions import PayloadError, PayloadTooLarge
from django_workflows.triggers.webhooks.deliveries import Delivery, Refusal

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MOST_FIELDS = 1000
ID_LENGTH = 1000

_JSON = re.compile(r"(?:application|text)/(?:[\w.+-]+\+)?json")
_TEXT = re.compile(r"text/.*|(?:application|image)/(?:[\w.+-]+\+)?xml|application/(?:yaml|x-yaml|toml|x-ndjson)")

# Not whatever Python knows: some of its codecs take quadratic time.
_CHARSETS = {"utf-8": "utf-8-sig", "utf8": "utf-8-sig", "us-ascii": "ascii", "ascii": "ascii", "utf-16": "utf-16"}
_CHARSETS |= {name: name for name in ("latin-1", "latin1", "koi8-r", "koi8-u", "shift_jis", "euc-jp", "euc-kr", "big5")}
_CHARSETS |= {f"iso-8859-{number}": f"iso-8859-{number}" for number in range(1, 17) if number != 12}
_CHARSETS |= {f"windows-{number}": f"cp{number}" for number in range(1250, 1259)}
_CHARSETS |= {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "koi8_r": "koi8-r"}

# The fields in which a form may say its charset, when its Content-Type does not: HTML's, and PayPal's.
_CHARSET_FIELDS = ("_charset_", "charset")

# A workflow's input is shown to people and kept for long: what may open a door does not belong into it.
_SECRET = re.compile(
    r"auth|cookie|token|secret|passw|api-?key|session|csrf|xsrf|jwt|assertion|signature|credential|cert"
)
_OURS = re.compile(r"host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|via|forwarded")
_HOPS = re.compile(r"x-(?:forwarded|real|client|original)-.*|proxy-.*|sec-.*|remote-.*|x-remote-.*")


def read(delivery: Delivery) -> Any:
    """The body as JSON would have it: JSON itself, the fields of a form, a text; None for nothing.

    Raises `Refusal`: 400 for what is malformed, 415 for what is neither.
    """
    encoding = delivery.header("content-encoding").strip().lower()
    if encoding not in {"", "identity"}:
        raise Refusal(415, "unsupported-media-type", _("Send the body uncompressed, without Content-Encoding."))
    type = _ContentType(delivery.header("content-type"))
    if _JSON.fullmatch(type.name):
        return _json(delivery.body if type.is_utf8 else type.decode(delivery.body).encode())
    if not delivery.body:
        return None
    if type.name == FORM:
        return _form(type, delivery.body)
    if type.name == MULTIPART:
        return _multipart(type, delivery)
    if not type.name:
        return _json(delivery.body) if delivery.body.lstrip()[:1] in {b"{", b"["} else type.decode(delivery.body)
    if _TEXT.fullmatch(type.name):
        return type.decode(delivery.body)
    raise Refusal(
        415,
        "unsupported-media-type",
        _("Send JSON (Content-Type: application/json), a form (%(form)s) or a text.") % {"form": FORM},
    )


def check_size(data: Any) -> None:
    """Whether it can be stored. Raises `Refusal`: 413 for what is too large, 400 for what is too deep, or has NUL."""
    try:
        codec.encode(data, max_bytes=conf.max_payload_bytes(), max_depth=conf.max_payload_depth())
    except PayloadTooLarge as error:
        raise Refusal(413, "too-large", str(error)) from None
    except PayloadError as error:
        raise Refusal(400, "invalid", str(error)) from None


def headers_of(delivery: Delivery, used: str = "") -> dict[str, str]:
    """The headers that go into the input, by their names in lower case.

    Never those that hold a secret or a signature (`used` is the one of the scheme), nor those of servers in between.
    """
    return {
        name: value
        for name, value in delivery.headers.items()
        if name != used.lower()
        and not _SECRET.search(name)
        and not is_secret(name)
        and not _OURS.fullmatch(name)
        and not _HOPS.fullmatch(name)
    }


def field_of(data: Any, path: str) -> str:
    """The text or number that stands under a dotted key of the body; empty when there is none."""
    for key in path.split("."):
        data = data.get(key) if isinstance(data, Mapping) else None
    if isinstance(data, bool) or not isinstance(data, str | int):
        return ""
    return str(data) if isinstance(data, str) or -(10**18) < data < 10**18 else ""


class _ContentType:
    """A media type and its charset."""

    def __init__(self, header: str) -> None:
        message = Message()
        header = header[:200].encode("ascii", "ignore").decode()  # the name of a type has nothing else
        message["content-type"] = header
        self.name = message.get_content_type() if "/" in header else ""
        self.says_charset = message.get_param("charset") is not None
        self.charset = str(message.get_param("charset") or "utf-8").lower()

    @property
    def is_utf8(self) -> bool:
        return self.charset in {"utf-8", "utf8"}

    def charsets(self, fields: Iterable[tuple[str, str]]) -> Iterator[str]:
        """What a form may be written in: as its Content-Type says; else UTF-8, then as a field of it says."""
        yield self.charset
        if not self.says_charset:
            named = dict(fields)
            yield from (named[name].lower() for name in _CHARSET_FIELDS if named.get(name, "").lower() in _CHARSETS)

    def decode(self, body: bytes) -> str:
        try:
            return body.decode(_CHARSETS[self.charset])
        except (LookupError, ValueError):
            raise Refusal(400, "malformed", _("The body is not text in the charset of its Content-Type.")) from None


def _json(body: bytes) -> Any:
    try:
        return codec.decode(body.removeprefix(codecs.BOM_UTF8))
    except (PayloadError, ValueError, RecursionError):
        raise Refusal(400, "malformed", _("The body is no valid JSON.")) from None


def _form(type: _ContentType, body: bytes) -> dict[str, Any]:
    """The fields of a form. What is escaped in it is written in the same charset as what is not."""
    return _fields(_in_its_charset(type, _pairs(body.decode("latin-1"))))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names and values, each byte as one character: latin-1 has all of them."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, encoding="latin-1")
    except ValueError:
        raise Refusal(400, "malformed", _("The body is no valid form.")) from None


def _in_its_charset(type: _ContentType, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same pairs, as they were meant."""
    for charset in type.charsets(pairs):
        try:
            encoding = _CHARSETS[charset]
            return [(_meant(name, encoding), _meant(value, encoding)) for name, value in pairs]
        except (LookupError, ValueError):
            continue
    detail = _(
        "The fields are not in the charset %(charset)s. Name theirs in the Content-Type, or in a field `charset`."
    )
    raise Refusal(400, "malformed", detail % {"charset": type.charset[:50]})


def _meant(text: str, encoding: str) -> str:
    return text if text.isascii() and encoding != "utf-16" else text.encode("latin-1").decode(encoding)


def _multipart(type: _ContentType, delivery: Delivery) -> dict[str, Any]:
    """The fields of the other kind of form; files are left out, for they belong into a storage."""
    meta = {"CONTENT_TYPE": delivery.header("content-type"), "CONTENT_LENGTH": len(delivery.body)}
    try:
        fields = MultiPartParser(meta, BytesIO(delivery.body), [], "latin-1").parse()[0]
    except (MultiPartParserError, SuspiciousOperation, ValueError, LookupError):
        raise Refusal(400, "malformed", _("The body is no valid form.")) from None
    pairs = [(name, value) for name, values in fields.lists() for value in values]
    return _fields(_in_its_charset(type, pairs))


def _fields(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """By name; one that comes several times is a list."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def unwrap(delivery: Delivery, data: Any) -> Any:
    """What GitHub sends when its webhook is set to forms, and Slack of a button: the JSON in one field `payload`."""
    if _ContentType(delivery.header("content-type")).name == FORM and isinstance(data, Mapping):
        payload = data.get("payload")
        return _json(payload.encode()) if isinstance(payload, str) else data
    return data
