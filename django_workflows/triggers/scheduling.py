"""Fires the schedules that are due: a chore of every worker.

A schedule is a row whose `next_at` says when somebody must look at it. Whoever locks it first starts what is due and
moves `scheduled_until` and `next_at` on, in one transaction: killed in the middle, it leaves nothing behind, and the
others skip the row meanwhile. The idempotency key of each execution (trigger and moment) stands behind that.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import operations
from django_workflows.clock import database_now
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_uuid
from django_workflows.engine.database.tables import columns, run
from django_workflows.engine.database.transactions import transact
from django_workflows.exceptions import UnknownWorkflow, WorkflowDisabled
from django_workflows.models import Execution, Trigger, TriggerType
from django_workflows.triggers.breaking import heal, tell_broken
from django_workflows.triggers.planning import Due, Plan, plan_of
from django_workflows.triggers.schedule_starts import start_tick

logger = logging.getLogger("django_workflows")

BATCH = 25  # schedules in one transaction
_BROKEN = timedelta(hours=1)  # a row that cannot be read is looked at again after so long
_UNTAKEN, _BACK = timedelta(seconds=60), timedelta(seconds=30)  # as executions without code step back
_SOONEST, _LATEST = (
    timedelta(seconds=1),
    timedelta(seconds=60),
)  # how often one that waits for an execution is looked at

# Raw because of SKIP LOCKED on the three databases; the rows are then read by their ids.
DUE = """
SELECT id FROM django_workflows_trigger WHERE next_at IS NOT NULL AND next_at <= {now} {known}
ORDER BY next_at LIMIT %s {lock}
"""

# Enabled by SQL, or made past all doors.
UNPLANNED = """
SELECT id FROM django_workflows_trigger
WHERE type = 'schedule' AND enabled AND retired_at IS NULL AND next_at IS NULL LIMIT %s {lock}
"""

COLUMNS = columns(
    id="uuid",
    next_at="timestamptz",
    scheduled_until="timestamptz",
    buffered_at="timestamptz",
    started="int",
    skipped="int",
)

# One statement for the round: the rows are locked, and most rounds under load have many.
MOVE_ON = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_trigger AS mine SET
    next_at = r.next_at, scheduled_until = r.scheduled_until, buffered_at = r.buffered_at,
    trigger_count = trigger_count + r.started, skipped_count = skipped_count + r.skipped,
    last_triggered_at = CASE WHEN r.started > 0 THEN {now} ELSE last_triggered_at END,
    last_skipped_at = CASE WHEN r.skipped > 0 THEN {now} ELSE last_skipped_at END
FROM r WHERE mine.id = r.id {beside}
"""


@dataclass(slots=True, kw_only=True)
class Fired:
    """What one transaction did; `strange` are workflows whose code is elsewhere."""

    looked_at: int = 0
    started: list[Execution] = field(default_factory=list)
    strange: set[str] = field(default_factory=set)


def fire_due(alias: str, *, strange: Collection[str] = ()) -> Fired:
    """Look at some schedules that are due, the longest due first, but at none of a `strange` workflow."""
    return transact(alias, lambda cursor: _Round(alias).look(cursor, sorted(strange)), reads_past=True)


class _Round:
    """One transaction."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._fired = Fired()
        self._busy: set[UUID] = set()
        self._moved: list[tuple[Any, ...]] = []
        self._now: datetime

    def look(self, cursor: CursorWrapper, strange: list[str]) -> Fired:
        dialect = dialect_of(connections[self._alias])
        ids = self._lock_due(cursor, dialect, strange)
        self._now = database_now(self._alias)
        rows = list(Trigger.objects.using(self._alias).filter(pk__in=ids).order_by("next_at"))
        self._busy = self._find_busy(rows)
        for trigger in rows:
            self._attend(trigger)
        run(cursor, dialect, MOVE_ON, COLUMNS, self._moved)
        self._fired.looked_at = len(rows)
        return self._fired

    def _lock_due(self, cursor: CursorWrapper, dialect: Dialect, strange: list[str]) -> list[UUID]:
        known = f"AND workflow NOT IN ({', '.join(['%s'] * len(strange))})" if strange else ""
        cursor.execute(DUE.format(now=dialect.now(), known=known, lock=dialect.lock), [*strange, BATCH])
        found = cursor.fetchall()
        if len(found) < BATCH:
            cursor.execute(UNPLANNED.format(lock=dialect.lock), [BATCH - len(found)])
            found += cursor.fetchall()
        return [read_uuid(row[0]) for row in found]

    def _find_busy(self, rows: list[Trigger]) -> set[UUID]:
        """The schedules whose execution before has not finished, unless they do not care and may have thousands."""
        asking = [row.pk for row in rows if not (isinstance(row.config, dict) and row.config.get("overlap") == "allow")]
        unfinished = Execution.objects.using(self._alias).filter(completed_at__isnull=True, trigger_id__in=asking)
        found = unfinished.values_list("trigger_id", flat=True).distinct()
        return {id for id in found if id is not None}

    def _attend(self, trigger: Trigger) -> None:
        """One schedule: start what is due, and say when to look again."""
        if trigger.type != TriggerType.SCHEDULE or trigger.retired_at is not None:
            self._look_again(trigger, None)
            return
        try:
            self._deal_with(trigger, plan_of(trigger))
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            # made past all checks: one row must not stop the others, nor the worker
            logger.error("The schedule %s of %s cannot be read: %s", trigger.pk, trigger.workflow, error)
            tell_broken(self._alias, trigger, f"The schedule cannot be read: {error}", self._now)
            self._look_again(trigger, self._now + _BROKEN)

    def _deal_with(self, trigger: Trigger, plan: Plan) -> None:
        tally = _Tally(self._alias, trigger, plan, self._now, trigger.pk in self._busy)
        try:
            if trigger.next_at is None or not trigger.enabled:
                tally.pass_over()
            else:
                tally.deal_with(plan.due(tally.until, self._now))
        except WorkflowDisabled as error:
            logger.info("%s", error)
            tally.pass_over()
        except UnknownWorkflow:
            self._fired.strange.add(trigger.workflow)
            if trigger.next_at is not None and self._now - trigger.next_at > _UNTAKEN:
                reason = f"No worker that has looked at it knows the workflow {trigger.workflow!r}."
                tell_broken(self._alias, trigger, reason, self._now)
                self._look_again(trigger, self._now + _BACK)
            return
        heal(self._alias, trigger)
        self._fired.started += tally.started
        numbers = len(tally.started), tally.skipped
        self._moved.append((trigger.pk, tally.look_at(), tally.until, tally.buffered, *numbers))

    def _look_again(self, trigger: Trigger, next_at: datetime | None) -> None:
        """Leave what is due as it is."""
        self._moved.append((trigger.pk, next_at, trigger.scheduled_until, trigger.buffered_at, 0, 0))


class _Tally:
    """What becomes of the moments of one schedule that are due."""

    def __init__(self, alias: str, trigger: Trigger, plan: Plan, now: datetime, is_busy: bool) -> None:
        self._alias, self._trigger, self._plan, self._now = alias, trigger, plan, now
        self._is_busy = is_busy
        self._held: datetime | None = None
        self.until = trigger.scheduled_until or (trigger.next_at or now) - timedelta(seconds=1)
        self.buffered = trigger.buffered_at
        self.started: list[Execution] = []
        self.skipped = 0

    def pass_over(self) -> None:
        """Switched off, or just begun: its moments pass, and none is caught up later."""
        self.until, self.buffered, self._held = max(self._now, self.until), None, None

    def deal_with(self, due: Due) -> None:
        if self.buffered is not None and not (self._is_busy and self._plan.overlap == "buffer_one"):
            self._start(self.buffered)
            self.buffered = None
        one_by_one = due.was_missed and self._plan.catch_up_all and self._plan.overlap in {"skip", "buffer_one"}
        done: datetime | None = None
        for nominal in due.moments:
            if one_by_one and self._is_busy:
                self._held = nominal
                self.until = done or nominal - timedelta(microseconds=1)
                return
            self._decide(nominal)
            done = nominal
        self.until = due.until

    def _decide(self, nominal: datetime) -> None:
        overlap = self._plan.overlap
        if not self._is_busy or overlap == "allow":
            self._start(nominal)
        elif overlap == "cancel_other":
            self._cancel_others()
            self._start(nominal)
        elif overlap == "buffer_one" and self.buffered is None:
            self.buffered = nominal
        else:
            self.skipped += 1

    def _start(self, nominal: datetime) -> None:
        execution = start_tick(self._alias, self._trigger, nominal, self._now)
        if execution is not None:
            self.started.append(execution)
            self._is_busy = True

    def _cancel_others(self) -> None:
        unfinished = Execution.objects.using(self._alias).filter(completed_at__isnull=True)
        reason = "Its schedule has started the next one (overlap: cancel_other)."
        operations.bulk(unfinished.filter(trigger_id=self._trigger.pk), "cancel", reason, by="schedule")

    def look_at(self) -> datetime:
        """At the next moment; before it, when something waits for the end of an execution."""
        next_at = self._plan.look_after(self.until, self._now)
        if (waiting := self.buffered or self._held) is None:
            return next_at
        again = self._now + min(max((self._now - waiting) / 10, _SOONEST), _LATEST)
        return again if self._held else min(next_at, again)
