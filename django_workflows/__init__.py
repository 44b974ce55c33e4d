"""The author's door: what `workflows.py` imports."""

from django_workflows.authoring.context import AsyncChildHandle, AsyncContext, ChildHandle, Context
from django_workflows.authoring.current import CurrentStep, current_step
from django_workflows.authoring.decorators import step, workflow
from django_workflows.authoring.retry import Retry
from django_workflows.authoring.values import Break, Continue, ExecutionInfo, Message, Winner
from django_workflows.exceptions import (
    ContextMisuse,
    DefinitionError,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionNotFound,
    ExecutionTimedOut,
    InvalidInput,
    KeyConflict,
    LimitExceeded,
    NonRetryable,
    PayloadError,
    ResultTimeout,
    RetryAfter,
    StepFailed,
    StepTimeout,
    TransitionError,
    UnknownWorkflow,
    WorkflowsError,
)

__version__ = "0.1.0"

__all__ = [
    "AsyncChildHandle",
    "AsyncContext",
    "Break",
    "ChildHandle",
    "Context",
    "ContextMisuse",
    "Continue",
    "CurrentStep",
    "DefinitionError",
    "ExecutionCancelled",
    "ExecutionFailed",
    "ExecutionInfo",
    "ExecutionNotFound",
    "ExecutionTimedOut",
    "InvalidInput",
    "KeyConflict",
    "LimitExceeded",
    "Message",
    "NonRetryable",
    "PayloadError",
    "ResultTimeout",
    "Retry",
    "RetryAfter",
    "StepFailed",
    "StepTimeout",
    "TransitionError",
    "UnknownWorkflow",
    "Winner",
    "WorkflowsError",
    "current_step",
    "step",
    "workflow",
]
