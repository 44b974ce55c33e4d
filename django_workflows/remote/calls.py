"""What can be asked: one function for each method of the server. They check nothing, send nothing, only say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote
from uuid import UUID, uuid4

from django_workflows.remote.results import Event, Execution, HistoryItem, Metrics, Page, Trigger, Workflow

R = TypeVar("R")

Id = UUID | str
Duration = timedelta | float | str
Params = Mapping[str, Any]
TriggerKind = Literal["event", "schedule", "webhook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """After a lost answer: GET `path`; `done` judges the document, None when there is nothing (404)."""

    path: str
    done: Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[R]):
    """A method, its parameters and the type of its result.

    `key` makes a repetition harmless. Where there can be none, `settle` says how a repetition that came too late is
    understood: which address to look at, and what is to be seen there when an earlier attempt has done it.
    """

    method: str
    params: Params
    type: Any
    key: str | None = None
    settle: Settle | None = None


class StartOptions(TypedDict, total=False):
    """The options of a start; durations are seconds, timedeltas or texts like "5 minutes"."""

    key: str
    on_conflict: Literal["return", "error", "cancel"]
    delay: Duration
    start_at: datetime
    timeout: Duration
    ttl: Duration
    priority: int
    queue: str
    tags: Mapping[str, Any]


class ExecutionFilter(TypedDict, total=False):
    """Which executions; `tag` is "name:value", or several of them that must all be there."""

    workflow: str
    status: str
    key: str
    tag: str | list[str]
    parent: Id
    created_after: datetime
    created_before: datetime
    error: str
    limit: int
    cursor: str


# workflows


def create_workflow(definition: Params, *, idempotency_key: str | None = None) -> Call[Workflow]:
    """Create a workflow from a definition."""
    return Call(method="createWorkflow", params={"definition": definition}, type=Workflow, key=_key(idempotency_key))


def get_workflow(name: str) -> Call[Workflow | None]:
    """A workflow by its name or id; None when there is none."""
    return Call(method="getWorkflow", params={"name": name}, type=Workflow | None)


def update_workflow(name: str, definition: Params) -> Call[Workflow]:
    """Save another version of a definition; executions keep theirs."""
    return Call(method="updateWorkflow", params={"name": name, "definition": definition}, type=Workflow)


def delete_workflow(name: str) -> Call[bool]:
    """Remove a workflow that is a definition; whether there was one."""
    gone = Settle(path=f"workflows/{_quoted(name)}", done=_is_gone)
    return Call(method="deleteWorkflow", params={"name": name}, type=bool, settle=gone)


def list_workflows(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Workflow]]:
    """A page of the workflows, by name."""
    return Call(method="listWorkflows", params=_given(limit=limit, cursor=cursor), type=Page[Workflow])


def start_workflow(
    name: str, input: Params | None = None, *, idempotency_key: str | None = None, **options: Unpack[StartOptions]
) -> Call[Execution]:
    """Start an execution; with a key that is taken, the execution that has it. Raises `InvalidRequest`, `Conflict`."""
    params = {"name": name, "input": dict(input or {}), **{name: _plain(value) for name, value in options.items()}}
    return Call(method="startWorkflow", params=params, type=Execution, key=_key(idempotency_key))


# executions


def get_execution(id: Id) -> Call[Execution | None]:
    """An execution; None when there is none."""
    return Call(method="getExecution", params={"id": str(id)}, type=Execution | None)


def list_executions(**filters: Unpack[ExecutionFilter]) -> Call[Page[Execution]]:
    """A page of the executions that match, newest first."""
    params = {name: _plain(value) for name, value in filters.items()}
    if isinstance(params.get("tag"), str):
        params["tag"] = [params["tag"]]
    return Call(method="listExecutions", params=params, type=Page[Execution])


def pause_execution(id: Id, reason: str = "") -> Call[bool]:
    """Park it; False when it cannot be paused now, or does not exist."""
    return _verb("pause", id, reason, lambda row: row["status"] == "paused" or row["requested"] == "pause")


def resume_execution(id: Id, reason: str = "") -> Call[bool]:
    """Let a paused execution go on; False when it is not paused."""
    return _verb("resume", id, reason, lambda row: row["status"] != "paused" and row["requested"] != "pause")


def cancel_execution(id: Id, reason: str = "") -> Call[bool]:
    """End it for good, and its children; False when it has ended already."""
    return _verb("cancel", id, reason, lambda row: row["status"] == "cancelled" or row["requested"] == "cancel")


def retry_execution(id: Id, reason: str = "") -> Call[Execution]:
    """Let a failed execution go on from the step that failed. Raises `Conflict` when it has not failed."""
    settle = Settle(path=f"executions/{_quoted(id)}", done=lambda row: row is not None and row["status"] != "failed")
    return Call(method="retryExecution", params={"id": str(id), "reason": reason}, type=Execution, settle=settle)


def get_history(id: Id, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[HistoryItem] | None]:
    """A page of everything that happened to an execution, oldest first; None when there is no such execution."""
    params = {"id": str(id), **_given(limit=limit, cursor=cursor)}
    return Call(method="getHistory", params=params, type=Page[HistoryItem] | None)


# events, triggers, numbers


def send_event(
    name: str,
    data: Any = None,
    *,
    id: str | None = None,
    source: str = "",
    deliver_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[Event]:
    """Publish an event; the same `id` again within a day publishes nothing and gives the first one."""
    params = {"name": name, "source": source, **_given(data=data, id=id, deliver_at=deliver_at)}
    return Call(method="sendEvent", params=params, type=Event, key=_key(idempotency_key))


def register_trigger(
    workflow: str,
    type: TriggerKind,
    pattern: str,
    config: Params | None = None,
    *,
    enabled: bool = True,
    idempotency_key: str | None = None,
) -> Call[Trigger]:
    """Let something start a workflow: an event's name or glob, a schedule, or a webhook's path."""
    params = {"workflow": workflow, "type": type, "pattern": pattern, "config": config or {}, "enabled": enabled}
    return Call(method="registerTrigger", params=params, type=Trigger, key=_key(idempotency_key))


def unregister_trigger(id: Id) -> Call[bool]:
    """Remove a trigger; False when there is none, or when it belongs to the code."""
    gone = Settle(path=f"triggers/{_quoted(id)}", done=_is_gone)
    return Call(method="unregisterTrigger", params={"id": str(id)}, type=bool, settle=gone)


def list_triggers(
    *,
    workflow: str | None = None,
    type: TriggerKind | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Trigger]]:
    """A page of the triggers, by workflow."""
    params = _given(workflow=workflow, type=type, limit=limit, cursor=cursor)
    return Call(method="listTriggers", params=params, type=Page[Trigger])


def get_metrics(workflow: str | None = None) -> Call[Metrics]:
    """Counts, rates, percentiles and backlogs, of one workflow or of all."""
    return Call(method="getMetrics", params=_given(workflow=workflow), type=Metrics)


# what they share


def _verb(verb: str, id: Id, reason: str, done: Callable[[Any], bool]) -> Call[bool]:
    settle = Settle(path=f"executions/{_quoted(id)}", done=lambda row: row is not None and done(row))
    return Call(method=f"{verb}Execution", params={"id": str(id), "reason": reason}, type=bool, settle=settle)


def _quoted(part: object) -> str:
    """A part of an address; a workflow's name may hold slashes."""
    return quote(str(part), safe="/")


def _is_gone(document: Any) -> bool:
    return document is None


def _key(given: str | None) -> str:
    """One for the call and all its attempts."""
    return str(uuid4()) if given is None else given


def _given(**values: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    """Durations as seconds, moments and ids as text."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
