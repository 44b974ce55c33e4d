"""Triggers that should start something and do not: nobody has the workflow's code, or each attempt is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, QuerySet

from django_workflows import codec, conf
from django_workflows.expressions.schedules import parse_schedule
from django_workflows.inspection import coverage
from django_workflows.inspection.coverage import Coverage
from django_workflows.inspection.invariants import LATE, Snapshot
from django_workflows.inspection.phrases import span
from django_workflows.inspection.stored import actions_of
from django_workflows.models import TRIGGER_FAILED, Event, EventType, Trigger, TriggerType, Workflow

OFTEN = 3  # refusals
MOST = 1_000  # triggers and failures that are looked at

_SOURCE = "trigger "  # what the record of a failure says before the trigger's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What starts nothing, and what to do; `count` triggers or refusals."""

    problem: str
    remedy: str
    count: int


def unknown(snapshot: Snapshot) -> Iterator[Idle]:
    """Workflows that schedules should have started and no live worker knows; nothing where no worker lives at all.

    An event that nobody's code can take is a refusal, which `failing` counts.
    """
    covered = coverage.covered(snapshot)
    names = frozenset[str]().union(*(names for _queues, names in covered.known))
    rows = _active().filter(type=TriggerType.SCHEDULE).exclude(workflow__in=names)
    found: dict[str, list[Trigger]] = {}
    for trigger in rows.order_by("workflow", "created_at")[:MOST] if covered.known else ():
        if _has_missed(trigger, snapshot):
            found.setdefault(trigger.workflow, []).append(trigger)
    for name in sorted(found.keys() - _stored(found, covered)):
        first = found[name][0]
        yield Idle(
            problem=f"no live worker knows {name}, which the {_named(first)} is to start.",
            remedy=f"Deploy code that has it, or {_disable(first)}",
            count=len(found[name]),
        )


def unreadable(snapshot: Snapshot) -> Iterator[Idle]:
    """Schedules that nobody can read any more: a time zone that is gone, a row that was made past all checks."""
    for trigger in _active().filter(type=TriggerType.SCHEDULE).order_by("workflow", "created_at")[:MOST]:
        config: Mapping[str, Any] = trigger.config if isinstance(trigger.config, Mapping) else {}
        try:
            parse_schedule(trigger.pattern, tz=config.get("tz", "UTC"), anchor=trigger.created_at)
        except (ValueError, TypeError, ArithmeticError, LookupError, OSError) as error:
            yield Idle(
                problem=f"the {_named(trigger)} of {trigger.workflow} cannot be read, and starts nothing: {error}",
                remedy=f"Mend its pattern or its time zone, or {_disable(trigger)}",
                count=1,
            )


def failing(snapshot: Snapshot) -> Iterator[Idle]:
    """Active triggers that were refused again and again, and have started nothing since."""
    records = Event.objects.using(conf.database()).filter(
        type__in=(EventType.ERROR, EventType.SCHEDULE), name=TRIGGER_FAILED, execution__isnull=True
    )
    if snapshot.since is not None:
        records = records.filter(created_at__gte=snapshot.since)
    groups = records.values("source").annotate(count=Count("pk"), last=Max("created_at"))
    groups = groups.filter(count__gte=OFTEN).order_by("-last")[:MOST]
    often = {id: group for group in groups if (id := _id_of(group["source"])) is not None}
    for trigger in _active().filter(pk__in=often).order_by("workflow", "created_at"):
        group = often[trigger.pk]
        if trigger.last_triggered_at is None or trigger.last_triggered_at < group["last"]:
            newest = records.filter(source=group["source"], created_at=group["last"]).first()
            yield Idle(
                problem=f"the {_named(trigger)} was refused {group['count']} times, the last time "
                f"{span(snapshot.now - group['last'])} ago, and has not started {trigger.workflow} since: "
                f"{_reason(newest)}",
                remedy=f"Mend what comes in, the trigger's `input` or the workflow; or {_disable(trigger)}",
                count=group["count"],
            )


def _has_missed(trigger: Trigger, snapshot: Snapshot) -> bool:
    """Whether a moment has come that nobody has dealt with: workers without the code only put off the next look."""
    config: Mapping[str, Any] = trigger.config if isinstance(trigger.config, Mapping) else {}
    try:
        schedule = parse_schedule(trigger.pattern, tz=config.get("tz", "UTC"), anchor=trigger.created_at)
        due = schedule.next_after(trigger.scheduled_until or trigger.created_at)
    except (ValueError, TypeError, ArithmeticError, LookupError):  # made past all checks; the worker's log tells
        return False
    return due is not None and due < snapshot.now - LATE


def _named(trigger: Trigger) -> str:
    return f"{trigger.type} trigger {trigger.pattern!r} ({trigger.pk})"


def _disable(trigger: Trigger) -> str:
    return f"disable the trigger: manage.py workflows triggers disable {str(trigger.pk)[:8]}."


def _active() -> QuerySet[Trigger]:
    """Those that the operator wants, of workflows that he has not switched off."""
    off = Workflow.objects.using(conf.database()).filter(enabled=False).values("name")
    return Trigger.objects.using(conf.database()).filter(enabled=True, retired_at=None).exclude(workflow__in=off)


def _stored(names: Mapping[str, Any], covered: Coverage) -> set[str]:
    """Of these the stored definitions for which some worker has all steps."""
    rows = Workflow.objects.using(conf.database()).filter(name__in=names)
    needed = actions_of(rows.values_list("name", "version"))
    return {name for (name, _), actions in needed.items() if any(actions <= known for _queues, known in covered.known)}


def _id_of(source: str) -> UUID | None:
    try:
        return UUID(source.removeprefix(_SOURCE))
    except ValueError:
        return None


def _reason(record: Event | None) -> str:
    data = record.data if record is not None else None
    error = data.get("error") if isinstance(data, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else None
    return codec.redact_text(str(message or "")).strip()[:300]
