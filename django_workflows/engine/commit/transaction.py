"""The group commit: what many turns want stored, in one transaction.

It first locks every row it touches, without waiting (a condition on `claim` inside the writing statement is not enough
under READ COMMITTED: the check and another session's claim can cross), compares the claims, then writes. A row that
somebody else has locked postpones the writes that need it and delays nobody else.

`store()` is the pipeline; the statements stand in `statements.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import clock
from django_workflows.engine.commit import sql
from django_workflows.engine.commit.after_turn import STATUS_AFTER, Met, after_turn, status_after
from django_workflows.engine.commit.values import End, Ending, Receipt, Verdict, Write
from django_workflows.engine.database.dialects import Dialect, read_uuid
from django_workflows.engine.database.tables import run
from django_workflows.engine.history import sql as history_sql
from django_workflows.engine.history.log import tell_of_discarded
from django_workflows.models import FINISHED, Status

FENCED = Receipt(verdict=Verdict.FENCED)
POSTPONED = Receipt(verdict=Verdict.POSTPONED)


@dataclass(frozen=True, slots=True)
class Locked:
    """A row of `execution` that this transaction holds."""

    claim: int
    status: str
    requested: str
    inbox: int


NEWBORN = Locked(claim=0, status=Status.PENDING, requested="", inbox=0)  # a child that this transaction inserts


def store(
    cursor: CursorWrapper, dialect: Dialect, writes: Sequence[Write], gone: Collection[UUID] = ()
) -> tuple[list[Receipt], datetime]:
    """Store what may be stored; a receipt for each write, and the database's time. Inside one transaction.

    A row that cannot be locked postpones a write unless it is known to be `gone`. Whether it exists is asked apart, and
    afterwards: on CockroachDB the question would wait for whoever has the row.
    """
    rows, now = lock(cursor, dialect, touched(dialect, writes))
    receipts = [
        judge(write, rows, gone) if _counts(dialect, write) <= {*rows, *gone} else POSTPONED for write in writes
    ]
    stored = [
        write
        for write, receipt in zip(writes, receipts, strict=True)
        if receipt.verdict is Verdict.STORED and not receipt.before
    ]
    if stored:
        _mark_cancelled(stored, rows)
        _store_journal(cursor, dialect, stored, rows)
        for write in stored:
            _look_for_pauses(write, rows[write.execution_id], now)
        _store_messages(cursor, dialect, stored, now)
        _store_executions(cursor, dialect, stored, rows, now)
        _notify_parents(cursor, dialect, stored)
        _deliver_signals(cursor, dialect, stored, rows)
    return receipts, now


def lock(cursor: CursorWrapper, dialect: Dialect, ids: Iterable[UUID]) -> tuple[dict[UUID, Locked], datetime]:
    """Lock the rows that nobody else has, and read the clock."""
    among, parameters = dialect.among(ids)
    cursor.execute(sql.LOCK.format(among=among, lock=dialect.lock, now=dialect.now()), parameters)
    found = cursor.fetchall()
    if not found:
        cursor.execute(f"SELECT {dialect.now()}", [])
        return {}, clock.parse_sql_time(cursor.fetchone()[0])
    rows = {read_uuid(row[0]): Locked(row[1], row[2], row[3], row[4]) for row in found}
    return rows, clock.parse_sql_time(found[0][5])


def touched(dialect: Dialect, writes: Iterable[Write]) -> list[UUID]:
    """Every row to lock, in one order for everybody."""
    ids = set()
    for write in writes:
        ids.add(write.execution_id)
        ids.update(_others(write))
        ids.update(_counts(dialect, write))
    return sorted(ids, key=attrgetter("int"))


def _others(write: Write) -> list[UUID]:
    """The rows to lock beside its own."""
    others = [signal.execution_id for signal in write.signals] + write.cancelled
    if write.parent_id is not None and _finishes(write):
        others.append(write.parent_id)
    return others


def _counts(dialect: Dialect, write: Write) -> set[UUID]:
    """The children to lock on CockroachDB: counting those that finished would wait for whoever has one of them."""
    if not dialect.finds_first or write.ending is None:
        return set()
    return set(write.ending.children) - {child.id for child in write.children}


def _finishes(write: Write) -> bool:
    return write.ending is not None and write.ending.end.is_final


def absent(cursor: CursorWrapper, dialect: Dialect, ids: Collection[UUID]) -> set[UUID]:
    """Of these rows, those that do not exist. To be called by `reading`."""
    among, parameters = dialect.among(ids)
    cursor.execute(sql.EXISTING.format(among=among), parameters)
    return set(ids) - {read_uuid(row[0]) for row in cursor.fetchall()}


def judge(write: Write, rows: dict[UUID, Locked], absent: Collection[UUID]) -> Receipt:
    """Whether a write may be stored, by the rows this transaction holds."""
    if (row := rows.get(write.execution_id)) is None:
        return FENCED if write.execution_id in absent else POSTPONED
    if any(id not in rows and id not in absent for id in _others(write)):
        return POSTPONED
    if row.claim == write.claim and write.ending is not None and row.status == STATUS_AFTER[write.ending.end]:
        # whoever else changes the status of a running row takes the claim away; so the answer to this commit was lost
        return Receipt(verdict=Verdict.STORED, inbox=-1, before=True)
    # a cancel that was typed as SQL beats whatever commits after it; a worker carries it out
    if row.claim != write.claim or row.status != Status.RUNNING or row.requested == "cancel":
        return FENCED
    return Receipt(verdict=Verdict.STORED, inbox=row.inbox, requested=row.requested)


def _mark_cancelled(writes: list[Write], rows: dict[UUID, Locked]) -> None:
    """What one write asks the end of may end its own turn in this very commit: that must not take the request back."""
    for id in (id for write in writes for id in write.cancelled):
        if id in rows:
            rows[id] = replace(rows[id], requested="cancel")


def _look_for_pauses(write: Write, row: Locked, now: datetime) -> None:
    """One that was asked for is told of in the history; one that was taken back is none."""
    if write.ending is not None:
        write.ending = write.ending.unless_taken_back(row.requested)
        if status_after(write.ending, row.requested) is Status.PAUSED:
            write.tell_of_pause(write.ending.reason, now)


def _store_journal(cursor: CursorWrapper, dialect: Dialect, writes: list[Write], rows: dict[UUID, Locked]) -> None:
    entries = []
    for write in writes:
        chosen = dict(write.entries)
        if write.unless_moved and rows[write.execution_id].inbox == write.seen_inbox:
            chosen |= write.unless_moved  # in place of the open row, which may not have been stored yet
        entries += [sql.step_row(write, entry) for entry in chosen.values()]
    if entries:
        run(cursor, dialect, sql.UPSERT_STEPS, sql.STEP_COLUMNS, entries)
    if forgotten := [id for write in writes for id in write.forgotten]:
        among, parameters = dialect.among(forgotten)
        cursor.execute(sql.FORGET_STEPS.format(among=among), parameters)


def _store_messages(cursor: CursorWrapper, dialect: Dialect, writes: list[Write], now: datetime) -> None:
    if children := [sql.execution_row(child, now) for write in writes for child in write.children]:
        run(cursor, dialect, sql.INSERT_CHILDREN, sql.CHILD_COLUMNS, children)
    if events := [sql.event_row(event, now) for write in writes for event in write.events]:
        run(cursor, dialect, history_sql.INSERT_EVENTS, history_sql.EVENT_COLUMNS, events)
    if cancelled := [id for write in writes for id in write.cancelled]:
        among, parameters = dialect.among(cancelled)
        cursor.execute(sql.CANCEL.format(among=among), parameters)
    if renewed := [write.execution_id for write in writes if write.ending and write.ending.end is End.RENEW]:
        among, parameters = dialect.among(renewed)
        cursor.execute(sql.DISCARD_DELIVERIES.format(among=among, now=dialect.now()), parameters)
        tell_of_discarded(cursor, dialect, cursor.fetchall(), now)
    if consumed := [id for write in writes for id in write.consumed]:
        among, parameters = dialect.among(consumed)
        cursor.execute(sql.CONSUME_SIGNALS.format(among=among, now=dialect.now()), parameters)


def _store_executions(
    cursor: CursorWrapper, dialect: Dialect, writes: list[Write], rows: dict[UUID, Locked], now: datetime
) -> None:
    finished = _count_finished_children(cursor, dialect, writes)
    endings, touched = [], []
    for write in writes:
        row = rows[write.execution_id]
        if write.ending is not None:
            endings.append(ending_row(write, write.ending, row, finished[write.execution_id], now))
        elif write.state is not None or (write.had_crashes and _makes_progress(write)):
            touched.append((write.execution_id, write.state, _makes_progress(write)))
    if endings:
        run(cursor, dialect, sql.END_TURNS, sql.ENDING_COLUMNS, endings)
    if touched:
        run(cursor, dialect, sql.TOUCH, sql.TOUCH_COLUMNS, touched)


def _makes_progress(write: Write) -> bool:
    """An attempt that has only begun is none: it may be what kills its worker."""
    return any(entry.status != "running" for entry in write.entries.values())


def _count_finished_children(cursor: CursorWrapper, dialect: Dialect, writes: list[Write]) -> Counter[UUID]:
    """Children that finished before their parent's row was locked; later ones will find it waiting."""
    awaited = [id for write in writes if write.ending is not None for id in write.ending.children]
    if not awaited:
        return Counter()
    among, parameters = dialect.among(awaited)
    cursor.execute(sql.FINISHED_CHILDREN.format(among=among), parameters)
    # one that was attached to by its key has another parent, or none
    return Counter({read_uuid(parent): count for parent, count in cursor.fetchall() if parent is not None})


def ending_row(write: Write, ending: Ending, row: Locked, finished: int, now: datetime) -> tuple[Any, ...]:
    """The columns of an execution after its turn, as END_TURNS takes them."""
    after = after_turn(write, ending, Met(inbox=row.inbox, requested=row.requested, finished=finished), now)
    return (
        write.execution_id,
        after.status.value,
        after.wake_at,
        after.awaiting,
        after.requested,
        after.reason,
        ending.output,
        ending.error,
        write.state,
        ending.input,
        ending.current_step,
        write.generation + (ending.end is End.RENEW),
        _latest(write, now) if after.is_finished else None,
        ending.end is not End.RELEASE,
    )


def _latest(write: Write, now: datetime) -> datetime:
    """The end of an execution: the clocks of a cluster differ from node to node, and SQLite's knows milliseconds."""
    return max([now, *(entry.completed_at for entry in write.entries.values() if entry.completed_at is not None)])


def _notify_parents(cursor: CursorWrapper, dialect: Dialect, writes: list[Write]) -> None:
    """Tell each parent how many of its children finished: one update per parent and commit."""
    counts = Counter(write.parent_id for write in writes if _finishes(write) and write.parent_id is not None)
    tell_parents(cursor, dialect, counts)


def tell_parents(cursor: CursorWrapper, dialect: Dialect, counts: Counter[UUID]) -> None:
    """Wake the (locked) parents whose last awaited child finished."""
    if counts:
        run(cursor, dialect, sql.CHILDREN_FINISHED, sql.COUNT_COLUMNS, list(counts.items()))


def _deliver_signals(cursor: CursorWrapper, dialect: Dialect, writes: list[Write], rows: dict[UUID, Locked]) -> None:
    """Number the messages by the inbox of their (locked) targets; one to nobody is dropped."""
    born = {child.id: NEWBORN for write in writes for child in write.children}
    targets = {**born, **rows}
    numbers: Counter[UUID] = Counter()
    signals = []
    for signal in (signal for write in writes for signal in write.signals):
        if (target := targets.get(signal.execution_id)) is None or target.status in FINISHED:
            continue
        numbers[signal.execution_id] += 1
        signals.append(sql.signal_row(signal, target.inbox + numbers[signal.execution_id]))
    if signals:
        run(cursor, dialect, sql.RECEIVE, sql.COUNT_COLUMNS, list(numbers.items()))
        run(cursor, dialect, sql.INSERT_SIGNALS, sql.SIGNAL_COLUMNS, signals)
