"""What came from outside, and how it becomes the input of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.values import Received
from django_workflows.clock import database_now
from django_workflows.codec.arguments import signature_of
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Event, TriggerType

__all__ = ["Received", "as_arguments", "from_event", "now"]

PARAMETER = "event"  # a first parameter of this name gets all of it


def as_arguments(
    definition: WorkflowDefinition[..., Any], type: str, received: Received, static: Mapping[str, Any]
) -> dict[str, Any]:
    """The keyword arguments: the whole event for a first parameter called `event`, else the event's data.

    `static` is what the trigger says itself; it wins, so that a sender cannot change it. A tick of a schedule brings
    moments that few workflows ask for: those without a parameter are left out.
    """
    fn, skip = definition.signature_of
    signature = signature_of(fn, skip)
    if signature.arguments and signature.arguments[0].name == PARAMETER:
        return {PARAMETER: _whole(received), **static}
    data = {} if received.data is None else received.data
    if not isinstance(data, Mapping):
        kind = type_name(data)
        raise InvalidInput({PARAMETER: [f"Its data is {kind}; keyword arguments need an object, or declare `event`."]})
    if type == TriggerType.SCHEDULE and signature.keywords is None:
        data = {name: value for name, value in data.items() if name in signature.nameable}
    return {**data, **static}


def type_name(value: Any) -> str:
    """What people call a JSON value."""
    names = {list: "a list", str: "a text", bool: "a boolean"}
    return names.get(type(value), "a number")


def _whole(received: Received) -> dict[str, Any]:
    return {
        "id": received.id,
        "name": received.name,
        "data": received.data,
        "source": received.source,
        "time": received.time,
        "headers": dict(received.headers),
    }


def from_event(event: Event) -> Received:
    """A published event; its `id` is the publisher's where there is one."""
    return Received(
        id=event.event_id or str(event.pk),
        name=event.name,
        data=event.data,
        source=event.source,
        time=event.created_at,
        headers=event.headers or {},
    )


def now(
    alias: str, *, id: str, name: str, data: Any, source: str = "", headers: Mapping[str, str] | None = None
) -> Received:
    """Something that has just come in."""
    return Received(id=id, name=name, data=data, source=source, time=database_now(alias), headers=headers or {})
