"""Workflows and their versions, as they are answered."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from django_workflows.api import fields
from django_workflows.api.openapi import schema_of
from django_workflows.api.serializers.common import Shape, page_of
from django_workflows.models import Workflow, WorkflowVersion

EXAMPLE: dict[str, Any] = {
    "id": "5b0f7a51-5a40-4c6c-8d84-0a4c0c8f9d11",
    "name": "fulfil",
    "description": "From the imported order to the parcel at the customer's door.",
    "tags": ["shop"],
    "version": 1,
    "kind": "code",
    "queue": "",
    "timeout": None,
    "on_error": "fail",
    "enabled": True,
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:00Z",
}


# The format has its own page and its own errors, by path.
DEFINITION: dict[str, Any] = {"type": "object", "additionalProperties": {}}
DEFINITION_EXAMPLE: dict[str, Any] = {
    "name": "onboarding",
    "steps": [
        {"id": "create", "action": "crm.create_user", "input": {"email": "$.input.email"}},
        {"id": "pause", "sleep": "5 minutes"},
    ],
}


@schema_of({"type": "array", "items": {"type": "string"}})
class Texts(fields.AnyJson):
    """A list of texts."""


class WorkflowSummary(Shape):
    """A workflow."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    tags = Texts()
    version = serializers.IntegerField()
    queue = serializers.CharField()
    timeout = serializers.FloatField(allow_null=True, help_text="Seconds.")
    on_error = serializers.CharField()
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class WorkflowDocument(WorkflowSummary):
    """A workflow and, when it is data, its current definition."""

    kind = serializers.ChoiceField(choices=["code", "definition"])
    definition = fields.AnyJson(help_text="Null when it is code.")


WorkflowPage = page_of(WorkflowSummary, "WorkflowPage")


class VersionDocument(Shape):
    """One version, and how many executions there are on it."""

    version = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["code", "definition"])
    definition = fields.AnyJson(help_text="Null when it is code.")
    fingerprint = serializers.CharField(help_text="Of the code.")
    created_at = serializers.DateTimeField()
    executions = serializers.IntegerField(help_text="Counted among the newest 10,000 of the workflow.")
    at_least = serializers.BooleanField(help_text="There are older ones that were not counted.")


VersionPage = page_of(VersionDocument, "VersionPage")


def summary(workflow: Workflow) -> dict[str, Any]:
    """A workflow in a list."""
    names = ("id", "name", "description", "version", "queue", "on_error", "enabled", "created_at", "updated_at")
    found = {name: getattr(workflow, name) for name in names}
    timeout = None if workflow.timeout is None else workflow.timeout.total_seconds()
    return found | {"tags": list(workflow.tags or ()), "timeout": timeout}


def document(workflow: Workflow, current: WorkflowVersion | None) -> dict[str, Any]:
    """A workflow with its definition."""
    definition = current.definition if current is not None else None
    return summary(workflow) | {"kind": _kind(definition), "definition": definition}


def version(row: WorkflowVersion, executions: int, *, at_least: bool) -> dict[str, Any]:
    """One version."""
    return {
        "version": row.version,
        "kind": _kind(row.definition),
        "definition": row.definition,
        "fingerprint": row.fingerprint,
        "created_at": row.created_at,
        "executions": executions,
        "at_least": at_least,
    }


def _kind(definition: Any) -> str:
    return "code" if definition is None else "definition"
