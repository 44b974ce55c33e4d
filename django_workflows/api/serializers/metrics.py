"""Numbers, as they are answered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from django_workflows.api.serializers.common import Shape
from django_workflows.inspection.metrics import Metrics


class CountDocument(Shape):
    """Executions of one workflow in one status."""

    workflow = serializers.CharField()
    status = serializers.CharField()
    count = serializers.IntegerField()
    at_least = serializers.BooleanField(help_text="There are older ones that were not counted.")


class RatesDocument(Shape):
    """Executions per second over the window."""

    window = serializers.FloatField(help_text="Seconds.")
    started = serializers.FloatField()
    completed = serializers.FloatField()
    failed = serializers.FloatField()
    cancelled = serializers.FloatField()
    at_least = serializers.BooleanField()


class PercentilesDocument(Shape):
    """Seconds; null without a sample."""

    p50 = serializers.FloatField(allow_null=True)
    p90 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)
    count = serializers.IntegerField()


class BacklogDocument(Shape):
    """What is due in one queue."""

    queue = serializers.CharField()
    due = serializers.IntegerField()
    age = serializers.FloatField(help_text="Seconds for which the oldest has been due.")
    at_least = serializers.BooleanField()
    next_at = serializers.DateTimeField(allow_null=True)


class MetricsDocument(Shape):
    """How it goes."""

    time = serializers.DateTimeField()
    workflow = serializers.CharField()
    counts = CountDocument(many=True)
    rates = RatesDocument()
    wait = PercentilesDocument(help_text="From creation to the first worker, of the newest 1,000 that ended.")
    duration = PercentilesDocument(help_text="From creation to the end, of the same.")
    backlogs = BacklogDocument(many=True)


def document(metrics: Metrics) -> dict[str, Any]:
    """The numbers, spans in seconds."""
    found = asdict(metrics)
    found["rates"]["window"] = metrics.rates.window.total_seconds()
    for backlog, row in zip(metrics.backlogs, found["backlogs"], strict=True):
        row["age"] = backlog.age.total_seconds()
    return found
