"""Triggers, as they are answered."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from django_workflows.api import fields
from django_workflows.api.serializers.common import Shape, page_of
from django_workflows.models import Trigger, TriggerOrigin, TriggerType

EXAMPLE: dict[str, Any] = {
    "id": "9d2f4a77-61a3-4f0c-9f2a-0d7c3b1c5e44",
    "workflow": "fulfil",
    "type": "event",
    "pattern": "order.created",
    "config": {"where": {"country": "DE"}},
    "origin": "operator",
    "enabled": True,
    "note": "",
    "broken": "",
    "broken_at": None,
    "retired_at": None,
    "last_triggered_at": None,
    "trigger_count": 0,
    "next_at": None,
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:00Z",
}


class TriggerDocument(Shape):
    """What starts a workflow from outside."""

    id = serializers.UUIDField()
    workflow = serializers.CharField()
    type = serializers.ChoiceField(choices=TriggerType.values)
    pattern = serializers.CharField()
    config = fields.AnyJson()
    origin = serializers.ChoiceField(choices=TriggerOrigin.values, help_text="Where it was made.")
    enabled = serializers.BooleanField()
    note = serializers.CharField(help_text="Why it is disabled.")
    broken = serializers.CharField(help_text="Why it can start nothing; empty when it can.")
    broken_at = serializers.DateTimeField(allow_null=True, help_text="Since when it can start nothing.")
    retired_at = serializers.DateTimeField(allow_null=True, help_text="Since when it is gone from the code.")
    last_triggered_at = serializers.DateTimeField(allow_null=True)
    trigger_count = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


TriggerPage = page_of(TriggerDocument, "TriggerPage")


def document(trigger: Trigger) -> dict[str, Any]:
    """One trigger."""
    return dict(TriggerDocument(trigger).data)
