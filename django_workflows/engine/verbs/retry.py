"""Retry: a failed execution goes on from the step that failed, and its earlier results are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, OperationalError, transaction

from django_workflows.engine.database.dialects import read_time, read_uuid, read_uuid_or_none
from django_workflows.engine.database.errors import sqlstate_of
from django_workflows.engine.history.log import Failure, tell_of_failure
from django_workflows.engine.history.positions import last_beside, superseded_by
from django_workflows.engine.verbs import sql
from django_workflows.engine.verbs.rows import Change, Postponed, Row, VerbRequest, VerbTransaction, log, status_after
from django_workflows.engine.verbs.stop import change
from django_workflows.exceptions import KeyConflict, TransitionError
from django_workflows.models import Status, StepKind, StepStatus, allowed_verbs

# How long a worker waits for a transaction that may be about to take the key, on databases that can wait.
_PATIENCE = "100ms"
LOCK_TIMEOUT = "55P03"

# An execution's end is timed by the commit, its steps by their worker: the clocks of a cluster differ that much.
_CLOCKS_DIFFER, _TICK = timedelta(seconds=1), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the journal, as far as a retry looks at it."""

    id: UUID
    key: str
    seq: int
    kind: str
    status: str
    child_id: UUID | None

    @property
    def has_failed(self) -> bool:
        return self.status == StepStatus.FAILED

    @property
    def child(self) -> UUID | None:
        """The child execution whose failure this row is."""
        return self.child_id if self.kind == StepKind.CHILD and self.has_failed else None


def retry(work: VerbTransaction, row: Row, request: VerbRequest) -> list[Change]:
    """Let a failed execution go on, and the children whose failure it failed of; these come after it.

    To be called in a savepoint: the errors leave a part of the work behind. Raises `TransitionError`, `KeyConflict`
    and, for a worker, `Postponed`.
    """
    status_after(row, request.verb)
    if was_rolled_back(row):
        allowed = set(allowed_verbs(row.status)) - {"retry"}
        raise TransitionError(request.verb, row.status, allowed, "it was rolled back; start it again")
    _check_key(work, row)
    _tell_of_failure(work, row)
    _start_again(work, row, request)
    work.execute(sql.OPEN_EVENT_WAITS, row.id)
    former = {row.id: row.deadline} if row.deadline is not None else {}
    log(work, request, [(row, Status.PENDING)], claim={row.id: row.claim + 1}, former_deadline=former)
    children = _make_room(work, row, request)
    mine = change(row, request, Status.PENDING, woken=(row.id,), queues=(row.queue,))
    return [mine, *children]


def was_rolled_back(row: Row) -> bool:
    """Whether what its steps did was undone; then there is nothing to go on from."""
    return bool(row.failure.get("rolled_back"))


def _check_key(work: VerbTransaction, row: Row) -> None:
    if row.key is None or row.key_released:
        return
    if found := work.fetch(sql.HOLDER, row.workflow, row.key, row.id):
        raise KeyConflict(row.workflow, row.key, read_uuid(found[0][0]))


def _tell_of_failure(work: VerbTransaction, row: Row) -> None:
    """The failure from which it begins again stays in the history, after what its last turn recorded."""
    assert row.completed_at is not None  # it has failed
    limit = row.completed_at + _CLOCKS_DIFFER
    found = work.fetch(sql.LAST_RECORDED, row.id, limit, row.id, limit)
    last = read_time(found[0][0])
    at = max(moment for moment in (row.completed_at, last) if moment is not None)
    end = Failure(claim=row.claim, reason=row.reason, error=row.error, at=at + _TICK)
    tell_of_failure(work.cursor, work.dialect, row.id, end)


def _start_again(work: VerbTransaction, row: Row, request: VerbRequest) -> None:
    """Make it pending, unless another takes the key at this moment."""
    again = (None if row.asks_for(request.verb) else request.reason, _deadline(work, row), row.id)
    if row.key is None or row.key_released:
        work.execute(sql.START_AGAIN, *again)
        return
    try:
        with transaction.atomic(using=work.cursor.db.alias):
            _be_impatient(work)
            work.execute(sql.START_AGAIN, *again)
    except IntegrityError:
        _check_key(work, row)
        raise
    except OperationalError as error:
        if work.is_worker and sqlstate_of(error) == LOCK_TIMEOUT:
            raise Postponed from error
        raise


def _be_impatient(work: VerbTransaction) -> None:
    if work.is_worker and not work.dialect.is_sqlite:
        work.cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")


def _deadline(work: VerbTransaction, row: Row) -> datetime | None:
    """A deadline that has passed counts anew, with its whole length."""
    if row.deadline is None or row.deadline > (now := work.now()):
        return row.deadline
    return now + (row.deadline - row.created_at)


def _make_room(work: VerbTransaction, row: Row, request: VerbRequest) -> list[Change]:
    """Supersede what the new attempt does again; the failed children that it waits for once more are retried."""
    key = row.failure.get("step")
    if not isinstance(key, str) or not key:
        return []
    records = [_record(found) for found in work.fetch(sql.JOURNAL, row.id, row.generation)]
    gone, failed = _superseded(key, records)
    kept, changes = _retry_children(work, [record.child for record in failed if record.child], request)
    _supersede(work, row, gone, [record for record in failed if record.child in kept])
    return changes


def _record(found: Sequence[Any]) -> Record:
    id, key, seq, kind, status, child_id = found
    return Record(read_uuid(id), key, seq, kind, status, read_uuid_or_none(child_id))


def _superseded(key: str, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The rows that are done again, and those of them that failed and brought the execution down.

    These are the step itself and, in parallel, every branch's last step that failed: with one of them kept, the retry
    would fail of it at once.
    """
    by_key = {record.key: record for record in records}
    recorded = {record.key: record.seq for record in records}
    beside = {other for other in last_beside(key, recorded) if by_key[other].has_failed}
    gone = [by_key[other] for other in superseded_by(key, recorded) | beside]
    return gone, [record for record in gone if record.key == key or record.key in beside]


def _supersede(work: VerbTransaction, row: Row, gone: Sequence[Record], awaited: Sequence[Record]) -> None:
    claim = row.claim + 1
    if gone:
        work.execute(sql.SUPERSEDE, claim, among=[record.id for record in gone])
    for loop in (record for record in gone if record.kind == StepKind.LOOP):
        prefix = f"{loop.key}#"
        own = (claim, row.id, row.generation, len(prefix), prefix)
        work.execute(sql.SUPERSEDE_ITERATIONS, *own)
    if awaited:
        copies = [(record.id, uuid4()) for record in awaited]
        work.run(sql.AWAIT_AGAIN, sql.COPY_COLUMNS, copies)


def _retry_children(work: VerbTransaction, ids: Sequence[UUID], request: VerbRequest) -> tuple[set[UUID], list[Change]]:
    """Retry children that failed; which of them the parent waits for again. It starts new ones instead of others."""
    rows = work.lock_rows(ids)
    if work.is_worker and len(rows) < len(set(ids)):
        found = work.fetch(sql.EXISTING, among=ids)
        if len(found) > len(rows):
            raise Postponed
    kept: set[UUID] = set()
    changes: list[Change] = []
    for row in rows:
        if row.status == Status.CANCELLED or was_rolled_back(row):
            continue
        kept.add(row.id)
        if row.status == Status.FAILED:
            changes += retry(work, row, replace(request, event_id=uuid4()))
    return kept, changes
