"""Executions, as they are answered."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from django_workflows.api import fields
from django_workflows.api.openapi import schema_of
from django_workflows.api.serializers.common import ErrorField, Shape, page_of
from django_workflows.models import Execution, Status

EXAMPLE: dict[str, Any] = {
    "id": "0b54a4b5-6a8c-4d4e-9a39-6d8a3a6f6c11",
    "workflow": "fulfil",
    "version": 1,
    "status": "waiting",
    "requested": "",
    "key": "order-42",
    "idempotency_key": None,
    "tags": {"tenant": "acme"},
    "queue": "default",
    "priority": 0,
    "current_step": "delivered",
    "generation": 0,
    "parent": None,
    "trigger": None,
    "wake_at": "2026-01-31T12:00:00Z",
    "deadline": None,
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:01Z",
    "started_at": "2026-01-01T12:00:00Z",
    "completed_at": None,
    "allowed": ["pause", "cancel", "signal"],
    "error": None,
    "reason": "",
}


@schema_of({"type": "array", "items": {"type": "string"}})
class Allowed(fields.AnyJson):
    """The verbs that apply now."""


@schema_of(
    {
        "type": ["object", "null"],
        "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "traceback": {"type": "string"}},
        "required": ["type"],
    }
)
class ExecutionError(ErrorField):
    """Without the permission to see payloads only the type."""


class ExecutionSummary(Shape):
    """An execution in a list: without input, output and state, which may be large."""

    hidden: ClassVar[tuple[str, ...]] = ("reason",)

    id = serializers.UUIDField()
    workflow = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.values)
    requested = serializers.CharField(help_text="The verb that a worker is about to carry out; empty for none.")
    key = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField(allow_null=True)
    tags = fields.JsonObject()
    queue = serializers.CharField()
    priority = serializers.IntegerField()
    current_step = serializers.CharField()
    generation = serializers.IntegerField()
    parent = serializers.UUIDField(source="parent_id", allow_null=True)  # type: ignore[assignment]  # the metaclass takes fields out of the class
    trigger = serializers.UUIDField(source="trigger_id", allow_null=True)
    wake_at = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    allowed = Allowed(source="allowed_verbs", help_text="The verbs that apply now.")
    error = ExecutionError(allow_null=True)
    reason = fields.Reason(required=False, help_text="Only with the permission view_payload.")


class ExecutionDocument(ExecutionSummary):
    """An execution with all there is to know; input, output, state and reason only with the permission view_payload."""

    hidden: ClassVar[tuple[str, ...]] = ("reason", "input", "output", "state")

    input = fields.Payload(required=False)
    output = fields.Payload(required=False)
    state = fields.Payload(required=False, help_text="What the workflow publishes.")


class ExecutionDetail(ExecutionDocument):
    """The same, and why it does not move."""

    why = serializers.CharField(help_text="Why it does not move, in words; empty when it has finished.")


ExecutionPage = page_of(ExecutionSummary, "ExecutionPage")


def document(execution: Execution, *, reveal: bool) -> dict[str, Any]:
    """One execution."""
    return dict(ExecutionDocument(execution, context={"reveal": reveal}).data)


def summaries(executions: Any, *, reveal: bool) -> list[dict[str, Any]]:
    """Executions in a list."""
    shape = ExecutionSummary(context={"reveal": reveal})
    return [dict(shape.to_representation(execution)) for execution in executions]


def detail(execution: Execution, why: str, *, reveal: bool) -> dict[str, Any]:
    """One execution, and why it does not move."""
    return document(execution, reveal=reveal) | {"why": why}


class ResultDocument(Shape):
    """How an execution ended, or that it has not."""

    id = serializers.UUIDField()
    workflow = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.values)
    finished = serializers.BooleanField()
    output = fields.Payload(required=False, help_text="Only with the permission view_payload.")
    error = ExecutionError(allow_null=True)
    reason = fields.Reason(required=False, help_text="Only with the permission view_payload.")
