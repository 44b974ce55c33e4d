"""Pause, resume and cancel: what they do to rows that this transaction has locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django_workflows import codec
from django_workflows.engine.verbs import sql
from django_workflows.engine.commit.transaction import tell_parents
from django_workflows.engine.database.dialects import read_uuid
from django_workflows.engine.verbs.rows import Change, Desk, Order, Row, log
from django_workflows.engine.database.notify import ANY_QUEUE
from django_workflows.models import Status, takes_back


def change(
    row: Row, order: Order, after: str, *, woken: Sequence[UUID] = (), queues: Sequence[str] = (), asked: bool = False
) -> Change:
    """What became of a row."""
    return Change(
        id=row.id,
        workflow=row.workflow,
        verb=order.verb,
        before=row.status,
        after=after,
        woken=tuple(woken),
        queues=tuple(queues),
        asked=asked,
    )


def pause(desk: Desk, rows: Sequence[Row], order: Order) -> list[Change]:
    """Park what nobody holds. A holder is asked to: it stores what its running steps come to, and parks."""
    kept = [row for row in rows if takes_back("pause", row.status, row.requested)]
    asked: list[Row] = []
    parked: list[Row] = []
    for row in (row for row in rows if row not in kept):
        (asked if row.status == Status.RUNNING and (row.is_held or not desk.is_worker) else parked).append(row)
    if kept:
        desk.execute(sql.ASK, "", order.reason or None, among=_ids(kept))
    for reason, ids in _by_reason(asked, order):
        desk.execute(sql.ASK, "pause", reason, among=ids)
    for reason, ids in _by_reason(parked, order):
        desk.execute(sql.PARK, reason, among=ids)
    # a delayed start keeps its moment, which the row has no place for
    moments = {row.id: row.wake_at for row in parked if row.is_delayed}
    pairs = [*((row, row.status) for row in (*asked, *kept)), *((row, Status.PAUSED) for row in parked)]
    log(desk, order, pairs, wake_at=moments)
    return [change(row, order, after) for row, after in pairs]


def resume(desk: Desk, rows: Sequence[Row], order: Order) -> list[Change]:
    """Let them go on at once; a replay finds the deadlines of their open waits in the journal.

    A pause that is only requested is taken back. Its holder may be parking already, and finds that when it stores that.
    """
    paused = [row for row in rows if row.status == Status.PAUSED]
    if under_way := [row for row in rows if row.status != Status.PAUSED]:
        desk.execute(sql.ASK, "", "", among=_ids(under_way))
    delayed = {row.id: moment for row in paused if (moment := _delayed_until(desk, row)) is not None}
    if at_once := [row.id for row in paused if row.id not in delayed]:
        desk.execute(sql.GO_ON, among=at_once, wake_at=desk.dialect.now())
    for id, moment in delayed.items():
        desk.execute(sql.GO_ON, moment, among=[id], wake_at="%s")
    pairs = [*((row, Status.PENDING) for row in paused), *((row, row.status) for row in under_way)]
    log(desk, order, pairs)
    return [
        change(row, order, after, woken=() if after == Status.RUNNING else (row.id,), queues=(row.queue,))
        for row, after in pairs
    ]


def _delayed_until(desk: Desk, row: Row) -> datetime | None:
    """The moment of a delayed start that was paused."""
    if row.started_at is not None:
        return None
    found = desk.fetch(sql.LAST_PAUSE, row.id)
    data = codec.decode(found[0][0]) if found and found[0][0] else {}
    moment = data.get("wake_at") if isinstance(data, Mapping) else None
    return datetime.fromisoformat(moment) if isinstance(moment, str) else None


def cancel(desk: Desk, rows: Sequence[Row], order: Order, parents: Mapping[UUID, str]) -> list[Change]:
    """End what nobody holds, and ask for the end of its children. A running one is taken away first.

    `parents` are locked, with their queues. Of rows with children that are locked elsewhere, a worker asks the free
    ones now and ends the row in another round.
    """
    taken = [] if desk.is_worker else [row for row in rows if row.status == Status.RUNNING]
    for reason, ids in _by_reason(taken, order):
        desk.execute(sql.TAKE_AWAY, reason, among=ids)
    ended = _cancel_children(desk, [row for row in rows if desk.is_worker or row.status != Status.RUNNING])
    for reason, ids in _by_reason(ended, order):
        desk.execute(sql.END, reason, among=ids)
    if ended:
        desk.execute(sql.CLOSE_STEPS, among=_ids(ended))
        told = Counter(row.parent_id for row in ended if row.parent_id is not None and row.parent_id in parents)
        tell_parents(desk.cursor, desk.dialect, told)
    log(desk, order, [*((row, Status.PENDING) for row in taken), *((row, Status.CANCELLED) for row in ended)])
    return [
        *(change(row, order, Status.PENDING, queues=(ANY_QUEUE,), asked=True) for row in taken),
        *(_cancelled(row, order, parents) for row in ended),
    ]


def _cancelled(row: Row, order: Order, parents: Mapping[UUID, str]) -> Change:
    told = row.parent_id if row.parent_id in parents else None
    return change(
        row,
        order,
        Status.CANCELLED,
        woken=() if told is None else (told,),
        queues=(ANY_QUEUE, *(() if told is None else (parents[told],))),
        asked=True,
    )


def _cancel_children(desk: Desk, rows: Sequence[Row]) -> list[Row]:
    """Ask for the end of unfinished children; the rows that have none left to ask."""
    if not rows:
        return []
    if not desk.is_worker:
        desk.execute(sql.CANCEL_CHILDREN, among=_ids(rows))
        return list(rows)
    desk.execute_on(sql.CANCEL_CHOSEN, sql.FREE_CHILDREN, among=_ids(rows))
    left = {read_uuid(row[0]) for row in desk.fetch(sql.PARENTS_OF_LOCKED_CHILDREN, among=_ids(rows))}
    return [row for row in rows if row.id not in left]


def _by_reason(rows: Sequence[Row], order: Order) -> list[tuple[str | None, list[UUID]]]:
    """Rows with the reason that they get. Where the same is requested already, the first one stays."""
    again = [] if order.reason is None else [row for row in rows if row.asks_for(order.verb)]
    groups = ((order.reason, [row for row in rows if row not in again]), (None, again))
    return [(reason, _ids(group)) for reason, group in groups if group]


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row.id for row in rows]
