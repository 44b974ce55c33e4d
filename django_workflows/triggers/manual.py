"""What an operator does with triggers beside switching them: fire one now, backfill a period, ask when it is next."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.clock import database_now
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events.after_commit import announce
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Execution, Trigger, TriggerType
from django_workflows.triggers import payloads, starting
from django_workflows.triggers.payloads import Received
from django_workflows.triggers.planning import plan_of
from django_workflows.triggers.schedule_starts import start_tick, tick

MOST = 10_000  # moments of one backfill
_BATCH = 50  # of them in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """How many executions a backfill started; the other moments of the period had theirs already, or were refused."""

    started: int
    moments: int


def fire(trigger: Trigger, data: Any = None, *, idempotency_key: str | None = None) -> Execution:
    """Start the trigger's workflow now, whatever its state, its schedule and what is under way.

    A schedule gets the present as its moment; any other trigger gets `data` as if they had come in. Raises what stands
    in `starting.REFUSED`. The same `idempotency_key` again gives the execution that was started first.
    """
    key = f"fire:{trigger.pk}:{idempotency_key or uuid4()}"
    return starting.start(trigger, event=event_now(trigger, key, data), idempotency_key=key)[0]


def event_now(trigger: Trigger, id: str, data: Any = None, *, name: str = "") -> Received:
    """What the trigger would get if it fired now; `data` are added to the moments of a schedule."""
    alias = conf.database()
    if trigger.type != TriggerType.SCHEDULE:
        return payloads.now(alias, id=id, name=name or trigger.pattern, data=data, source=f"trigger {trigger.pk}")
    now = database_now(alias)
    event = tick(trigger, now, now, id)
    return replace(event, data={**event.data, **data}) if isinstance(data, Mapping) else event


def upcoming(trigger: Trigger, count: int = 5) -> list[datetime]:
    """The next nominal moments of a schedule, in UTC; none when it is disabled or gone from the code."""
    if trigger.type != TriggerType.SCHEDULE or not trigger.is_active:
        return []
    return plan_of(trigger).schedule.upcoming(database_now(conf.database()), count)


def backfill(trigger: Trigger, start: datetime, end: datetime) -> Backfilled:
    """Start what the schedule would have started from `start` to `end`, both included: oldest first, all at once.

    What ran at its moment is not started again, nor does repeating start anything twice. Raises `InvalidInput` when the
    trigger is no schedule, or the period is in the future, or has more than 10,000 moments, and what the workflow's
    own refusal raises: `UnknownWorkflow`, `WorkflowDisabled`.
    """
    alias = conf.database()
    moments = _moments_between(trigger, start, end, database_now(alias))
    started = 0
    for first in range(0, len(moments), _BATCH):
        batch = moments[first : first + _BATCH]
        executions = transact(alias, functools.partial(_start, alias, trigger, batch))
        queues = sorted({execution.queue for execution in executions})
        announce(alias, queues, executions=[execution.pk for execution in executions])
        started += len(executions)
    return Backfilled(started=started, moments=len(moments))


def _start(alias: str, trigger: Trigger, moments: list[datetime], cursor: CursorWrapper) -> list[Execution]:
    now = database_now(alias)
    executions = [one for nominal in moments if (one := start_tick(alias, trigger, nominal, now)) is not None]
    if executions:
        starting.count(alias, trigger.pk, len(executions))
    return executions


def _moments_between(trigger: Trigger, start: datetime, end: datetime, now: datetime) -> list[datetime]:
    problems = {}
    if trigger.type != TriggerType.SCHEDULE:
        problems["trigger"] = [f"Only schedules have moments; this is a trigger of type {trigger.type}."]
    for name, moment in (("start", start), ("end", end)):
        if moment.tzinfo is None:
            problems[name] = ["needs a time zone, as in 2026-01-31T09:00:00+01:00."]
    if not problems and end < start:
        problems["end"] = ["lies before the start."]
    if not problems and end > now:
        problems["end"] = ["lies in the future, which the schedule itself will start."]
    if problems:
        raise InvalidInput(problems)
    coming = plan_of(trigger).schedule.moments(start - timedelta(microseconds=1))
    found = list(itertools.islice(itertools.takewhile(lambda moment: moment <= end, coming), MOST + 1))
    if len(found) > MOST:
        raise InvalidInput({"end": [f"The period has more than {MOST} moments; take it in parts."]})
    return found
