"""The operator's verbs: pause, resume, cancel, retry. Each exists once, for code, admin, API and SQL.

`apply()` is called in the operator's transaction and waits for locks; `carry_out()` is called by a worker for what was
requested by an UPDATE, or could only be asked for, and never waits. Rows are locked from the top down: parents first.

| module | what it is |
|---|---|
| `verb_rows` | orders, locked rows, changes |
| `stopping` | pause, resume, cancel |
| `retrying` | retry, by `positions` |
| `verb_statements` | their SQL |
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID, uuid4

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.dispatch import Signal

from django_workflows import conf, signals
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_uuid, read_uuid_or_none
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events import after_commit
from django_workflows.engine.verbs import sql
from django_workflows.engine.verbs.retry import retry
from django_workflows.engine.verbs.rows import (
    Change,
    Postponed,
    Row,
    VerbRequest,
    VerbTransaction,
    log_refusal,
    status_after,
)
from django_workflows.engine.verbs.stop import cancel, pause, resume
from django_workflows.exceptions import ExecutionNotFound, KeyConflict, TransitionError, WorkflowsError
from django_workflows.models import Execution, Status, allowed_verbs

__all__ = [
    "Change",
    "Outcome",
    "VerbRequest",
    "announce",
    "apply",
    "apply_to",
    "carry_out",
    "carry_out_all",
    "requests",
]

from django_workflows.models.statuses import OPERATOR_VERBS

logger = logging.getLogger("django_workflows")

VERBS = tuple(verb for verb in OPERATOR_VERBS if verb != "signal")

Requests = Mapping[UUID, UUID | None]  # executions and their parents

# So many times the wanted number of requests are looked at: some belong to rows that are locked.
_LOOKAHEAD = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed, and why the others could not be."""

    changes: list[Change] = field(default_factory=list)
    refused: dict[UUID, WorkflowsError] = field(default_factory=dict)


def apply(cursor: CursorWrapper, dialect: Dialect, id: UUID, request: VerbRequest) -> list[Change]:
    """Carry out a verb on one execution; the first change is its own.

    Raises `ExecutionNotFound`, `TransitionError` and `KeyConflict`; then nothing was changed.
    """
    outcome = apply_to(cursor, dialect, [id], request)
    for error in outcome.refused.values():
        raise error
    return outcome.changes


def apply_to(cursor: CursorWrapper, dialect: Dialect, ids: Collection[UUID], request: VerbRequest) -> Outcome:
    """Carry out a verb on executions, few enough to be locked at once; those it does not apply to are left alone."""
    work = VerbTransaction(cursor, dialect)
    parents = {read_uuid(id): read_uuid_or_none(parent) for id, parent in work.fetch(sql.PARENTS, among=ids)}
    above = work.lock_parents({parent for parent in parents.values() if parent is not None}) if _ends(request) else {}
    rows = work.lock_rows(parents.keys())
    outcome = _apply(work, rows, request, above)
    found = {row.id for row in rows}
    for id in ids:
        if id not in found:
            outcome.refused[id] = ExecutionNotFound(f"There is no execution {id}. It may have been deleted.")
    return outcome


def _ends(request: VerbRequest) -> bool:
    return request.verb == "cancel"


def _apply(work: VerbTransaction, rows: Sequence[Row], request: VerbRequest, parents: Mapping[UUID, str]) -> Outcome:
    outcome = Outcome()
    fit = []
    for row in rows:
        try:
            status_after(row, request.verb)
            fit.append(row)
        except TransitionError as error:
            outcome.refused[row.id] = error
    if request.verb == "retry":
        for row in fit:
            _retry(work, row, request, outcome)
    elif fit:
        outcome.changes.extend(_STOPPING[request.verb](work, fit, request, parents))
    return outcome


_STOPPING: dict[str, Callable[[VerbTransaction, Sequence[Row], VerbRequest, Mapping[UUID, str]], list[Change]]] = {
    "pause": lambda work, rows, request, parents: pause(work, rows, request),
    "resume": lambda work, rows, request, parents: resume(work, rows, request),
    "cancel": cancel,
}


def _retry(work: VerbTransaction, row: Row, request: VerbRequest, outcome: Outcome) -> None:
    """In a savepoint, which undoes half a retry: of the children, one may be refused or locked."""
    if any(change.id == row.id for change in outcome.changes):
        return  # its parent was among the rows, and has retried it
    mine = replace(request, event_id=uuid4()) if outcome.changes else request
    try:
        with transaction.atomic(using=work.cursor.db.alias):
            changes = retry(work, row, mine)
    except (TransitionError, KeyConflict) as error:
        outcome.refused[row.id] = error
    except Postponed:
        return
    else:
        outcome.changes.extend(changes)


# by a worker


def carry_out(
    cursor: CursorWrapper,
    dialect: Dialect,
    limit: int = 100,
    *,
    but: Collection[UUID] = (),
    only: Requests | None = None,
) -> list[Change]:
    """Carry out at most `limit` requested verbs, in one transaction; what is locked waits for the next round.

    A verb that does not apply is cleared, and the history says why. To be followed by `announce()` after the commit.
    """
    work = VerbTransaction(cursor, dialect, is_worker=True)
    candidates = requests(cursor, dialect, limit, but=but) if only is None else only
    if not candidates:
        return []
    parents = work.lock_parents({parent for parent in candidates.values() if parent is not None})
    blocked = _existing(work, {parent for parent in candidates.values() if parent is not None} - parents.keys())
    free = [id for id, parent in candidates.items() if parent not in blocked]
    return _carry_out(work, work.lock_rows(free[:limit]), parents)


def requests(cursor: CursorWrapper, dialect: Dialect, limit: int = 100, *, but: Collection[UUID] = ()) -> Requests:
    """Executions for which a verb is requested, with their parents: more than `limit`, since some may be locked."""
    rows = VerbTransaction(cursor, dialect, is_worker=True).fetch(sql.REQUESTED, limit * _LOOKAHEAD + len(but))
    found = {read_uuid(id): read_uuid_or_none(parent) for id, parent in rows}
    return {id: parent for id, parent in found.items() if id not in but}


def _existing(work: VerbTransaction, ids: Collection[UUID]) -> set[UUID]:
    return {read_uuid(row[0]) for row in work.fetch(sql.EXISTING, among=ids)} if ids else set()


def _carry_out(work: VerbTransaction, rows: Sequence[Row], parents: Mapping[UUID, str]) -> list[Change]:
    requests: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.requested and not (row.requested == "pause" and row.is_held):
            requests[row.requested].append(row)
    changes: list[Change] = []
    by_id = {row.id: row for row in rows}
    for verb, wanted in requests.items():
        known = wanted if verb in VERBS else []
        outcome = _apply(work, known, VerbRequest(verb=verb, reason=None), parents)
        changes += outcome.changes
        refused = outcome.refused | {row.id: _unknown(row) for row in wanted if not known}
        for id, error in refused.items():
            _clear(work, by_id[id], error)
    return changes


def _unknown(row: Row) -> TransitionError:
    return TransitionError(row.requested, row.status, allowed_verbs(row.status), "there is no such verb")


def _clear(work: VerbTransaction, row: Row, error: WorkflowsError) -> None:
    """A request that can never be carried out must not stay."""
    logger.warning("Execution %s: %r was requested: %s", row.id, row.requested, error)
    work.execute(sql.ASK, "", None, among=[row.id])
    log_refusal(work, row, error)


def carry_out_all(alias: str) -> None:
    """Carry out what is requested until nothing more can be done, in transactions of its own."""
    dialect = dialect_of(connections[alias])
    while changes := transact(alias, lambda cursor: carry_out(cursor, dialect)):
        _tell(alias, changes)


_SIGNALS: dict[str, Signal] = {
    Status.PAUSED: signals.execution_paused,
    Status.CANCELLED: signals.execution_cancelled,
}


def announce(alias: str, changes: Sequence[Change], *, apart: bool = False) -> None:
    """After the commit: send Django's signals, wake the workers, and with `EAGER` go on here.

    `apart` calls the receivers in a thread of their own: a worker's pump must not wait for them.
    """
    if not changes:
        return
    if conf.eager() and any(change.asked for change in changes):
        after_commit.after_commit(alias, lambda: carry_out_all(alias), in_tests=True)
    _tell(alias, changes, apart=apart)


def _tell(alias: str, changes: Sequence[Change], *, apart: bool = False) -> None:
    told = [change for change in changes if change.before != change.after and _has_receivers(change)]
    if told:
        send = partial(_send_apart if apart else _send, told)
        after_commit.after_commit(alias, send, in_tests=False)
    queues = dict.fromkeys(queue for change in changes for queue in change.queues)
    after_commit.announce(alias, list(queues), executions=[id for change in changes for id in change.woken])


def _has_receivers(change: Change) -> bool:
    return change.after in _SIGNALS and _SIGNALS[change.after].has_listeners(Execution)


def _send(changes: Sequence[Change]) -> None:
    for change in changes:
        _SIGNALS[change.after].send_robust(sender=Execution, execution_id=change.id, workflow=change.workflow)


def _send_apart(changes: Sequence[Change]) -> None:
    def send() -> None:
        try:
            _send(changes)
        finally:
            connections.close_all()

    threading.Thread(target=send, daemon=True).start()
