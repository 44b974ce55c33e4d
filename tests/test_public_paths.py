"""What users import is pinned: a path here changes only with a line in the changelog. All else may move."""

from __future__ import annotations

import importlib

import pytest

PATHS = {
    "django_workflows": [
        *("workflow", "step", "Context", "AsyncContext", "Retry", "RetryAfter", "current_step", "Received"),
        *("on", "every", "cron", "webhook", "Break", "Continue", "Message", "Token", "ChildHandle"),
        *("StepFailed", "ExecutionFailed", "ExecutionCancelled", "ResultTimeout", "WorkflowsError", "NonRetryable"),
    ],
    "django_workflows.client": [
        *("start", "start_many", "start_or_get", "signal", "send_event", "result", "aresult", "get", "using"),
        *("answer_token", "door"),
    ],
    "django_workflows.operations": ["pause", "resume", "cancel", "retry", "bulk", "may"],
    "django_workflows.triggers": [
        *("create", "update", "delete", "enable", "disable", "find", "fire", "backfill", "upcoming", "validate"),
    ],
    "django_workflows.models": [
        *("Workflow", "WorkflowVersion", "Trigger", "Execution", "StepResult", "Event", "Signal", "Worker", "Status"),
    ],
    "django_workflows.models.fields": ["PayloadField", "TagsField", "InvertedIndex"],
    "django_workflows.models.triggers": ["new_revision"],
    "django_workflows.signals": [
        *("execution_started", "execution_completed", "execution_failed", "execution_paused"),
    ],
    "django_workflows.testing": ["Workflows", "Fake", "export_history", "replay_history", "sign_delivery"],
    "django_workflows.remote": ["Client", "AsyncClient", "RemoteError"],
    "django_workflows.urls": ["urlpatterns"],
    "django_workflows.inspection": ["history", "timeline", "why_waiting", "find", "count_by_status", "recent"],
    "django_workflows.admin": ["ExecutionAdmin", "WorkflowAdmin", "TriggerAdmin", "EventAdmin", "WorkerAdmin"],
    "django_workflows.definitions": ["save", "validate", "current_document", "delete"],
    "django_workflows.conf": ["SECRET_KEYS"],
    "django_workflows.codec.redaction": ["RedactingFilter"],
    "django_workflows.expressions.durations": ["parse_duration", "format_duration"],
}


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in PATHS.items() for name in names])
def test_it_is_where_it_was(path: str, name: str) -> None:
    assert hasattr(importlib.import_module(path), name)
