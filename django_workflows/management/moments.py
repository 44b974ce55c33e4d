"""Moments for people in a terminal: as short as can be, or in full."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def in_words(moment: datetime | None, *, full: bool = False) -> str:
    """Local time: of today's moments the time, of this year's the day and the minute, else the date; or all of it."""
    if moment is None:
        return ""
    local, today = timezone.localtime(moment), timezone.localtime()
    if full:
        return local.isoformat(" ", "milliseconds")
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"
