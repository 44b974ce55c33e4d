"""The author's door: what `workflows.py` imports."""

from django_workflows.authoring.context import AsyncChildHandle, AsyncContext, AsyncToken, ChildHandle, Context, Token
from django_workflows.authoring.current import CurrentStep, current_step
from django_workflows.authoring.decorators import step, workflow
from django_workflows.authoring.retry import Retry
from django_workflows.authoring.triggers import cron, every, on, webhook
from django_workflows.authoring.values import Break, Continue, ExecutionInfo, Message, Received, Winner
from django_workflows.exceptions import (
    ContextMisuse,
    DefinitionError,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionNotFound,
    ExecutionTimedOut,
    InvalidInput,
    InvalidTrigger,
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
    WorkflowDisabled,
    WorkflowsError,
)

__version__ = "0.1.0"

__all__ = [
    "AsyncChildHandle",
    "AsyncContext",
    "AsyncToken",
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
    "InvalidTrigger",
    "KeyConflict",
    "LimitExceeded",
    "Message",
    "NonRetryable",
    "PayloadError",
    "Received",
    "ResultTimeout",
    "Retry",
    "RetryAfter",
    "StepFailed",
    "StepTimeout",
    "Token",
    "TransitionError",
    "UnknownWorkflow",
    "Winner",
    "WorkflowDisabled",
    "WorkflowsError",
    "cron",
    "current_step",
    "every",
    "on",
    "step",
    "webhook",
    "workflow",
]
