"""The methods of JSON-RPC: the same acts as over HTTP, by name.

`get…` of what is missing is null; pause, resume, cancel, delete and unregister say whether they applied; start and
retry answer the execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ValidationError

from django_workflows.api.access import Access
from django_workflows.api.actions import definitions, events, executions, metrics, starting, triggers, verbs, workflows
from django_workflows.api.paging import Page
from django_workflows.api.problems import Refused, invalid
from django_workflows.api.requests import KEY_MEMBER, checked_key
from django_workflows.exceptions import ExecutionNotFound, TransitionError

Act = Callable[["Call"], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls, with which parameters; `take` removes one that the method needs itself."""

    access: Access
    params: dict[str, Any]
    header_key: str | None = None

    def take(self, name: str) -> str:
        if name not in self.params:
            raise invalid(name, _("This parameter is required."))
        value = self.params.pop(name)
        if not isinstance(value, str):
            raise invalid(name, _("Must be a text."))
        return value

    def key(self) -> str | None:
        """The idempotency key: a parameter, or the header of the request."""
        return checked_key(self.take(KEY_MEMBER)) if KEY_MEMBER in self.params else self.header_key

    def nothing_else(self) -> None:
        if self.params:
            raise ValidationError({name: [_("Unknown.")] for name in list(self.params)[:20]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method, and the order of its parameters for who gives them without names."""

    act: Act
    order: tuple[str, ...] = ()


def _list(page: Page) -> dict[str, Any]:
    return {"results": list(page.results), "cursor": page.cursor}


def _or_null(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (NotFound, ExecutionNotFound):
        return None


def _applied(act: Callable[[], Any]) -> bool:
    """Not to what is missing, not in every status, not to what belongs to the code."""
    try:
        act()
    except (NotFound, ExecutionNotFound, TransitionError):
        return False
    except Refused as refusal:
        if refusal.problem.status == 409:
            return False
        raise
    return True


def _one(act: Callable[[Access, str], Any], name: str) -> Act:
    """`get…` by an id or a name."""

    def method(call: Call) -> Any:
        target = call.take(name)
        call.nothing_else()
        return _or_null(lambda: act(call.access, target))

    return method


def _remove(act: Callable[[Access, str], Any], name: str) -> Act:
    def method(call: Call) -> bool:
        target = call.take(name)
        call.nothing_else()
        return _applied(lambda: act(call.access, target))

    return method


def _verb(verb: str) -> Act:
    def method(call: Call) -> bool:
        id = call.take("id")
        return _applied(lambda: verbs.apply(call.access, verb, id, call.params))

    return method


def _listing(act: Callable[[Access, Mapping[str, Any]], Page]) -> Act:
    return lambda call: _list(act(call.access, call.params))


def _retry(call: Call) -> Any:
    id = call.take("id")
    return verbs.apply(call.access, "retry", id, call.params)


def _start(call: Call) -> Any:
    name, key = call.take("name"), call.key()
    return starting.start(call.access, name, call.params, key)[0]


def _create(call: Call) -> Any:
    key = call.key()
    return definitions.create(call.access, _definition(call), key)[0]


def _update(call: Call) -> Any:
    name = call.take("name")
    if "definition" in call.params:
        return definitions.replace(call.access, name, _definition(call))
    return definitions.change(call.access, name, call.params)


def _definition(call: Call) -> Any:
    if "definition" not in call.params:
        raise invalid("definition", _("This parameter is required."))
    document = call.params.pop("definition")
    call.nothing_else()
    return document


def _send_event(call: Call) -> Any:
    key = call.key()
    return events.publish(call.access, call.params, key)[0]


def _register(call: Call) -> Any:
    key = call.key()
    return triggers.register(call.access, call.params, key)[0]


def _history(call: Call) -> Any:
    id = call.take("id")
    page = _or_null(lambda: executions.get_history(call.access, id, call.params))
    return None if page is None else _list(page)


def _metrics(call: Call) -> Any:
    return metrics.get_metrics(call.access, call.params)


METHODS: dict[str, Method] = {
    "createWorkflow": Method(act=_create, order=("definition",)),
    "getWorkflow": Method(act=_one(workflows.get_workflow, "name"), order=("name",)),
    "updateWorkflow": Method(act=_update, order=("name", "definition")),
    "deleteWorkflow": Method(act=_remove(definitions.remove, "name"), order=("name",)),
    "listWorkflows": Method(act=_listing(workflows.list_workflows), order=("limit", "cursor")),
    "startWorkflow": Method(act=_start, order=("name", "input")),
    "getExecution": Method(act=_one(executions.get_execution, "id"), order=("id",)),
    "pauseExecution": Method(act=_verb("pause"), order=("id", "reason")),
    "resumeExecution": Method(act=_verb("resume"), order=("id", "reason")),
    "cancelExecution": Method(act=_verb("cancel"), order=("id", "reason")),
    "retryExecution": Method(act=_retry, order=("id", "reason")),
    "listExecutions": Method(act=_listing(executions.list_executions), order=("workflow", "status")),
    "sendEvent": Method(act=_send_event, order=("name", "data", "id")),
    "registerTrigger": Method(act=_register, order=("workflow", "type", "pattern", "config")),
    "unregisterTrigger": Method(act=_remove(triggers.remove, "id"), order=("id",)),
    "listTriggers": Method(act=_listing(triggers.list_triggers), order=("workflow", "type")),
    "getHistory": Method(act=_history, order=("id", "limit", "cursor")),
    "getMetrics": Method(act=_metrics, order=("workflow",)),
}
