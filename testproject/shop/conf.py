"""The shop's settings, read when they are needed."""

from __future__ import annotations

from django.conf import settings


def payment_url() -> str:
    """Where the payment provider answers."""
    return str(getattr(settings, "SHOP_PAYMENT_URL", "http://127.0.0.1:8090"))


def payment_timeout() -> float:
    """Seconds to wait for one answer of the provider."""
    return float(getattr(settings, "SHOP_PAYMENT_TIMEOUT", 10))


def approval_timeout() -> str:
    """How long a large order waits for its approval."""
    return str(getattr(settings, "SHOP_APPROVAL_TIMEOUT", "3 days"))


def courier_time() -> str:
    """How long a parcel waits for the courier."""
    return str(getattr(settings, "SHOP_COURIER_TIME", "1 day"))
