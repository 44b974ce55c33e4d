"""Events, signals and the feed, as they are answered."""

from __future__ import annotations

from dataclasses import fields as columns_of
from typing import Any

from rest_framework import serializers

from django_workflows.api import fields
from django_workflows.api.serializers.common import Shape
from django_workflows.inspection.sources import FeedItem
from django_workflows.models import Event

EXAMPLE: dict[str, Any] = {
    "id": "c1a7d8a8-1b7c-4c52-9b4e-6f5a0d1e2f33",
    "name": "order.created",
    "event_id": "order-42-created",
    "source": "shop",
    "deliver_at": "2026-01-01T12:00:00Z",
    "created_at": "2026-01-01T12:00:00Z",
}


class EventDocument(Shape):
    """An event that was published."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    event_id = serializers.CharField(allow_null=True, help_text="The publisher's own id.")
    source = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes fields out of the class
    deliver_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()


class EventsDocument(Shape):
    """The events of a batch."""

    events = EventDocument(many=True)


class RedrivenDocument(EventDocument):
    """An event that was to be dispatched again."""

    redriven = serializers.BooleanField(help_text="Whether it was set aside; of any other nothing was changed.")


class SignalDocument(Shape):
    """A message that was sent to one execution."""

    id = serializers.UUIDField()
    execution = serializers.UUIDField()
    number = serializers.IntegerField(help_text="How many messages the execution had got then.")
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class FeedDocument(Shape):
    """One thing that happened."""

    id = serializers.CharField(help_text="The same whenever it is read: for leaving out what came twice.")
    time = serializers.DateTimeField()
    type = serializers.CharField(help_text="event, step, schedule, error, lifecycle, operator or signal.")
    name = serializers.CharField()
    title = serializers.CharField()
    execution = serializers.UUIDField(allow_null=True, help_text="Null for a published event.")
    workflow = serializers.CharField(help_text="Empty for a published event.")
    step_key = serializers.CharField()
    data = fields.JsonObject(required=False, help_text="Only with the permission view_payload.")  # type: ignore[assignment]  # the metaclass takes fields out of the class


class FeedPageDocument(Shape):
    """What happened next. There is always a `cursor`: the feed has no end."""

    results = FeedDocument(many=True)
    next = serializers.CharField(help_text="Path and query of what follows.")
    cursor = serializers.CharField(help_text="The same as `after` for who builds the query himself.")
    more = serializers.BooleanField(help_text="Whether to ask again at once.")


def event_document(event: Event) -> dict[str, Any]:
    """A published event, without its data: who published it has them."""
    names = ("id", "name", "event_id", "source", "deliver_at", "created_at")
    return {name: getattr(event, name) for name in names}


def feed_document(item: FeedItem, *, reveal: bool) -> dict[str, Any]:
    """One thing that happened."""
    found = {column.name: getattr(item, column.name) for column in columns_of(item) if column.name != "data"}
    return found | ({"data": dict(item.data)} if reveal else {})
