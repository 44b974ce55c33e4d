"""One delivery from beginning to end: found, read, verified, understood, started once, answered after the commit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from django_workflows import conf
from django_workflows.authoring.names import KEY_LENGTH, problem_with
from django_workflows.authoring.webhook_options import WebhookOptions, is_path, options_of, problems_with
from django_workflows.clock import DatabaseNow
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.exceptions import InvalidInput, PayloadError
from django_workflows.models import Trigger, TriggerType
from django_workflows.triggers import starting
from django_workflows.triggers.payloads import Received
from django_workflows.triggers.webhooks import contents, handshakes, schemes
from django_workflows.triggers.webhooks.deliveries import Answer, Delivery, Refusal
from django_workflows.triggers.webhooks.storing import store

logger = logging.getLogger("django_workflows")

_NO_OPTIONS = {"verify", "secret", "event", "input"}
_UNWRAPPED = {"github", "slack"}
_MOST_ERRORS = 20
_LATER = {"Retry-After": "60"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the web server has it. `read(n)` gives at most `n` bytes of the body, all of it if it is shorter."""

    path: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    read: Callable[[int], bytes] = field(repr=False)
    url: str = field(default="", repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


def receive(request: Request) -> Answer:
    """Start what the webhook of this path triggers. Raises `Refusal`.

    202 for an execution that is new, 200 for a delivery that was there before; both are committed by then. 200 too for
    what a sender asks before it delivers, which starts nothing.
    """
    if request.method not in {"POST", "GET"}:
        raise _not_allowed()
    try:
        if request.method == "GET":
            return _answer_get(request)
        trigger, now = _find(request.path)
        options = _options(trigger)
        if (answer := handshakes.before_it_is_read(request.method, request.query, options)) is not None:
            return answer
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = _read_body(request, headers)
        delivery = Delivery(path=trigger.pattern, headers=headers, body=body, url=request.url)
        _verify(trigger, delivery, options, now)
        return _accept(trigger, delivery, options, now)
    except (OperationalError, InterfaceError, AmbiguousCommit, ConnectionLost) as error:
        logger.error("A delivery to the webhook %r was not stored: the database did not answer", request.path[:200])
        raise Refusal(503, "database-unavailable", _("Deliver it again later."), headers=_LATER) from error


def _answer_get(request: Request) -> Answer:
    """Some senders ask with GET; whoever else does learns nothing, not even whether there is a webhook."""
    try:
        options = _options(_find(request.path)[0])
    except Refusal:
        raise _not_allowed() from None
    if options.handshake not in handshakes.BY_GET:
        raise _not_allowed()
    answer = handshakes.before_it_is_read(request.method, request.query, options)
    if answer is None:
        raise _not_allowed()
    return answer


def _not_allowed() -> Refusal:
    return Refusal(405, "method-not-allowed", _("Deliver with POST."), headers={"Allow": "POST"})


# found, read, verified


def _find(path: str) -> tuple[Trigger, datetime]:
    """The active webhook of this path, and the database's time. One that is disabled is as unknown as any other."""
    path = path.removesuffix("/")
    if is_path(path):
        active = Trigger.objects.using(conf.database()).filter(
            type=TriggerType.WEBHOOK, pattern=path, enabled=True, retired_at=None
        )
        for trigger in active.annotate(moment=DatabaseNow())[:1]:
            if isinstance(trigger.config, Mapping):
                return trigger, trigger.moment
    raise Refusal(404, "not-found", _("There is no webhook here."))


def _options(trigger: Trigger) -> WebhookOptions:
    """How it is verified. What a row holds that nobody has checked proves nothing."""
    config: Mapping[str, Any] = trigger.config
    scheme = str(config.get("verify"))
    given = {name: value for name, value in config.items() if name not in _NO_OPTIONS}
    if scheme not in schemes.NAMES or problems_with(scheme, given):
        logger.error("The webhook %r is verified in a way that does not exist: %r", trigger.pattern, scheme)
        raise _unproven()
    return options_of(scheme, config)


def _read_body(request: Request, headers: Mapping[str, str]) -> bytes:
    """The body, read no further than the limit."""
    most, announced = conf.webhook_max_body_bytes(), headers.get("content-length", "")
    too_long = announced.isdecimal() and (len(announced) > 18 or int(announced) > most)
    body = b"" if too_long else request.read(most + 1)
    if too_long or len(body) > most:
        raise Refusal(413, "too-large", _("The body is larger than %(most)s bytes.") % {"most": f"{most:,}"})
    if announced.isdecimal() and len(body) < int(announced):
        if body:
            raise Refusal(400, "malformed", _("The body did not arrive whole."))
        raise body_is_gone(_("something in front of Django"))
    return body


def body_is_gone(who: str) -> Refusal:
    """Somebody has read the body before the webhook could. Not accepted: what was delivered would be lost."""
    logger.error("A delivery was refused: its body had been read by %s before the webhook could. Use request.body", who)
    detail = _("The body had been read by %(who)s before the webhook could; there request.body must be used.")
    return Refusal(500, "body-read", detail % {"who": who})


@sensitive_variables("secrets")
def _verify(trigger: Trigger, delivery: Delivery, options: WebhookOptions, now: datetime) -> None:
    """All that is wrong has one answer, except for the clock of a sender who knows the secret."""
    secrets = conf.webhook_secrets(str(trigger.config.get("secret", "")))
    try:
        schemes.verify(trigger.config["verify"], delivery, options, secrets, now)
    except schemes.Stale as error:
        logger.warning("A delivery to the webhook %r was refused: %s", trigger.pattern, error)
        detail = _("The timestamp is more than five minutes away from our time. Sign it anew.")
        raise Refusal(401, "stale", detail) from None
    except schemes.Unproven as error:
        logger.warning("A delivery to the webhook %r was refused: %s", trigger.pattern, error)
        raise _unproven() from None


def _unproven() -> Refusal:
    return Refusal(401, "not-authenticated", _("The signature or secret of this delivery is missing or wrong."))


# understood


@sensitive_variables("secrets")
def _accept(trigger: Trigger, delivery: Delivery, options: WebhookOptions, now: datetime) -> Answer:
    """Answer what the sender asks, or start what it delivers."""
    data = contents.read(delivery)
    if trigger.config["verify"] in _UNWRAPPED:
        data = contents.unwrap(delivery, data)
    if options.handshake:
        secrets = conf.webhook_secrets(str(trigger.config.get("secret", "")))
        if (answer := handshakes.when_it_is_verified(delivery, data, options, secrets)) is not None:
            return answer
    contents.check_size(data)
    return _start(trigger, _received(trigger, delivery, options, now, data))


def _received(trigger: Trigger, delivery: Delivery, options: WebhookOptions, now: datetime, data: Any) -> Received:
    return Received(
        id=_id(trigger, delivery, options, data),
        name=trigger.config.get("event") or trigger.pattern,
        data=data,
        source="webhook",
        time=now,
        headers=contents.headers_of(delivery, options.header),
    )


def _id(trigger: Trigger, delivery: Delivery, options: WebhookOptions, data: Any) -> str:
    """What makes this delivery the same as another: the sender's id, or a hash of the body.

    Where the body is signed and there is no id, the body counts: who leaves the id out must not start twice what was
    delivered once. Without a signature nothing tells two equal bodies apart from one sent twice: both count.
    """
    if options.once_per == "id":
        given = delivery.header(options.id_header) if options.id_header else contents.field_of(data, options.id_field)
        if given := given.strip():
            return given if problem_with(given, KEY_LENGTH) is None else _hash(given.encode("utf-8", "replace"))
        if trigger.config["verify"] not in schemes.SIGNED:
            return str(uuid4())
    return _hash(delivery.body)


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def key_of(path: str, id: str) -> str:
    """The idempotency key of a delivery: readable, unless that would be too long."""
    key = f"webhook:{path}:{id}"
    return key if len(key) <= KEY_LENGTH else f"webhook:{_hash(key.encode())}"


# started


def _start(trigger: Trigger, received: Received) -> Answer:
    key = key_of(trigger.pattern, received.id)
    try:
        execution, is_new = store(trigger, received, key)
    except InvalidInput as error:
        shortened = InvalidInput(dict(list(error.errors.items())[:_MOST_ERRORS]))  # a sender may send any number
        starting.record_failure(trigger, received, shortened)
        errors = [(name, text) for name, texts in shortened.errors.items() for text in texts]
        raise Refusal(400, "invalid", _("The body does not fit the workflow."), errors=errors) from None
    except PayloadError as error:  # with what the trigger adds to the body
        starting.record_failure(trigger, received, error)
        raise Refusal(413, "too-large", str(error)) from None
    except starting.REFUSED as error:
        # disabled, or unknown to this process while a deploy is under way: the sender shall keep it and try again
        starting.record_failure(trigger, received, error)
        raise Refusal(503, "not-started", _("Not accepted at the moment. Deliver it later."), headers=_LATER) from None
    body = {"execution": str(execution.pk), "delivery": received.id, "duplicate": not is_new}
    return Answer(status=202 if is_new else 200, body=body)
