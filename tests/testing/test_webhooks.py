"""Tests of webhooks sign their deliveries as the senders do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_workflows.authoring.webhook_options import SCHEMES, options_of
from django_workflows.testing import sign_delivery
from django_workflows.triggers.webhooks import schemes
from django_workflows.triggers.webhooks.deliveries import Delivery

BODY = b'{"number": 1}'
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRETS = {"standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "basic": "ada:lovelace"}
SLACK = {"signed": "v0:{timestamp}:{body}", "timestamp_header": "X-At", "prefix": "v0=", "header": "X-Slack-Signature"}


@pytest.mark.parametrize(("scheme", "options"), [*((name, {}) for name in SCHEMES), ("hmac", SLACK)])
def test_a_signed_delivery_is_accepted(scheme: str, options: dict[str, Any]) -> None:
    secret = SECRETS.get(scheme, "the secret")
    headers = sign_delivery(scheme, BODY, secret, at=NOW, id="7", **options)
    delivery = Delivery(path="hook", headers={name.lower(): value for name, value in headers.items()}, body=BODY)
    schemes.verify(scheme, delivery, options_of(scheme, options), [secret], NOW)
    if scheme != "none":
        with pytest.raises(schemes.Unproven):
            schemes.verify(scheme, delivery, options_of(scheme, options), ["another"], NOW)


def test_the_moment_of_the_signature_can_be_chosen() -> None:
    headers = sign_delivery("stripe", BODY, "s", at=NOW - timedelta(minutes=6))
    delivery = Delivery(path="hook", headers={"stripe-signature": headers["Stripe-Signature"]}, body=BODY)
    with pytest.raises(schemes.Stale):
        schemes.verify("stripe", delivery, options_of("stripe", {}), ["s"], NOW)


def test_each_delivery_has_an_id_of_its_own() -> None:
    first, second = (sign_delivery("github", BODY, "s")["X-GitHub-Delivery"] for _ in range(2))
    assert first != second
