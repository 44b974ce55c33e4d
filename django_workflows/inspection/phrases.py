"""Moments and spans in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from django_workflows.expressions.durations import format_duration

_MOMENT = timedelta(seconds=1)


def span(duration: timedelta) -> str:
    """A duration of at least a second: "2 d 3 h"; below that "1 s"."""
    return format_duration(max(duration, _MOMENT) // _MOMENT * _MOMENT)


def until(moment: datetime, now: datetime) -> str:
    """A moment to come: "2026-03-01 12:00 (in 2 d 3 h)", in the current time zone."""
    return _("%(moment)s (%(in)s)") % {"moment": stamp(moment), "in": in_span(moment - now)}


def in_span(duration: timedelta) -> str:
    """How soon: "in 12 s", or "now"."""
    return _("in %(span)s") % {"span": span(duration)} if duration >= _MOMENT else _("now")


def stamp(moment: datetime) -> str:
    """A moment to the minute, in the current time zone."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
