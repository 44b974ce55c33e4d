"""Whole turns of a holder that is stopped at one of its statements, loses its claim meanwhile, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group

from django_workflows import client
from django_workflows.engine.inline.driver import InlineDriver
from django_workflows.models import Event, EventType, Execution, Signal, Status, StepResult
from tests.factories import ago, make_execution
from tests.proof import workflows
from tests.proof.interleaving import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class LateTurn:
    """An execution that is due, and another one to which it may write."""

    id: UUID
    other: UUID


def _begun(workflow: Any, *args: Any) -> LateTurn:
    return LateTurn(id=workflow.start(*args).id, other=make_execution(Status.PAUSED).pk)


def _called() -> LateTurn:
    late = _begun(workflows.proof_receiver)
    client.signal(late.id, "go", "hello")
    return late


def _woken() -> LateTurn:
    """It has parked already, and replays."""
    late = _begun(workflows.proof_receiver)
    InlineDriver().turn(late.id)
    client.signal(late.id, "go", "hello")
    return late


def _writing() -> LateTurn:
    other = make_execution(Status.PAUSED).pk
    return LateTurn(id=workflows.proof_writing.start(str(other)).id, other=other)


LATE_TURNS: dict[str, Callable[[], LateTurn]] = {
    "it completes": lambda: _begun(workflows.proof_leaf, 1),
    "it fails": lambda: _begun(workflows.proof_failing),
    "it parks": lambda: _begun(workflows.proof_receiver),
    "it consumes a signal": _called,
    "it was woken by a signal": _woken,
    "it starts children": lambda: _begun(workflows.proof_founder),
    "it executes steps": lambda: _begun(workflows.proof_adding, "late"),
    "it starts over": lambda: _begun(workflows.proof_renewing),
    "it writes to others": _writing,
}


def zombie(late: LateTurn) -> Work:
    """The turn of the first holder."""
    return lambda: InlineDriver().turn(late.id)


def successor(late: LateTurn) -> Work:
    """The lease runs out, and somebody else gives it a turn."""

    def act() -> bool:
        Execution.objects.filter(pk=late.id, status=Status.RUNNING).update(wake_at=ago(seconds=1))
        return InlineDriver().turn(late.id)

    return act


def picture(late: LateTurn) -> dict[str, Any]:
    """All that may come of it once: whoever looks later cannot tell that there were two."""
    execution = Execution.objects.get(pk=late.id)
    steps = StepResult.objects.filter(execution=late.id)
    return {
        "execution": (execution.status, execution.output, execution.generation, execution.state),
        "journal": sorted(steps.values_list("generation", "key", "kind", "name", "status")),
        "children": sorted(Execution.objects.filter(parent=late.id).values_list("workflow", "status")),
        "read": [(signal.name, signal.consumed_at is None) for signal in Signal.objects.filter(execution=late.id)],
        "sent": list(Signal.objects.filter(execution=late.other).values_list("name", flat=True)),
        "published": list(Event.objects.filter(type=EventType.EVENT, execution=None).values_list("name", flat=True)),
        "business": Group.objects.filter(name__startswith=f"{late.id} ").count(),
    }
