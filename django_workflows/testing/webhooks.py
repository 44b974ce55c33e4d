"""Deliveries signed as their senders sign them, for tests of webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django_workflows.authoring.webhook_options import options_of
from django_workflows.triggers.webhooks.contents import FORM
from django_workflows.triggers.webhooks.deliveries import Delivery
from django_workflows.triggers.webhooks.schemes import (
    HAS_STANDARD,
    INSTALL_STANDARD,
    sign,
    signed_content,
    twilio_content,
)

if HAS_STANDARD:
    from standardwebhooks import Webhook


def sign_delivery(
    verify: str, body: bytes, secret: str, *, id: str = "", at: datetime | None = None, **options: Any
) -> dict[str, str]:
    """The headers of a delivery to a webhook of this scheme and with these options.

    `id` is the sender's, a new one unless given; `at` the moment of the signature, now unless given. Where a scheme has
    no place for one of them (Stripe's id is in the body), it is left out. Twilio and Square sign the address too: give
    it as `url`. Twilio's deliveries are signed as forms, and say that they are.
    """
    chosen, id = options_of(verify, options), id or str(uuid4())
    seconds = str(int((at or datetime.now(UTC)).timestamp()))
    ids = {chosen.id_header: id} if chosen.id_header else {}
    match verify:
        case "standard":
            return ids | _standard(body, secret, id, int(seconds))
        case "stripe":
            signature = sign(secret, f"{seconds}.".encode() + body, chosen)
            return {chosen.header: f"t={seconds},v1={signature}"}
        case "paddle":
            signature = sign(secret, f"{seconds}:".encode() + body, chosen)
            return {chosen.header: f"ts={seconds};h1={signature}"}
        case "twilio":
            form = {"content-type": FORM}
            content = twilio_content(Delivery(path="", headers=form, body=body, url=chosen.url), chosen)[0]
            return ids | {"Content-Type": FORM, chosen.header: sign(secret, content, chosen)}
        case "github" | "slack" | "shopify" | "square" | "hmac":
            headers = ids | ({chosen.timestamp_header: seconds} if chosen.timestamp_header else {})
            lowered = {name.lower(): value for name, value in headers.items()}
            content = signed_content(Delivery(path="", headers=lowered, body=body), chosen)
            return headers | {chosen.header: chosen.prefix + sign(secret, content, chosen)}
        case "bearer":
            return ids | {chosen.header: f"Bearer {secret}"}
        case "basic":
            return ids | {chosen.header: f"Basic {base64.b64encode(secret.encode()).decode()}"}
        case "api_key" | "gitlab":
            return ids | {chosen.header: secret}
    return ids


def _standard(body: bytes, secret: str, id: str, seconds: int) -> dict[str, str]:
    if not HAS_STANDARD:
        raise ImportError(INSTALL_STANDARD)
    signature = Webhook(secret).sign(id, datetime.fromtimestamp(seconds, UTC), body.decode())
    return {"webhook-timestamp": str(seconds), "webhook-signature": signature}
