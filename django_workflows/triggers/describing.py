"""Triggers in words, for the pages and commands of people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from django_workflows.models import Trigger, TriggerType
from django_workflows.triggers.manual import upcoming
from django_workflows.triggers.planning import plan_of


def in_words(trigger: Trigger) -> str:
    """What it waits for; the bare pattern when a row makes no sense."""
    config: Mapping[str, Any] = trigger.config if isinstance(trigger.config, Mapping) else {}
    try:
        if trigger.type == TriggerType.SCHEDULE:
            return plan_of(trigger).schedule.in_words()
        if trigger.type == TriggerType.WEBHOOK:
            return _("POST webhooks/%(path)s, verified as %(scheme)s") % {
                "path": trigger.pattern,
                "scheme": config.get("verify", "?"),
            }
        filters = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in config.get("where", {}).items()]
    except (ValueError, TypeError, AttributeError):
        return trigger.pattern
    return f"{trigger.pattern} ({', '.join(filters)})" if filters else trigger.pattern


def state_of(trigger: Trigger) -> str:
    """One word: enabled, broken, disabled, or retired."""
    if trigger.retired_at is not None:
        return "retired"
    if not trigger.enabled:
        return "disabled"
    return "broken" if trigger.broken else "enabled"


def next_times(trigger: Trigger, count: int = 5) -> list[str]:
    """The next moments of a schedule in its own zone, as people write them."""
    config: Mapping[str, Any] = trigger.config if isinstance(trigger.config, Mapping) else {}
    zone = config.get("tz", "UTC")
    try:
        return [f"{_shown(moment, zone)} {zone}" for moment in upcoming(trigger, count)]
    except (ValueError, TypeError, LookupError, OSError):
        return []


def _shown(moment: datetime, zone: str) -> str:
    return date_format(moment.astimezone(ZoneInfo(zone)), "D j M Y H:i:s", use_l10n=False)
