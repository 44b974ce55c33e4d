"""The operator's verbs on one execution."""

from __future__ import annotations

from typing import Any

from django_workflows import client, operations
from django_workflows.api import fields
from django_workflows.api.access import CONTROL, Access
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers.executions import document


class VerbBody(Strict):
    """Why, for the history."""

    reason = fields.Text(required=False, default="", allow_blank=True, max_length=2_000)


class SignalBody(Strict):
    """A message to one execution."""

    name = fields.Name()
    data = fields.AnyJson(required=False, default=None)  # type: ignore[assignment]  # the metaclass takes fields out of the class


def apply(access: Access, verb: str, id: object, body: Any) -> dict[str, Any]:
    """Carry out a verb; the execution as it is then. Raises `TransitionError` when it does not apply."""
    reason = checked(VerbBody, body)["reason"]
    execution = access.execution(id, CONTROL)
    with access.hiding():  # a retry may find its key taken
        operations.VERBS[verb](execution, reason, by=access.user)
    return document(execution, reveal=access.reveals(execution))


def signal(access: Access, id: object, body: Any, key: str | None) -> dict[str, Any]:
    """Send a message; the same key again gives back the first one."""
    said = checked(SignalBody, body)
    execution = access.execution(id, CONTROL, without=("input", "output", "state", "error"))
    sent = client.signal(execution, said["name"], said["data"], message_id=key)
    return {
        "id": str(sent.id),
        "execution": str(sent.execution_id),
        "number": sent.number,
        "name": sent.name,
        "created_at": sent.created_at,
    }
