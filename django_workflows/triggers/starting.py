"""The one way from a trigger to an execution."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import F

from django_workflows import conf
from django_workflows.authoring.plans import Request, definition_of, make_plan, make_request
from django_workflows.authoring.ports import StartOptions
from django_workflows.client.starting import Starter
from django_workflows.clock import DatabaseNow
from django_workflows.engine.database.pulse import working
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events.after_commit import announce
from django_workflows.exceptions import (
    DefinitionError,
    InvalidInput,
    PayloadError,
    UnknownWorkflow,
    WorkflowDisabled,
)
from django_workflows.models import TRIGGER_FAILED, Event, EventType, Execution, Trigger, TriggerType
from django_workflows.triggers.payloads import Received, as_arguments

logger = logging.getLogger("django_workflows")

# What the trigger, the event or the workflow can be blamed for; the same again will fail again.
REFUSED = (InvalidInput, PayloadError, UnknownWorkflow, DefinitionError, WorkflowDisabled)


def start_from_trigger(
    trigger: Trigger, *, event: Received, idempotency_key: str, options: StartOptions | None = None
) -> Execution | None:
    """Start the trigger's workflow; the same `idempotency_key` again gives the execution that was started first.

    In the caller's transaction, else in its own. None when the workflow refused it: then the log has a record that says
    why. Whether the trigger is enabled is for the caller to ask.
    """
    try:
        return start(trigger, event=event, idempotency_key=idempotency_key, options=options)[0]
    except REFUSED as error:
        record_failure(trigger, event, error)
        return None


def start(
    trigger: Trigger, *, event: Received, idempotency_key: str, options: StartOptions | None = None
) -> tuple[Execution, bool]:
    """The same, but raises the refusal (see `REFUSED`); the execution, and whether it was started now."""
    prepared = prepare(trigger, event, idempotency_key, options)
    execution, is_new = transact(prepared.starter.alias, lambda cursor: prepared.store())
    if is_new:
        announce(prepared.starter.alias, [execution.queue], executions=[execution.id])
    return execution, is_new


@dataclass(frozen=True, slots=True)
class Prepared:
    """An execution about to be started: all that can be wrong with it has been checked."""

    trigger_id: UUID
    starter: Starter
    request: Request

    def store(self, *, count_it: bool = True) -> tuple[Execution, bool]:
        """Insert it, or find it, and count it; inside a transaction. Workers are told by the caller, afterwards."""
        execution, is_new = self.starter.insert_or_find(self.request)
        if is_new and count_it:
            count(self.starter.alias, self.trigger_id)
        return execution, is_new


def prepare(trigger: Trigger, event: Received, idempotency_key: str, options: StartOptions | None = None) -> Prepared:
    """Check workflow and input. Raises what stands in `REFUSED`."""
    definition = definition_of(trigger.workflow)
    chosen = replace(options or StartOptions(), idempotency_key=idempotency_key, trigger=trigger.pk)
    static = trigger.config.get("input", {}) if isinstance(trigger.config, Mapping) else {}
    with working():  # the code of users runs in there: in a worker it may hang
        plan = make_plan(definition, chosen)
        arguments = as_arguments(definition, trigger.type, event, static)
        request = make_request(plan, (), arguments, chosen.key, chosen.idempotency_key)
    return Prepared(trigger.pk, Starter(plan), request)


def count(alias: str, trigger_id: UUID, number: int = 1) -> None:
    """Note that a trigger started executions. A plain UPDATE: what the trigger is does not change."""
    Trigger.objects.using(alias).filter(pk=trigger_id).update(
        trigger_count=F("trigger_count") + number, last_triggered_at=DatabaseNow()
    )


def record_failure(trigger: Trigger, event: Received, error: Exception) -> None:
    """Leave a line in the log of events, and in the process's: nobody else will tell."""
    logger.warning("The trigger %s did not start %s for %s: %s", trigger.pk, trigger.workflow, event.name, error)
    data: Any = {
        "trigger": str(trigger.pk),
        "type": trigger.type,
        "pattern": trigger.pattern,
        "workflow": trigger.workflow,
        "event": {"id": event.id, "name": event.name},
        "error": {"type": type(error).__name__, "message": str(error)},
    }
    alias = conf.database()
    Event.objects.using(alias).create(
        type=EventType.SCHEDULE if trigger.type == TriggerType.SCHEDULE else EventType.ERROR,
        name=TRIGGER_FAILED,
        data=data,
        source=f"trigger {trigger.pk}",
        created_at=DatabaseNow(),
    )
