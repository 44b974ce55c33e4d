"""Rows as plain data, for `--json`: dates as ISO text, payloads as the JSON they are, without passwords."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model

from django_workflows import codec
from django_workflows.models import Execution, Signal, StepResult

_EXECUTION = (
    "id",
    "workflow",
    "version",
    "generation",
    "status",
    "requested",
    "reason",
    "key",
    "idempotency_key",
    "queue",
    "priority",
    "tags",
    "parent_id",
    "current_step",
    "error",
    "wake_at",
    "deadline",
    "crashes",
    "created_at",
    "started_at",
    "completed_at",
)
_PAYLOADS = ("input", "state", "output")
_STEP = (
    "key",
    "name",
    "kind",
    "status",
    "former_status",
    "superseded",
    "generation",
    "attempts",
    "lost",
    "worker",
    "input",
    "output",
    "error",
    "deadline",
    "child_id",
    "created_at",
    "started_at",
    "completed_at",
)
_SIGNAL = ("number", "name", "data", "message_id", "created_at", "consumed_at")


def execution_as_dict(execution: Execution, why: str, *, payloads: bool = False) -> dict[str, Any]:
    columns = (*_EXECUTION, *_PAYLOADS) if payloads else _EXECUTION
    return {**_columns(execution, columns), "why": why}


def step_as_dict(step: StepResult) -> dict[str, Any]:
    return _columns(step, _STEP)


def signal_as_dict(signal: Signal) -> dict[str, Any]:
    return _columns(signal, _SIGNAL)


def _columns(row: Model, names: Iterable[str]) -> dict[str, Any]:
    return {name: codec.redact(getattr(row, name)) for name in names}


def to_json(value: Any) -> str:
    """Indented JSON, in whatever language the texts are."""
    return codec.printable_json(value, default=_simple)


def _simple(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, UUID) else repr(value)
