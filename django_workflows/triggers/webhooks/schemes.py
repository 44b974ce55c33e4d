"""Whether a delivery comes from whom it says: one function for each way to prove it.

Each compares over the raw body, in constant time, and text with text: two spellings of one signature (hexadecimal in
capitals, unused bits at the end of base64) are not the same. Several secrets are there for rotation: any one will do.
Without a secret everything is refused, after the same work.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from django.views.decorators.debug import sensitive_variables

from django_workflows.authoring.webhook_options import WebhookOptions
from django_workflows.triggers.webhooks.contents import FORM
from django_workflows.triggers.webhooks.deliveries import Delivery

HAS_STANDARD = importlib.util.find_spec("standardwebhooks") is not None
if HAS_STANDARD:
    from standardwebhooks import Webhook

INSTALL_STANDARD = 'verify="standard" needs the package standardwebhooks: pip install "django-workflows[webhooks]".'

TOLERANCE = timedelta(minutes=5)
_MOST_SIGNATURES = 20  # in one header; a sender that rotates its key sends two

# Stands in for the secret that is not there, so that its absence takes as long as a wrong signature.
_NO_SECRET = "whsec_" + base64.b64encode(b"no secret is configured").decode()


class Unproven(Exception):
    """The delivery proves nothing. The message is for the log of the receiver."""


class Stale(Unproven):
    """The signature is right and the timestamp is not: replayed, or somebody's clock is wrong."""


Scheme = Callable[[Delivery, WebhookOptions, Sequence[str]], "datetime | None"]


@sensitive_variables("secrets", "usable")
def verify(scheme: str, delivery: Delivery, options: WebhookOptions, secrets: Sequence[str], now: datetime) -> None:
    """Raises `Unproven`; `Stale` where only the time is wrong. `now` is the database's."""
    if scheme == "none":
        return
    usable = [secret for secret in secrets if secret]
    signed_at = _SCHEMES[scheme](delivery, options, usable or [_NO_SECRET])
    if not usable:
        raise Unproven("no secret is configured")
    if signed_at is not None and abs(now - signed_at) > TOLERANCE:
        raise Stale(f"the timestamp is {signed_at:%Y-%m-%d %H:%M:%S} UTC, and it is {now:%Y-%m-%d %H:%M:%S}")


# signatures


@sensitive_variables("secrets")
def _hmac(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> datetime | None:
    given = delivery.header(options.header)
    if not given:
        raise Unproven(f"the header {options.header} is missing")
    content = signed_content(delivery, options)
    _compare([_bytes(given)], (options.prefix + sign(secret, content, options) for secret in secrets), options.header)
    return _moment(delivery.header(options.timestamp_header)) if options.timestamp_header else None


def signed_content(delivery: Delivery, options: WebhookOptions) -> bytes:
    """The bytes that are signed: the body, and what the options put around it."""
    values = {
        "{body}": delivery.body,
        "{timestamp}": _bytes(delivery.header(options.timestamp_header)),
        "{id}": _bytes(delivery.header(options.id_header)),
        "{url}": _bytes(options.url or delivery.url),
    }
    return b"".join(values.get(piece, piece.encode()) for piece in options.pieces)


@sensitive_variables("secret")
def sign(secret: str, content: bytes, options: WebhookOptions) -> str:
    """The signature of these bytes, as it is written in a header, without the prefix."""
    digest = hmac.new(secret.encode(), content, getattr(hashlib, options.hash)).digest()
    return digest.hex() if options.encoding == "hex" else base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class _Listed:
    """A header with the timestamp and signatures by name, as `t=1492774577,v1=5257a8…,v1=…`; others prove nothing."""

    between: str
    time: str
    signature: str
    joint: bytes  # between the timestamp and the body, where they are signed

    @sensitive_variables("secrets")
    def __call__(self, delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> datetime | None:
        listed = delivery.header(options.header).split(self.between)[:_MOST_SIGNATURES]
        parts = [part.partition("=") for part in listed]
        times = [value for name, _, value in parts if name.strip() == self.time]
        if len(times) != 1:
            raise Unproven(f"the header {options.header} is missing, or has no single timestamp")
        given = [_bytes(value) for name, _, value in parts if name.strip() == self.signature]
        content = _bytes(times[0]) + self.joint + delivery.body
        _compare(given, (sign(secret, content, options) for secret in secrets), options.header)
        return _moment(times[0])


_stripe = _Listed(",", "t", "v1", b".")
_paddle = _Listed(";", "ts", "h1", b":")


@sensitive_variables("secrets")
def _twilio(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> None:
    """The address, with or without its port, and the fields of the form in their order; else the body by its hash."""
    given = delivery.header(options.header)
    if not given:
        raise Unproven(f"the header {options.header} is missing")
    signed = twilio_content(delivery, options)
    _compare([_bytes(given)], (sign(secret, one, options) for secret in secrets for one in signed), options.header)


def twilio_content(delivery: Delivery, options: WebhookOptions) -> list[bytes]:
    """The bytes that Twilio may have signed; the first are those of the address as it stands."""
    parts = urlsplit(options.url or delivery.url)
    form = delivery.header("content-type").partition(";")[0].strip().lower() == FORM
    fields = _signed_fields(delivery.body) if form else ""
    if not form and not _names_its_body(parts.query, delivery.body):
        raise Unproven("the body is not the one whose hash stands in the address")
    host = parts.hostname or ""
    port = {"http": 80, "https": 443}.get(parts.scheme, 0)
    places = dict.fromkeys((parts.netloc, host, f"{host}:{parts.port or port}"))
    return [(parts._replace(netloc=place).geturl() + fields).encode() for place in places]


def _signed_fields(body: bytes) -> str:
    values: dict[str, set[str]] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        values.setdefault(name, set()).add(value)
    return "".join(f"{name}{value}" for name in sorted(values) for value in sorted(values[name]))


def _names_its_body(query: str, body: bytes) -> bool:
    """Whether what is no form is signed by its hash in the address; of no body there is nothing to be signed."""
    named = dict(parse_qsl(query)).get("bodySHA256", "")
    return hmac.compare_digest(_bytes(named), hashlib.sha256(body).hexdigest().encode()) if named else not body


@sensitive_variables("secrets")
def _standard(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> datetime | None:
    """Standard Webhooks. The package knows how a secret is written and what is signed; time and comparison are ours."""
    if not HAS_STANDARD:
        raise Unproven(INSTALL_STANDARD)
    id, time = delivery.header("webhook-id"), delivery.header("webhook-timestamp")
    given = delivery.header("webhook-signature").split(" ")[:_MOST_SIGNATURES]
    if not id.isascii() or not id or not time or given == [""]:
        raise Unproven("one of the headers webhook-id, webhook-timestamp and webhook-signature is missing")
    moment = _moment(time)
    if str(int(moment.timestamp())) != time:
        raise Unproven("the timestamp is not written as a number of seconds")
    try:
        text = delivery.body.decode()
    except UnicodeDecodeError:
        raise Unproven("the body is not UTF-8") from None
    _compare(map(_bytes, given), _standard_signatures(secrets, id, moment, text), "webhook-signature")
    return moment


@sensitive_variables("secrets", "secret")
def _standard_signatures(secrets: Sequence[str], id: str, moment: datetime, text: str) -> Iterable[str]:
    for secret in secrets:
        if is_standard_secret(secret):
            yield Webhook(secret).sign(id, moment, text)


@sensitive_variables("secret")
def is_standard_secret(secret: str) -> bool:
    """Whether it is base64, with "whsec_" before it or without."""
    try:
        return bool(base64.b64decode(secret.removeprefix("whsec_") + "=="))
    except (ValueError, binascii.Error):
        return False


# shared secrets


@sensitive_variables("secrets", "token")
def _bearer(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> None:
    kind, _, token = delivery.header(options.header).partition(" ")
    _compare([_bytes(token) if kind.lower() == "bearer" else b""], secrets, options.header)


@sensitive_variables("secrets", "encoded", "given")
def _basic(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> None:
    """The secret is "user:password"."""
    kind, _, encoded = delivery.header(options.header).partition(" ")
    try:
        given = base64.b64decode(_bytes(encoded), validate=True) if kind.lower() == "basic" else b""
    except (ValueError, binascii.Error):
        given = b""
    _compare([given], secrets, options.header)


@sensitive_variables("secrets")
def _api_key(delivery: Delivery, options: WebhookOptions, secrets: Sequence[str]) -> None:
    _compare([_bytes(delivery.header(options.header))], secrets, options.header)


# what they share


@sensitive_variables("given", "expected", "one", "other")
def _compare(given: Iterable[bytes], expected: Iterable[str], header: str) -> None:
    """Every pair is compared, so that the time tells nothing about which one fits."""
    found, given = False, list(given)
    for other in expected:
        for one in given:
            found |= hmac.compare_digest(one, other.encode())
    if not found:
        raise Unproven(f"the header {header} is missing or wrong")


def _moment(text: str) -> datetime:
    """Seconds since 1970, in ASCII digits only."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise Unproven("the timestamp is not a number of seconds")
    return datetime.fromtimestamp(int(text), UTC)


def _bytes(text: str) -> bytes:
    """What stood in a header: servers read its bytes as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


_SCHEMES: dict[str, Scheme] = {
    "standard": _standard,
    "github": _hmac,
    "stripe": _stripe,
    "slack": _hmac,
    "shopify": _hmac,
    "twilio": _twilio,
    "gitlab": _api_key,
    "paddle": _paddle,
    "square": _hmac,
    "hmac": _hmac,
    "bearer": _bearer,
    "basic": _basic,
    "api_key": _api_key,
}

NAMES = frozenset({*_SCHEMES, "none"})
SIGNED = frozenset(
    {"standard", "github", "stripe", "slack", "shopify", "twilio", "paddle", "square", "hmac"}
)  # what their senders say cannot be changed by others
