"""What the tests of triggers share."""

from __future__ import annotations

from typing import Any

from django_workflows.models import Event, Execution, Trigger
from django_workflows.triggers import registering


def listen(workflow: Any, pattern: str, **where: Any) -> Trigger:
    """A trigger of an operator that starts a workflow on events."""
    return registering.create(
        getattr(workflow, "name", workflow), "event", pattern, {"where": where} if where else None
    )


def inputs(workflow: Any) -> list[Any]:
    """What the executions of a workflow were started with, in order."""
    name = getattr(workflow, "name", workflow)
    return [row.input for row in Execution.objects.filter(workflow=name).order_by("created_at", "id")]


def failures() -> list[Any]:
    """What the log says of triggers that started nothing."""
    return [row.data for row in Event.objects.filter(name="trigger.failed").order_by("created_at")]
