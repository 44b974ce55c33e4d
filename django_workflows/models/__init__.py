"""The facts: what the engine stores."""

from django_workflows.models.events import TRIGGER_BROKEN, TRIGGER_FAILED, UNSTORED, Event, EventType, Signal
from django_workflows.models.executions import Execution, ExecutionQuerySet
from django_workflows.models.ports import ports
from django_workflows.models.statuses import (
    FINISHED,
    TAKES_BACK,
    UNFINISHED,
    Requested,
    Status,
    allowed_verbs,
    takes_back,
    transition,
)
from django_workflows.models.steps import OPEN_STEPS, RETIRED_STEPS, StepKind, StepResult, StepStatus
from django_workflows.models.triggers import Trigger, TriggerOrigin, TriggerType
from django_workflows.models.workers import Worker
from django_workflows.models.workflows import Workflow, WorkflowVersion

__all__ = [
    "FINISHED",
    "OPEN_STEPS",
    "RETIRED_STEPS",
    "TAKES_BACK",
    "TRIGGER_BROKEN",
    "TRIGGER_FAILED",
    "UNFINISHED",
    "UNSTORED",
    "Event",
    "EventType",
    "Execution",
    "ExecutionQuerySet",
    "Requested",
    "Signal",
    "Status",
    "StepKind",
    "StepResult",
    "StepStatus",
    "Trigger",
    "TriggerOrigin",
    "TriggerType",
    "Worker",
    "Workflow",
    "WorkflowVersion",
    "allowed_verbs",
    "ports",
    "takes_back",
    "transition",
]
