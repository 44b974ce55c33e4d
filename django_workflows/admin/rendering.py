"""Badges, payloads, errors and durations, as text and HTML. All is escaped; nothing here fails on any value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from django_workflows import codec
from django_workflows.expressions.durations import format_duration
from django_workflows.models.fields import Undecodable

# Beyond so many characters a value is cut: a page holds many of them.
MOST_CHARACTERS = 50_000
LINE = 120

_SECOND = timedelta(seconds=1)
_EXACT = 10 * _SECOND  # what takes longer is told without milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A payload as a page shows it: indented JSON, or what is left of a damaged one."""

    label: str
    text: str
    damaged: bool = False
    cut: bool = False


def badge(status: str, label: str) -> SafeString:
    """A status as a small coloured label."""
    return format_html('<span class="workflows-badge workflows-{}">{}</span>', status, label)


def shown(label: str, value: Any, limit: int = MOST_CHARACTERS, *, as_written: bool = False) -> Shown:
    """A payload as read from its column; `as_written` with what `REDACT` would hide."""
    if isinstance(value, Undecodable):
        return Shown(label=label, text=codec.redact_text(value)[:limit], damaged=True, cut=len(value) > limit)
    text = json.dumps(value if as_written else codec.redact(value), indent=2, ensure_ascii=False, default=str)
    return Shown(label=label, text=text[:limit], cut=len(text) > limit)


def shown_text(label: str, text: str, limit: int) -> Shown:
    """A payload of which only the first `limit` characters and one more were read."""
    if len(text) > limit:
        return Shown(label=label, text=codec.redact_text(text)[:limit], cut=True)
    try:
        return shown(label, json.loads(text), limit * 4)
    except (ValueError, RecursionError):
        return Shown(label=label, text=codec.redact_text(text), damaged=True)


def as_html(value: Any, *, as_written: bool = False) -> SafeString | str:
    """A payload for a read-only field; `as_written` as in `shown`."""
    if value is None:
        return "–"
    text = shown("", value, as_written=as_written)
    mark = (
        format_html('<p class="workflows-damaged">{}</p>', _("This is not the JSON it should be."))
        if text.damaged
        else ""
    )
    return format_html('{}<pre class="workflows-payload">{}</pre>', mark, text.text)


def error_line(error: Any, *, reveal: bool) -> str:
    """An error in one line; without `reveal` only its type, as the message may quote data."""
    error = codec.redact(error)
    if error is None:
        return ""
    if not isinstance(error, Mapping):
        return Truncator(" ".join(str(error).split())).chars(LINE) if reveal else _("unknown")
    kind = str(error.get("type") or _("unknown"))
    if not reveal or not error.get("message"):
        return Truncator(kind).chars(LINE)
    return Truncator(" ".join(f"{kind}: {error['message']}".split())).chars(LINE)


def traceback_of(error: Any) -> str:
    """The traceback of a stored exception, or nothing."""
    text = error.get("traceback") if isinstance(error, Mapping) else None
    return codec.redact_text(text)[:MOST_CHARACTERS] if isinstance(text, str) else ""


def took(start: datetime | None, end: datetime | None) -> str:
    """How long something has taken; nothing when it has not begun."""
    if start is None or end is None:
        return ""
    duration = max(end - start, timedelta(0))
    return format_duration(duration if duration < _EXACT else duration // _SECOND * _SECOND)


def tags_of(tags: Any) -> str:
    """Tags in one line; a damaged column as it is."""
    if not isinstance(tags, Mapping):
        return str(tags)
    return ", ".join(f"{name}={value}" for name, value in tags.items())


def link_to(model: type[Model], pk: object, text: object) -> SafeString | str:
    """A link to the admin page of a row; the bare text where that page is not registered."""
    try:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
    except NoReverseMatch:
        return str(text)
    return format_html('<a href="{}">{}</a>', url, text)
