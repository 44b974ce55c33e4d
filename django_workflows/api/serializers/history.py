"""What happened to an execution, as it is answered."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from django_workflows.api import fields
from django_workflows.api.serializers.common import Shape, page_of
from django_workflows.api.serializers.executions import ExecutionError
from django_workflows.inspection import HistoryItem
from django_workflows.models import StepKind, StepResult, StepStatus


class HistoryDocument(Shape):
    """One thing that happened."""

    time = serializers.DateTimeField()
    type = serializers.CharField(help_text="lifecycle, step, error, signal, event, schedule or operator.")
    name = serializers.CharField()
    title = serializers.CharField(help_text="In words, in the language of the request.")
    step_key = serializers.CharField()
    position = serializers.CharField(help_text="Where it stands; `Last-Event-ID` of the stream.")
    data = fields.JsonObject(required=False, help_text="Only with the permission view_payload.")  # type: ignore[assignment]  # the metaclass takes fields out of the class


HistoryPage = page_of(HistoryDocument, "HistoryPage")


class StepDocument(Shape):
    """A row of the journal."""

    hidden = ("input", "output")

    id = serializers.UUIDField()
    key = serializers.CharField(help_text="Its scope and position in the workflow.")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=StepKind.values)
    status = serializers.ChoiceField(choices=StepStatus.values)
    former_status = serializers.CharField(help_text="What it had come to before it was superseded or forgotten.")
    superseded = serializers.IntegerField(help_text="The claim whose retry does it again; 0 while it counts.")
    generation = serializers.IntegerField()
    attempts = serializers.IntegerField()
    lost = serializers.IntegerField(help_text="Attempts that were lost with their worker.")
    worker = serializers.CharField(help_text="Of its last attempt: host and process.")
    child = serializers.UUIDField(source="child_id", allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    error = ExecutionError(allow_null=True)
    input = fields.Payload(required=False)
    output = fields.Payload(required=False)


StepPage = page_of(StepDocument, "StepPage")


class SpanDocument(Shape):
    """A bar in a drawing: from when to when, and within which other it lies."""

    id = serializers.CharField(help_text="The step's key, or `execution` for the whole.")
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # the metaclass takes fields out of the class
    name = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField(allow_null=True, help_text="Null while it lasts.")
    attempts = serializers.IntegerField()
    child = serializers.UUIDField(allow_null=True)


class TimelineDocument(Shape):
    """Spans for drawing."""

    now = serializers.DateTimeField(help_text="The database's time: where open spans end in the drawing.")
    spans = SpanDocument(many=True)
    complete = serializers.BooleanField(help_text="False when only the first spans are given.")


def history_document(item: HistoryItem, *, reveal: bool) -> dict[str, Any]:
    """One thing that happened."""
    found = {name: getattr(item, name) for name in ("time", "type", "name", "title", "step_key", "position")}
    return found | ({"data": dict(item.data)} if reveal else {})


def step_documents(steps: list[StepResult], *, reveal: bool) -> list[dict[str, Any]]:
    """Rows of the journal."""
    shape = StepDocument(context={"reveal": reveal})
    return [dict(shape.to_representation(step)) for step in steps]
