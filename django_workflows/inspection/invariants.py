"""The invariants that must hold in a healthy database, each as a query for the executions that break it.

Each is one statement, so it sees one state of the database and no execution in the middle of a commit. What may be
late by a lease, or by the time for which an unserved execution is put off, is given that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Window
from django.db.models.functions import Lag

from django_workflows import clock, conf
from django_workflows.models import (
    FINISHED,
    OPEN_STEPS,
    UNFINISHED,
    UNSTORED,
    Event,
    EventType,
    Execution,
    Requested,
    Signal,
    Status,
    StepKind,
    StepResult,
    StepStatus,
    Trigger,
    TriggerType,
)

Executions = QuerySet[Execution]

# Longer than anything healthy takes between falling due and being taken.
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database at one moment; `since`: histories of executions created before are not looked at."""

    now: datetime
    since: datetime | None = None

    @classmethod
    def today(cls, history: timedelta | None) -> Snapshot:
        now = clock.database_now(conf.database())
        return cls(now, None if history is None else now - history)

    @property
    def executions(self) -> Executions:
        return Execution.objects.using(conf.database())

    @property
    def recent(self) -> Executions:
        """Where whole histories are looked at."""
        return self.executions if self.since is None else self.executions.filter(created_at__gte=self.since)

    @property
    def not_due(self) -> Q:
        """Nothing will look at it soon."""
        return Q(wake_at__isnull=True) | Q(wake_at__gt=self.now + LATE)

    @property
    def overdue(self) -> Q:
        return Q(wake_at__lt=self.now - LATE)


def _open_steps(**conditions: object) -> QuerySet[StepResult]:
    """Of the outer execution, in its present generation."""
    steps = StepResult.objects.using(conf.database()).filter(execution_id=OuterRef("pk"), superseded=0)
    return steps.filter(generation=OuterRef("generation"), status__in=OPEN_STEPS, **conditions)


def lost_leases(snapshot: Snapshot) -> Executions:
    """Running, and nobody has taken it over though its lease ran out long ago, or it has none."""
    patience = timedelta(seconds=conf.lease() + conf.grace())
    late = Q(wake_at__isnull=True) | Q(wake_at__lt=snapshot.now - patience)
    return snapshot.executions.filter(late, status=Status.RUNNING)


def never_due(snapshot: Snapshot) -> Executions:
    """Pending without a moment at which anybody would look at it."""
    rows = snapshot.executions.filter(status__in=(Status.PENDING, Status.ROLLING_BACK), wake_at__isnull=True)
    return rows.filter(requested="")


def waiting_for_nothing(snapshot: Snapshot) -> Executions:
    """Waiting, and the journal has neither an open wait nor an open step; a loop around them does not count."""
    return snapshot.executions.filter(~Exists(_open_steps().exclude(kind=StepKind.LOOP)), status=Status.WAITING)


def unread_signals(snapshot: Snapshot) -> Executions:
    """Waiting for a signal that is stored and unread."""
    unread = Signal.objects.filter(
        execution_id=OuterRef("execution_id"), name=OuterRef("name"), step_key="", consumed_at__isnull=True
    )
    return _with_unread(snapshot, StepKind.SIGNAL, unread)


def unread_events(snapshot: Snapshot) -> Executions:
    """Waiting for an event that was delivered to that wait and is unread."""
    unread = Signal.objects.filter(
        execution_id=OuterRef("execution_id"), step_key=OuterRef("key"), consumed_at__isnull=True
    )
    return _with_unread(snapshot, StepKind.EVENT, unread)


def _with_unread(snapshot: Snapshot, kind: str, unread: QuerySet[Signal]) -> Executions:
    """A message that came after the wait's deadline does not count."""
    unread = unread.using(conf.database())
    in_time = Exists(unread.filter(created_at__lte=OuterRef("deadline")))
    waits = _open_steps(kind=kind).filter(Q(in_time) | Q(Exists(unread), deadline__isnull=True))
    return snapshot.executions.filter(snapshot.not_due, Exists(waits), status=Status.WAITING)


def untold_parents(snapshot: Snapshot) -> Executions:
    """Waiting for children of its own that have all finished, and nothing wakes it.

    A handle that nobody waits for leaves an open row as well; with another wait open, and no child awaited, it is
    nothing to complain about.
    """
    own = Execution.objects.using(conf.database()).filter(parent_id=OuterRef("execution_id"), pk=OuterRef("child_id"))
    rows = _open_steps(kind=StepKind.CHILD)
    others = _open_steps().exclude(kind__in=(StepKind.CHILD, StepKind.LOOP))
    return snapshot.executions.filter(
        snapshot.not_due,
        Exists(rows.filter(Exists(own.filter(status__in=FINISHED)))),
        ~Exists(rows.filter(~Exists(own.filter(status__in=FINISHED)))),
        Q(awaiting__gt=0) | ~Q(Exists(others)),
        status=Status.WAITING,
    )


def not_at_rest(snapshot: Snapshot) -> Executions:
    """Finished or paused, and still with a timer, a lease or a holder; or finished and not, by its columns."""
    resting = Q(status__in=(*FINISHED, Status.PAUSED))
    busy = resting & (Q(wake_at__isnull=False) | Q(claimed_by__isnull=False))
    undecided = Q(status__in=FINISHED, completed_at__isnull=True)
    undead = Q(status__in=UNFINISHED, completed_at__isnull=False)
    return snapshot.executions.filter(busy | undecided | undead)


def open_after_the_end(snapshot: Snapshot) -> Executions:
    """Completed or cancelled with an open step. Nobody waits for the children that a completed one leaves behind."""
    open_steps = _open_steps()
    return snapshot.recent.filter(
        Q(Exists(open_steps), status=Status.CANCELLED)
        | Q(Exists(open_steps.exclude(kind=StepKind.CHILD)), status=Status.COMPLETED)
    )


def orphans(snapshot: Snapshot) -> Executions:
    """A child that no step of its parent stands for."""
    parents = Execution.objects.using(conf.database()).filter(pk=OuterRef("parent_id"))
    steps = StepResult.objects.using(conf.database()).filter(
        execution_id=OuterRef("parent_id"), child_id=OuterRef("pk")
    )
    return snapshot.recent.filter(Exists(parents), ~Exists(steps), parent__isnull=False)


def overdue(snapshot: Snapshot) -> Executions:
    """Due for longer than workers that serve it need."""
    rows = snapshot.executions.filter(
        snapshot.overdue, status__in=(Status.PENDING, Status.WAITING, Status.ROLLING_BACK)
    )
    return rows.filter(requested="")


def unheard_requests(snapshot: Snapshot) -> Executions:
    """A verb was requested and no worker has carried it out. A holder that is alive may take its time to park."""
    parking = Q(status=Status.RUNNING, requested=Requested.PAUSE, wake_at__gt=snapshot.now)
    return snapshot.executions.filter(requested__gt="", updated_at__lt=snapshot.now - LATE).exclude(parking)


def unstored(snapshot: Snapshot) -> Executions:
    """Running, and what it has done was refused by the database again and again; nothing was stored since."""
    later = StepResult.objects.using(conf.database()).filter(
        execution_id=OuterRef("execution_id"), completed_at__gt=OuterRef("created_at")
    )
    told = Event.objects.using(conf.database()).filter(
        ~Exists(later), execution_id=OuterRef("pk"), type=EventType.ERROR, name=UNSTORED
    )
    return snapshot.executions.filter(Exists(told.filter(created_at__gt=OuterRef("updated_at"))), status=Status.RUNNING)


def undispatched_events(snapshot: Snapshot) -> QuerySet[Event]:
    """Published, due, and handed to nobody."""
    published = Event.objects.using(conf.database()).filter(type=EventType.EVENT, execution__isnull=True)
    return published.filter(dispatched_at__isnull=True, deliver_at__lt=snapshot.now - LATE)


def set_aside(snapshot: Snapshot) -> QuerySet[Event]:
    """Published, and dispatched by nobody any more: that killed workers, or failed for good."""
    return Event.objects.using(conf.database()).filter(set_aside_at__isnull=False)


def late_schedules(snapshot: Snapshot) -> QuerySet[Trigger]:
    """Due, and looked at by nobody."""
    active = Trigger.objects.using(conf.database()).filter(type=TriggerType.SCHEDULE, enabled=True, retired_at=None)
    return active.filter(next_at__lt=snapshot.now - LATE)


def _outcomes(snapshot: Snapshot) -> QuerySet[StepResult]:
    """The steps that a replay would load, and that are over."""
    steps = StepResult.objects.using(conf.database()).filter(superseded=0)
    steps = steps.filter(status__in=(StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED))
    return steps if snapshot.since is None else steps.filter(execution__created_at__gte=snapshot.since)


def double_outcomes(snapshot: Snapshot) -> QuerySet[StepResult, Any]:
    """Positions with more than one outcome."""
    positions = _outcomes(snapshot).values("execution_id", "generation", "key")
    return positions.annotate(number=Count("pk")).filter(number__gt=1).order_by("execution_id", "key")


def falling_claims(snapshot: Snapshot) -> QuerySet[StepResult]:
    """Results that were recorded after one with a higher claim: somebody wrote who had lost the execution."""
    before = Window(Lag("claim"), partition_by=[F("execution_id"), F("generation")], order_by=[F("seq"), F("claim")])
    return _outcomes(snapshot).annotate(before=before).filter(before__gt=F("claim")).order_by("execution_id", "seq")
