"""The settings of servers, read when they are needed."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings


def certificate_lifetime() -> timedelta:
    """How long a certificate is used before it is renewed."""
    lifetime = getattr(settings, "SERVERS_CERTIFICATE_LIFETIME", timedelta(days=60))
    assert isinstance(lifetime, timedelta)
    return lifetime
