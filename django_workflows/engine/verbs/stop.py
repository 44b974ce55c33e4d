"""Pause, resume and cancel: what they do to rows that this transaction has locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django_workflows import codec
from django_workflows.engine.commit.transaction import tell_parents
from django_workflows.engine.database.dialects import read_uuid
from django_workflows.engine.database.notify import ANY_QUEUE
from django_workflows.engine.verbs import sql
from django_workflows.engine.verbs.rows import Change, Row, VerbRequest, VerbTransaction, log
from django_workflows.models import Status, takes_back


def change(
    row: Row,
    request: VerbRequest,
    after: str,
    *,
    woken: Sequence[UUID] = (),
    queues: Sequence[str] = (),
    asked: bool = False,
) -> Change:
    """What became of a row."""
    return Change(
        id=row.id,
        workflow=row.workflow,
        verb=request.verb,
        before=row.status,
        after=after,
        woken=tuple(woken),
        queues=tuple(queues),
        asked=asked,
    )


def pause(work: VerbTransaction, rows: Sequence[Row], request: VerbRequest) -> list[Change]:
    """Park what nobody holds. A holder is asked to: it stores what its running steps come to, and parks."""
    kept = [row for row in rows if takes_back("pause", row.status, row.requested)]
    asked: list[Row] = []
    parked: list[Row] = []
    for row in (row for row in rows if row not in kept):
        (asked if row.status == Status.RUNNING and (row.is_held or not work.is_worker) else parked).append(row)
    if kept:
        work.execute(sql.ASK, "", request.reason or None, among=_ids(kept))
    for reason, ids in _by_reason(asked, request):
        work.execute(sql.ASK, "pause", reason, among=ids)
    for reason, ids in _by_reason(parked, request):
        work.execute(sql.PARK, reason, among=ids)
    # a delayed start keeps its moment, which the row has no place for
    moments = {row.id: row.wake_at for row in parked if row.is_delayed}
    pairs = [*((row, row.status) for row in (*asked, *kept)), *((row, Status.PAUSED) for row in parked)]
    log(work, request, pairs, wake_at=moments)
    return [change(row, request, after) for row, after in pairs]


def resume(work: VerbTransaction, rows: Sequence[Row], request: VerbRequest) -> list[Change]:
    """Let them go on at once; a replay finds the deadlines of their open waits in the journal.

    A pause that is only requested is taken back. Its holder may be parking already, and finds that when it stores that.
    """
    paused = [row for row in rows if row.status == Status.PAUSED]
    if under_way := [row for row in rows if row.status != Status.PAUSED]:
        work.execute(sql.ASK, "", "", among=_ids(under_way))
    delayed = {row.id: moment for row in paused if (moment := _delayed_until(work, row)) is not None}
    if at_once := [row.id for row in paused if row.id not in delayed]:
        work.execute(sql.GO_ON, among=at_once, wake_at=work.dialect.now())
    for id, moment in delayed.items():
        work.execute(sql.GO_ON, moment, among=[id], wake_at="%s")
    pairs = [*((row, Status.PENDING) for row in paused), *((row, row.status) for row in under_way)]
    log(work, request, pairs)
    return [
        change(row, request, after, woken=() if after == Status.RUNNING else (row.id,), queues=(row.queue,))
        for row, after in pairs
    ]


def _delayed_until(work: VerbTransaction, row: Row) -> datetime | None:
    """The moment of a delayed start that was paused."""
    if row.started_at is not None:
        return None
    found = work.fetch(sql.LAST_PAUSE, row.id)
    data = codec.decode(found[0][0]) if found and found[0][0] else {}
    moment = data.get("wake_at") if isinstance(data, Mapping) else None
    return datetime.fromisoformat(moment) if isinstance(moment, str) else None


def cancel(
    work: VerbTransaction, rows: Sequence[Row], request: VerbRequest, parents: Mapping[UUID, str]
) -> list[Change]:
    """End what nobody holds, and ask for the end of its children. A running one is taken away first.

    `parents` are locked, with their queues. Of rows with children that are locked elsewhere, a worker asks the free
    ones now and ends the row in another round.
    """
    taken = [] if work.is_worker else [row for row in rows if row.status == Status.RUNNING]
    for reason, ids in _by_reason(taken, request):
        work.execute(sql.TAKE_AWAY, reason, among=ids)
    ended = _cancel_children(work, [row for row in rows if work.is_worker or row.status != Status.RUNNING])
    for reason, ids in _by_reason(ended, request):
        work.execute(sql.END, reason, among=ids)
    if ended:
        work.execute(sql.CLOSE_STEPS, among=_ids(ended))
        told = Counter(row.parent_id for row in ended if row.parent_id is not None and row.parent_id in parents)
        tell_parents(work.cursor, work.dialect, told)
    log(work, request, [*((row, Status.PENDING) for row in taken), *((row, Status.CANCELLED) for row in ended)])
    return [
        *(change(row, request, Status.PENDING, queues=(ANY_QUEUE,), asked=True) for row in taken),
        *(_cancelled(row, request, parents) for row in ended),
    ]


def _cancelled(row: Row, request: VerbRequest, parents: Mapping[UUID, str]) -> Change:
    told = row.parent_id if row.parent_id in parents else None
    return change(
        row,
        request,
        Status.CANCELLED,
        woken=() if told is None else (told,),
        queues=(ANY_QUEUE, *(() if told is None else (parents[told],))),
        asked=True,
    )


def _cancel_children(work: VerbTransaction, rows: Sequence[Row]) -> list[Row]:
    """Ask for the end of unfinished children; the rows that have none left to ask."""
    if not rows:
        return []
    if not work.is_worker:
        work.execute(sql.CANCEL_CHILDREN, among=_ids(rows))
        return list(rows)
    work.execute_on(sql.CANCEL_CHOSEN, sql.FREE_CHILDREN, among=_ids(rows))
    left = {read_uuid(row[0]) for row in work.fetch(sql.PARENTS_OF_LOCKED_CHILDREN, among=_ids(rows))}
    return [row for row in rows if row.id not in left]


def _by_reason(rows: Sequence[Row], request: VerbRequest) -> list[tuple[str | None, list[UUID]]]:
    """Rows with the reason that they get. Where the same is requested already, the first one stays."""
    again = [] if request.reason is None else [row for row in rows if row.asks_for(request.verb)]
    groups = ((request.reason, [row for row in rows if row not in again]), (None, again))
    return [(reason, _ids(group)) for reason, group in groups if group]


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row.id for row in rows]
