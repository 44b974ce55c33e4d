"""One moment of a schedule, as what a workflow is started with."""

from __future__ import annotations

from datetime import datetime

from django.db import DatabaseError, transaction

from django_workflows.engine.database.errors import is_about_values
from django_workflows.exceptions import UnknownWorkflow, WorkflowDisabled
from django_workflows.models import Execution, Trigger
from django_workflows.triggers.payloads import Received
from django_workflows.triggers.starting import prepare, record_failure

NAME = "schedule"


def key_of(trigger: Trigger, nominal: datetime) -> str:
    """One execution has this `idempotency_key`, whoever starts it and how often."""
    return f"schedule:{trigger.pk}:{nominal.isoformat()}"


def tick(trigger: Trigger, nominal: datetime, now: datetime, key: str) -> Received:
    """What the workflow gets: `time` is the nominal moment; the data have both, for parameters of these names."""
    data = {"nominal_time": nominal.isoformat(), "actual_time": now.isoformat()}
    return Received(id=key, name=NAME, data=data, source=trigger.pattern, time=nominal, headers={})


def start_tick(alias: str, trigger: Trigger, nominal: datetime, now: datetime) -> Execution | None:
    """Start it, inside a transaction and uncounted; None if it is there already, or was refused: the log says why.

    Raises `UnknownWorkflow` (another worker may know it) and `WorkflowDisabled`.
    """
    event = tick(trigger, nominal, now, key_of(trigger, nominal))
    try:
        prepared = prepare(trigger, event, event.id)
        with transaction.atomic(using=alias):
            execution, is_new = prepared.store(count_it=False)
    except (UnknownWorkflow, WorkflowDisabled):
        raise
    except DatabaseError as error:
        if not is_about_values(error):
            raise
        record_failure(trigger, event, error)
        return None
    except Exception as error:  # the constructors of users' types run in there
        record_failure(trigger, event, error)
        return None
    return execution if is_new else None
