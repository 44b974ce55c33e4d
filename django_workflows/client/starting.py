"""Starting an execution: one INSERT, and a conversation only where a key is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.authoring.plans import Plan, Request, definition_of, make_plan, make_request
from django_workflows.authoring.ports import StartOptions
from django_workflows.client import statements
from django_workflows.client.commits import read, write
from django_workflows.client.handles import Handles, Times, first_of
from django_workflows.engine.database.dialects import dialect_of, read_time, store
from django_workflows.engine.events.after_commit import announce
from django_workflows.exceptions import KeyConflict, WorkflowDisabled
from django_workflows.models import Execution, Workflow, allowed_verbs, ports

# Others may take the key and finish again while it is being asked for; not often.
_TRIES = 20


MayReplace = Callable[[Execution], None]


class _NotReplaced(Exception):
    """The key was given up for nothing, which is undone."""


def anybody(holder: Execution) -> None:
    """Code may replace whatever has the key."""


def start(
    workflow: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: StartOptions,
    may_replace: MayReplace = anybody,
) -> tuple[Execution, bool]:
    """The execution, and whether it was started now: with a key it may be one that exists.

    `may_replace` gets the execution that has the key under `on_conflict="cancel"`, and raises what forbids to replace
    it; then nothing has changed. Raises `InvalidInput`, `PayloadError`, `UnknownWorkflow`, `WorkflowDisabled`, and
    `KeyConflict` under `on_conflict="error"`.
    """
    plan = make_plan(definition_of(workflow), options)
    wanted = make_request(plan, args, kwargs, options.key, options.idempotency_key)
    return Starter(plan, may_replace).start(wanted)


class Starter:
    """Carries out one plan on the engine's database."""

    def __init__(self, plan: Plan, may_replace: MayReplace = anybody) -> None:
        self.plan, self._may_replace = plan, may_replace
        self.alias = conf.database()
        self.dialect = dialect_of(connections[self.alias])

    def start(self, request: Request) -> tuple[Execution, bool]:
        execution, is_new = self.insert_or_find(request)
        if is_new:
            announce(self.alias, [self.plan.queue], executions=[execution.id], priority=self.plan.priority)
        return execution, is_new

    def insert_or_find(self, request: Request) -> tuple[Execution, bool]:
        """Insert, or settle with whoever holds the key."""
        work = self._insert
        for _ in range(_TRIES):
            times = self._write(work, request)
            if times is not None:
                return Handles(self.alias, self.plan, times).of(request), True
            if (same := self._same(request)) is not None:
                return same, False
            if (holder := self._holder(request)) is None:
                self._refuse_disabled()
                work = self._insert  # it has finished in between
            elif self.plan.on_conflict == "return":
                return holder, False
            elif self.plan.on_conflict == "error":
                raise KeyConflict(self.plan.workflow, str(request.key), holder.id)
            else:
                self._refuse_disabled()
                self._may_replace(holder)
                work = partial(self._replace, holder)
        raise KeyConflict(self.plan.workflow, str(request.key), "(one after another)")

    def _write(self, work: Callable[[CursorWrapper, Request], Times | None], request: Request) -> Times | None:
        is_insert = work == self._insert
        try:
            return write(
                self.alias,
                lambda cursor: work(cursor, request),
                lambda: self._read_back(request),
                one_statement=is_insert,
                savepoint=not is_insert,
            )
        except _NotReplaced:
            return None

    def _insert(self, cursor: CursorWrapper, request: Request) -> Times | None:
        text, parameters = self.statement(statements.START)
        own = [store(self.dialect, request.id), request.input, request.key, request.idempotency_key]
        cursor.execute(text, [*parameters, *own, *self.name_to_check])
        if (row := cursor.fetchone()) is not None:
            return [read_time(value) for value in row]
        # without a key only its own earlier attempt, on a connection that was lost, can stand in the way
        return self.read_times(cursor, request) if request.has_no_key else None

    def _replace(self, holder: Execution, cursor: CursorWrapper, request: Request) -> Times | None:
        """Take the key from its holder, cancel it, and start, in one transaction."""
        cursor.execute(statements.GIVE_UP_KEY.format(now=self.dialect.now()), [store(self.dialect, holder.id)])
        given_up = cursor.fetchone() is not None
        if given_up:
            holder.refresh_from_db(using=self.alias)
            if "cancel" in allowed_verbs(holder.status):
                ports.operations.cancel(holder, f"Replaced by execution {request.id}, which has the same key.")
        times = self._insert(cursor, request)
        if times is None and given_up:
            raise _NotReplaced
        return times

    @property
    def name_to_check(self) -> list[str]:
        """The last parameter: the workflow that must not be disabled. What is under way may start its children."""
        return [] if self.plan.parent else [self.plan.workflow]

    def statement(self, text: str, **pieces: str) -> tuple[str, list[Any]]:
        """The INSERT with the plan's times and values; what belongs to one execution follows."""
        plan = self.plan
        wake_at, when = self._moment(timedelta(0))
        deadline, until = self._moment(plan.timeout)
        expires_at, latest = self._moment(plan.ttl)
        parent, trigger = self._reference(plan.parent), self._reference(plan.trigger)
        text = text.format(
            now=self.dialect.now(),
            wake_at=wake_at,
            deadline=deadline,
            expires_at=expires_at,
            tags=self.dialect.as_json("%s"),
            parent_id="%s" if parent else "NULL",
            trigger_id="%s" if trigger else "NULL",
            may_start=statements.ENABLED if self.name_to_check else "true",
            **pieces,
        )
        constants = [plan.workflow, plan.version, plan.queue, plan.priority, plan.tags_text, plan.parent_close]
        return text, [*when, *until, *latest, *constants, *parent, *trigger]

    def _reference(self, id: UUID | None) -> list[Any]:
        return [] if id is None else [store(self.dialect, id)]

    def _moment(self, after: timedelta | None) -> tuple[str, list[Any]]:
        """SQL for `after` the start time, which is now, delayed, or `start_at` unless that has passed."""
        if after is None:
            return "NULL", []
        now = self.dialect.now((self.plan.delay + after).total_seconds())
        if self.plan.start_at is None:
            return now, []
        later_of = "max" if self.dialect.is_sqlite else "greatest"
        return f"{later_of}({now}, %s)", [store(self.dialect, self.plan.start_at + after)]

    def _read_back(self, request: Request) -> Times | None:
        return read(self.alias, lambda cursor: self.read_times(cursor, request))

    def read_times(self, cursor: CursorWrapper, request: Request) -> Times | None:
        cursor.execute(statements.STARTED, [store(self.dialect, request.id)])
        row = cursor.fetchone()
        return None if row is None else [read_time(value) for value in row]

    def _refuse_disabled(self) -> None:
        workflows = Workflow.objects.using(self.alias).filter(name__in=self.name_to_check, enabled=False)
        if first_of(workflows) is not None:
            raise WorkflowDisabled(self.plan.workflow)

    def _same(self, request: Request) -> Execution | None:
        """An execution that was started for the same reason: finished or not, it is the answer."""
        if request.idempotency_key is None:
            return None
        executions = Execution.objects.using(self.alias).filter(workflow=self.plan.workflow)
        return first_of(executions.filter(idempotency_key=request.idempotency_key))

    def _holder(self, request: Request) -> Execution | None:
        """The unfinished execution that holds the key."""
        if request.key is None:
            return None
        executions = Execution.objects.using(self.alias).filter(workflow=self.plan.workflow)
        return first_of(executions.filter(key=request.key, key_released=False, completed_at__isnull=True))
