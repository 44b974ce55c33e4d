"""The settings of the newsletter, read when they are needed."""

from __future__ import annotations

from django.conf import settings


def interval() -> str:
    """How long after one issue the next one follows."""
    return str(getattr(settings, "NEWSLETTER_INTERVAL", "30 days"))
