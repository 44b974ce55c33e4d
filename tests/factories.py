"""Rows as the engine would have left them: only legal ones, each with a few words.

The invariants of the design hold for whatever is made here: a running execution has a lease, a pending one a moment to
wake, a finished one neither; a step's columns fit its kind and status.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connections

from django_workflows import clock, conf
from django_workflows.models import (
    FINISHED,
    OPEN_STEPS,
    Event,
    EventType,
    Execution,
    Signal,
    Status,
    StepKind,
    StepResult,
    StepStatus,
    Trigger,
    TriggerType,
    Worker,
    Workflow,
    WorkflowVersion,
)

ERROR = {
    "type": "ProviderError",
    "class": "shop.provider.ProviderError",
    "message": "card 4711 declined",
    "traceback": 'Traceback (most recent call last):\n  File "shop.py", line 1\nProviderError: card 4711 declined\n',
}


def now() -> datetime:
    return clock.database_now()


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


def ahead(**span: float) -> datetime:
    return now() + timedelta(**span)


def make_execution(status: str = Status.PENDING, **columns: Any) -> Execution:
    """An execution of "fulfil" in this status, a minute old."""
    created = columns.setdefault("created_at", ago(minutes=1))
    columns.setdefault("workflow", "fulfil")
    columns.setdefault("updated_at", created)
    if status != Status.PENDING:
        columns = {"started_at": created + timedelta(milliseconds=5), "claim": 1} | columns
    columns = _of_status(Status(status)) | columns
    return Execution.objects.using(conf.database()).create(status=status, **columns)


def _of_status(status: Status) -> dict[str, Any]:
    match status:
        case Status.PENDING:
            return {"wake_at": now()}
        case Status.RUNNING:
            return {"wake_at": ahead(seconds=30), "claimed_by": uuid4()}
        case Status.PAUSED:
            return {"reason": "waiting for the supplier"}
        case Status.COMPLETED:
            return {"completed_at": now(), "output": {"charge": "ch-1"}}
        case Status.FAILED:
            return {"completed_at": now(), "error": ERROR}
        case Status.CANCELLED:
            return {"completed_at": now(), "reason": "ordered twice"}
    return {}


def make_step(
    execution: Execution, name: str = "charge", status: str = StepStatus.SUCCEEDED, **columns: Any
) -> StepResult:
    """A row of the journal, at the next position."""
    rows = StepResult.objects.using(conf.database())
    number = rows.filter(execution=execution).count() + 1
    values: dict[str, Any] = {
        "kind": StepKind.STEP,
        "key": str(number),
        "seq": number,
        "generation": execution.generation,
        "claim": execution.claim,
        "attempts": 1 if columns.get("kind", StepKind.STEP) == StepKind.STEP else 0,
        "created_at": execution.created_at + timedelta(milliseconds=10 * number),
    } | columns
    values.setdefault("started_at", values["created_at"] if values["kind"] == StepKind.STEP else None)
    if status not in OPEN_STEPS:
        values.setdefault("completed_at", values["created_at"] + timedelta(milliseconds=5))
    if status in {StepStatus.FAILED, StepStatus.SKIPPED}:
        values.setdefault("error", ERROR)
    if status == StepStatus.SUPERSEDED:
        values.setdefault("superseded", execution.claim)
    return rows.create(execution=execution, name=name, status=status, **values)


def make_wait(execution: Execution, kind: str, name: str = "", **columns: Any) -> StepResult:
    """An open wait; a child's execution is made with it."""
    if kind == StepKind.CHILD:
        columns.setdefault("child_id", make_execution(workflow=name, parent=execution).id)
    return make_step(execution, name, StepStatus.SCHEDULED, kind=kind, **columns)


def make_retry(execution: Execution, name: str = "charge", *, attempts: int = 2, **columns: Any) -> StepResult:
    """A step that failed and backs off."""
    columns = {"error": ERROR, "attempts": attempts, "deadline": ahead(seconds=12.9)} | columns
    return make_step(execution, name, StepStatus.SCHEDULED, **columns)


def make_log(execution: Execution, type: str, name: str, data: Any = None, **columns: Any) -> Event:
    """Something that happened to an execution."""
    assert type in EventType
    columns.setdefault("created_at", execution.created_at + timedelta(milliseconds=50))
    rows = Event.objects.using(conf.database())
    return rows.create(execution=execution, type=type, name=name, data=data, **columns)


def make_event(name: str = "order.created", data: Any = None, **columns: Any) -> Event:
    """A published event that has been dispatched."""
    columns = {"created_at": now(), "deliver_at": now(), "dispatched_at": now()} | columns
    return Event.objects.using(conf.database()).create(type=EventType.EVENT, name=name, data=data, **columns)


def make_signal(execution: Execution, name: str = "approved", data: Any = None, **columns: Any) -> Signal:
    """A message in the inbox of an unfinished execution."""
    assert execution.status not in FINISHED
    execution.inbox += 1
    execution.save(using=conf.database(), update_fields=["inbox"])
    columns.setdefault("created_at", execution.created_at + timedelta(milliseconds=60))
    rows = Signal.objects.using(conf.database())
    return rows.create(execution=execution, number=execution.inbox, name=name, data=data, **columns)


def make_worker(workflows: dict[str, list[int]] | None = None, **columns: Any) -> Worker:
    """A worker that is alive and serves "fulfil" in its first version on the default queue."""
    columns = {
        "name": "web-1:4711",
        "hostname": "web-1",
        "pid": 4711,
        "queues": ["default"],
        "workflows": {"fulfil": [1]} if workflows is None else workflows,
        "slots": 32,
        "started_at": ago(hours=1),
        "seen_at": now(),
    } | columns
    return Worker.objects.using(conf.database()).create(**columns)


def make_workflow(name: str = "fulfil", **columns: Any) -> Workflow:
    """A workflow's row, which may be there already: `migrate` writes one for each workflow of the code."""
    return Workflow.objects.using(conf.database()).update_or_create(name=name, defaults=columns)[0]


def make_version(workflow: str, version: int, **columns: Any) -> WorkflowVersion:
    return WorkflowVersion.objects.using(conf.database()).create(workflow=workflow, version=version, **columns)


def make_trigger(pattern: str = "order.*", **columns: Any) -> Trigger:
    columns = {"workflow": "fulfil", "type": TriggerType.EVENT} | columns
    return Trigger.objects.using(conf.database()).create(pattern=pattern, **columns)


def damage(row: Execution | StepResult | Signal | Event, column: str, text: str = "{no json") -> None:
    """Store what nobody can read into a payload column, as a faulty disk or a careless UPDATE would."""
    model, alias = type(row), conf.database()
    connection = connections[alias]
    table = connection.ops.quote_name(model._meta.db_table)
    id = row.pk.hex if connection.vendor == "sqlite" else row.pk
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {connection.ops.quote_name(column)} = %s WHERE id = %s", [text, id])
