"""Who may do what over HTTP and JSON-RPC: a line for each operation, and the things of one tenant to try it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django_workflows import Context, definitions, workflow
from django_workflows.authoring.registry import registry
from django_workflows.models import Event, Execution, Signal, Status, Trigger, Workflow, WorkflowVersion
from tests.factories import make_event, make_execution, make_trigger, make_workflow, now

TENANT, STRANGER = "acme", "other"
SECRET = "4711"  # stands in whatever the tenant has
DATA = {"name": "acme_data", "steps": [{"id": "nap", "sleep": "1 hour"}]}


def build() -> dict[str, str]:
    """What the tenant has; the ids by the words that the table uses."""
    if "acme_greet" not in {found.name for found in registry.workflows()}:

        @workflow(name="acme_greet", queue=TENANT)
        def acme_greet(ctx: Context, name: str = "") -> None: ...

    make_workflow("acme_greet", description=SECRET)
    definitions.save(DATA | {"description": SECRET})
    event = make_event("acme.paid", SECRET, set_aside_at=now(), reason=SECRET)
    trigger = make_trigger(pattern=f"acme.{SECRET}", workflow="acme_greet", config={})
    make = partial(make_execution, workflow="acme_greet", queue=TENANT, input={"name": SECRET}, tags={"n": SECRET})
    return {
        "waiting": str(make(Status.WAITING).pk),
        "failed": str(make(Status.FAILED).pk),
        "paused": str(make(Status.PAUSED).pk),
        "done": str(make(Status.COMPLETED, output=SECRET).pk),
        "trigger": str(trigger.pk),
        "event": str(event.pk),
        "code": "acme_greet",
        "data": "acme_data",
    }


def stored() -> dict[str, Any]:
    """Everything that an operation might change."""
    models = (Execution, Event, Signal, Trigger, Workflow, WorkflowVersion)
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`needs`: the permissions, all of which are needed and which suffice. `hidden`: what a stranger with every
    permission is answered; 200 for a list that is empty for him. `of`: the thing that it is about.
    """

    needs: tuple[str, ...] = ()
    of: str = ""
    body: Any = None
    answers: int = 200
    hidden: int = 404


VIEW = ("view_execution",)
CONTROL = ("control_execution",)
START = ("start_execution",)
NEW = {"name": "acme_new", "steps": [{"id": "nap", "sleep": "1 hour"}]}
HOOK = {"workflow": "acme_greet", "type": "event", "pattern": "acme.new"}
BEGIN = {"input": {"name": "x"}, "queue": TENANT}

# By the name that the description in OpenAPI gives it.
REST: Mapping[str, Operation] = {
    "discover": Operation(hidden=200),
    "listWorkflows": Operation(needs=("view_workflow",), hidden=200),
    "createWorkflow": Operation(needs=("add_workflow",), body=NEW, answers=201, hidden=403),
    "getWorkflow": Operation(needs=("view_workflow",), of="data"),
    "replaceWorkflow": Operation(needs=("change_workflow",), of="data", body=DATA),
    "changeWorkflow": Operation(needs=("change_workflow",), of="data", body={"enabled": False}),
    "deleteWorkflow": Operation(needs=("delete_workflow",), of="data", answers=204),
    "listVersions": Operation(needs=("view_workflow",), of="data"),
    "startWorkflow": Operation(needs=START, of="code", body=BEGIN, answers=201),
    "listExecutions": Operation(needs=VIEW, hidden=200),
    "getExecution": Operation(needs=VIEW, of="waiting"),
    "getHistory": Operation(needs=VIEW, of="waiting"),
    "getSteps": Operation(needs=VIEW, of="waiting"),
    "getTimeline": Operation(needs=VIEW, of="waiting"),
    "getResult": Operation(needs=VIEW, of="waiting"),
    "streamExecution": Operation(needs=VIEW, of="done"),
    "pauseExecution": Operation(needs=CONTROL, of="waiting", body={}),
    "resumeExecution": Operation(needs=CONTROL, of="paused", body={}),
    "cancelExecution": Operation(needs=CONTROL, of="waiting", body={}),
    "retryExecution": Operation(needs=CONTROL, of="failed", body={}),
    "signalExecution": Operation(needs=CONTROL, of="waiting", body={"name": "go"}, answers=201),
    "followEvents": Operation(needs=("view_event", *VIEW), hidden=200),
    "sendEvent": Operation(needs=("send_event",), body={"name": "acme.new"}, answers=201, hidden=403),
    "redriveEvent": Operation(needs=("send_event",), of="event", body={}),
    "listTriggers": Operation(needs=("view_trigger",), hidden=200),
    "registerTrigger": Operation(needs=("add_trigger", *START), body=HOOK, answers=201, hidden=400),
    "getTrigger": Operation(needs=("view_trigger",), of="trigger"),
    "changeTrigger": Operation(needs=("change_trigger", *START), of="trigger", body={"pattern": "acme.other"}),
    "unregisterTrigger": Operation(needs=("delete_trigger",), of="trigger", answers=204),
    "fireTrigger": Operation(needs=START, of="trigger", body={}, answers=201),
    "getMetrics": Operation(needs=VIEW, hidden=200),
    "rpc": Operation(body={"jsonrpc": "2.0", "method": "nothing", "id": 1}, hidden=200),  # its methods stand below
}
OPEN = {"receiveWebhook", "answerToken"}  # a secret stands for the user

Given = Callable[[Mapping[str, str]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`hidden`: the result for a stranger with every permission, or the code of the error."""

    needs: tuple[str, ...]
    params: Given = field(default=lambda things: {})
    hidden: Any = None


def named(word: str, name: str = "id", **more: Any) -> Given:
    return lambda things: {name: things[word], **more}


def always(**params: Any) -> Given:
    return lambda things: params


EMPTY: dict[str, Any] = {"results": [], "cursor": None}
FORBIDDEN, MISSING, INVALID = -32003, -32004, -32602

RPC: Mapping[str, Method] = {
    "createWorkflow": Method(needs=("add_workflow",), params=always(definition=NEW), hidden=FORBIDDEN),
    "getWorkflow": Method(needs=("view_workflow",), params=named("data", "name")),
    "updateWorkflow": Method(needs=("change_workflow",), params=named("data", "name", definition=DATA), hidden=MISSING),
    "deleteWorkflow": Method(needs=("delete_workflow",), params=named("data", "name"), hidden=False),
    "listWorkflows": Method(needs=("view_workflow",), hidden=EMPTY),
    "startWorkflow": Method(needs=START, params=named("code", "name", **BEGIN), hidden=MISSING),
    "getExecution": Method(needs=VIEW, params=named("waiting")),
    "pauseExecution": Method(needs=CONTROL, params=named("waiting"), hidden=False),
    "resumeExecution": Method(needs=CONTROL, params=named("paused"), hidden=False),
    "cancelExecution": Method(needs=CONTROL, params=named("waiting"), hidden=False),
    "retryExecution": Method(needs=CONTROL, params=named("failed"), hidden=MISSING),
    "listExecutions": Method(needs=VIEW, hidden=EMPTY),
    "sendEvent": Method(needs=("send_event",), params=always(name="acme.new"), hidden=FORBIDDEN),
    "registerTrigger": Method(needs=("add_trigger", *START), params=always(**HOOK), hidden=INVALID),
    "unregisterTrigger": Method(needs=("delete_trigger",), params=named("trigger"), hidden=False),
    "listTriggers": Method(needs=("view_trigger",), hidden=EMPTY),
    "getHistory": Method(needs=VIEW, params=named("waiting")),
    "getMetrics": Method(needs=VIEW, hidden=...),  # numbers, of nothing
}
