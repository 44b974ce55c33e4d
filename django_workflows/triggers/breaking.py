"""Schedules that can start nothing look broken, in their row and in the log of events, until the cause is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_workflows.clock import DatabaseNow
from django_workflows.codec import redact_text
from django_workflows.models import TRIGGER_BROKEN, Event, EventType, Trigger

LONGEST = 1_000


def tell_broken(alias: str, trigger: Trigger, reason: str, now: datetime) -> None:
    """Note why, once for each cause; in the transaction that has locked the row."""
    reason = redact_text(reason)[:LONGEST].replace("\0", "")
    if trigger.broken == reason:
        return
    Trigger.objects.using(alias).filter(pk=trigger.pk).update(broken=reason, broken_at=now)
    data: Any = {
        "trigger": str(trigger.pk),
        "type": trigger.type,
        "pattern": trigger.pattern,
        "workflow": trigger.workflow,
        "reason": reason,
    }
    Event.objects.using(alias).create(
        type=EventType.ERROR, name=TRIGGER_BROKEN, data=data, source=f"trigger {trigger.pk}", created_at=DatabaseNow()
    )


def heal(alias: str, trigger: Trigger) -> None:
    """It works (again); costs nothing where it did before."""
    if trigger.broken:
        Trigger.objects.using(alias).filter(pk=trigger.pk).update(broken="", broken_at=None)
