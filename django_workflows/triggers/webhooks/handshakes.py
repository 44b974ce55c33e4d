"""What senders ask of an address before they deliver to it: each answer proves that somebody here expects them.

| who | how it asks | the answer |
|---|---|---|
| slack | POST, signed: `{"type": "url_verification", "challenge": …}` | the challenge |
| zoom | POST, signed: `{"event": "endpoint.url_validation", …}` | the token, and its signature |
| event_grid | POST, with the secret of the scheme, `aeg-event-type: SubscriptionValidation` | the code |
| meta | GET `?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…` | the challenge, if the token is right |
| dropbox | GET `?challenge=…` | the challenge |
| microsoft | POST `?validationToken=…` | the token |

The last two prove nothing and start nothing: the text goes back as plain text, which no browser executes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from django_workflows import conf
from django_workflows.authoring.webhook_options import WebhookOptions
from django_workflows.triggers.webhooks.deliveries import Answer, Delivery, Refusal

BY_GET = frozenset({"meta", "dropbox"})
MOST_CHARACTERS = 2000


def before_it_is_read(method: str, query: Mapping[str, str], options: WebhookOptions) -> Answer | None:
    """The answer to a question that stands in the address; None when it is none. Raises `Refusal`."""
    match options.handshake:
        case "meta" if method == "GET" and query.get("hub.mode") == "subscribe":
            _check_token(query.get("hub.verify_token", ""), options)
            return _echo(query.get("hub.challenge", ""))
        case "dropbox" if method == "GET" and "challenge" in query:
            return _echo(query["challenge"])
        case "microsoft" if method == "POST" and "validationToken" in query:
            return _echo(query["validationToken"])
    return None


@sensitive_variables("secrets")
def when_it_is_verified(
    delivery: Delivery, data: Any, options: WebhookOptions, secrets: Sequence[str]
) -> Answer | None:
    """The answer to a question that stands in a body which comes from whom it says; None when it is none."""
    match options.handshake, data:
        case "slack", {"type": "url_verification", "challenge": str(challenge)}:
            return Answer(status=200, body={"challenge": challenge[:MOST_CHARACTERS]})
        case "zoom", {"event": "endpoint.url_validation", "payload": {"plainToken": str(token)}} if secrets:
            token = token[:MOST_CHARACTERS]
            signature = hmac.new(secrets[0].encode(), token.encode(), hashlib.sha256).hexdigest()
            return Answer(status=200, body={"plainToken": token, "encryptedToken": signature})
        case "event_grid", [{"data": {"validationCode": str(code)}}, *_rest] if _asks(delivery):
            return Answer(status=200, body={"validationResponse": code[:MOST_CHARACTERS]})
    return None


def _asks(delivery: Delivery) -> bool:
    return delivery.header("aeg-event-type") == "SubscriptionValidation"


@sensitive_variables("given", "secret")
def _check_token(given: str, options: WebhookOptions) -> None:
    found = False
    for secret in conf.webhook_secrets(options.token):
        found |= hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
    if not found:
        raise Refusal(401, "not-authenticated", _("The token of this question is missing or wrong."))


def _echo(text: str) -> Answer:
    if not text or not text.isprintable() or len(text) > MOST_CHARACTERS:
        raise Refusal(400, "malformed", _("The challenge is missing, or is no line of text."))
    return Answer(status=200, body=text)
