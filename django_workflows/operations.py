"""The operator's verbs: pause, resume, cancel, retry, on one execution or on many.

Each belongs to the caller's transaction, leaves a row in the execution's history, and takes an `Execution` or an id.
`reason` is kept with the execution; `by` is a user or a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from django_workflows import codec, conf, rights
from django_workflows.engine.database import notify
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import settled, transact
from django_workflows.engine.events import after_commit, take
from django_workflows.engine.verbs import apply
from django_workflows.engine.verbs.apply import Outcome, VerbRequest
from django_workflows.exceptions import EventNotFound, ExecutionNotFound, WorkflowsError
from django_workflows.models import Event, EventType, Execution
from django_workflows.models.ports import Operations

BATCH = 100
_TRIES = 3

# The columns that a verb changes.
_CHANGED = (
    "status",
    "requested",
    "reason",
    "output",
    "error",
    "current_step",
    "wake_at",
    "claim",
    "claimed_by",
    "awaiting",
    "crashes",
    "deadline",
    "updated_at",
    "completed_at",
)

_PERMISSIONS = dict.fromkeys((*apply.VERBS, "signal"), "control_execution")


def pause(execution: Execution | UUID | str, reason: str = "", *, by: Any = None) -> None:
    """Park it: running steps finish and are stored, nothing new starts until `resume()`.

    Raises `ExecutionNotFound`, and `TransitionError` when it has finished or is paused already.
    """
    _apply("pause", execution, reason, by)


def resume(execution: Execution | UUID | str, reason: str = "", *, by: Any = None) -> None:
    """Let a paused execution go on at once; crashes that it was parked for are forgiven. A pause that is only requested
    is taken back.

    Raises `ExecutionNotFound`, and `TransitionError` when it neither is paused nor is to be.
    """
    _apply("resume", execution, reason, by)


def cancel(execution: Execution | UUID | str, reason: str = "", *, by: Any = None) -> None:
    """End it and the children that do not outlive it. What runs is taken away, and its late results are refused.

    Raises `ExecutionNotFound`, and `TransitionError` when it has finished.
    """
    _apply("cancel", execution, reason, by)


def retry(execution: Execution | UUID | str, reason: str = "", *, by: Any = None) -> None:
    """Let a failed execution go on from the step that failed; earlier results and other branches' are kept.

    Failed children that it failed of are retried with it; a timeout that has passed counts anew. Raises
    `ExecutionNotFound`, `TransitionError` when it has not failed or was rolled back, and `KeyConflict` when an
    unfinished execution holds its key now.
    """
    _apply("retry", execution, reason, by)


# For those who are told a verb by its name.
VERBS: Mapping[str, Callable[..., None]] = {"pause": pause, "resume": resume, "cancel": cancel, "retry": retry}


def redrive(event: Event | UUID | str, reason: str = "", *, by: Any = None) -> bool:
    """Have an event dispatched again that was set aside because its dispatch killed workers, or failed for good.

    Whether it was set aside; otherwise nothing is changed. What it has started or reached already stays, and is neither
    started nor reached twice. Raises `EventNotFound`.
    """
    alias = conf.database()
    rows = Event.objects.using(alias).filter(type=EventType.EVENT, execution=None)
    uuid = _uuid_of(event)
    found = None if uuid is None else rows.filter(pk=uuid).first()
    if found is None:
        raise EventNotFound(f"There is no event {event!r:.100}; an id is a UUID.")
    request = _request("redrive", reason, by)
    data = {"by": request.by, "reason": request.reason, "event": {"id": str(found.pk), "name": found.name}}
    changed = transact(alias, lambda cursor: take.redrive(cursor, found, data))
    if changed:
        after_commit.announce(alias, [notify.ANY_QUEUE], event=found.pk)
    return changed


def _uuid_of(event: Any) -> UUID | None:
    id = getattr(event, "id", event)
    try:
        return id if isinstance(id, UUID) else UUID(str(id))
    except ValueError:
        return None


class _Door:
    pause = staticmethod(pause)
    resume = staticmethod(resume)
    cancel = staticmethod(cancel)
    retry = staticmethod(retry)


door: Operations = _Door()


def may(user: Any, verb: str, execution: Execution | None = None) -> bool:
    """Whether a user may apply a verb, or "signal": to any execution, or by an object permission to this one."""
    return rights.may(user, _PERMISSIONS[verb], execution)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What became of each execution: changed, or why not."""

    changed: list[UUID] = field(default_factory=list)
    errors: dict[UUID, WorkflowsError] = field(default_factory=dict)


def bulk(
    executions: QuerySet[Execution] | Iterable[Execution | UUID | str],
    verb: str,
    reason: str = "",
    *,
    by: Any = None,
    batch: int = BATCH,
) -> BulkResult:
    """Apply a verb to many executions, chosen now; an error of one does not keep the others from it.

    In batches: at most `batch` executions are locked at once, and each batch commits by itself unless the caller has a
    transaction open.
    """
    chosen = _ids(executions)
    touched: set[UUID] = set()
    result = BulkResult()
    for start in range(0, len(chosen), batch):
        # a retry has perhaps retried children that are among the rest
        chunk = sorted(set(chosen[start : start + batch]) - touched)
        if chunk:
            outcome = _carry_out(_request(verb, reason, by), chunk)
            touched.update(change.id for change in outcome.changes)
            result.errors.update(outcome.refused)
    result.changed.extend(id for id in chosen if id in touched)
    return result


def _ids(executions: Iterable[Any]) -> list[UUID]:
    if isinstance(executions, QuerySet):
        # read at once: a verb changes what the query finds
        return list(executions.using(conf.database()).values_list("pk", flat=True))
    return list(dict.fromkeys(_id_of(execution) for execution in executions))


def _id_of(execution: Any) -> UUID:
    id = getattr(execution, "id", execution)
    try:
        return id if isinstance(id, UUID) else UUID(str(id))
    except ValueError:
        raise ExecutionNotFound(f"There is no execution {id!r:.100}; an id is a UUID.") from None


def _request(verb: str, reason: str, by: Any) -> VerbRequest:
    """Raises `PayloadError` for a text that a database cannot store."""
    name = "" if by is None else str(by.get_username() if hasattr(by, "get_username") else by)
    codec.encode([reason, name])
    return VerbRequest(verb=verb, reason=reason, by=name)


def _apply(verb: str, execution: Execution | UUID | str, reason: str, by: Any) -> None:
    outcome = _carry_out(_request(verb, reason, by), [_id_of(execution)])
    for error in outcome.refused.values():
        raise error
    if isinstance(execution, Execution):
        execution.refresh_from_db(using=conf.database(), fields=_CHANGED)


def _carry_out(request: VerbRequest, ids: Sequence[UUID]) -> Outcome:
    """One transaction, or a part of the caller's; what follows from it waits for the commit."""
    alias = conf.database()
    connection = connections[alias]
    done: list[Outcome] = []

    def work(cursor: CursorWrapper) -> Outcome:
        done.append(apply.apply_to(cursor, dialect_of(connection), ids, request))
        apply.announce(alias, done[-1].changes)
        return done[-1]

    if connection.in_atomic_block or not connection.get_autocommit():
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            return work(cursor)

    def read_back() -> Outcome | None:
        if not done or not Event.objects.using(alias).filter(pk=request.event_id).exists():
            return None
        apply.announce(alias, done[-1].changes)  # what was to follow the commit was lost with the connection
        return done[-1]

    return settled(lambda: transact(alias, work), read_back, tries=_TRIES)
