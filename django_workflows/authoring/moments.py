"""Moments as authors give them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.utils import timezone


def in_utc(moment: datetime) -> datetime:
    """`moment` in UTC; a naive one is in the project's default time zone."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone() if settings.USE_TZ else None)
    return moment.astimezone(UTC)
