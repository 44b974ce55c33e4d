"""Storing writes whatever the database does: retries, splits, and commits whose answer was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows.clock import monotonic
from django_workflows.engine.claims.sql import CLAIM_STATE
from django_workflows.engine.commit import one_statement, transaction
from django_workflows.engine.commit.transaction import Locked
from django_workflows.engine.commit.values import End, Receipt, Verdict, Write
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_uuid
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, is_about_values, may_be_one_row
from django_workflows.engine.database.transactions import FEW_TRIES, reading, single, transact
from django_workflows.engine.history.log import tell_of_pauses
from django_workflows.models import Status

READ_BACK_PAUSES = (0.01, 0.1, 0.3)

Sync = Callable[[datetime, float], None]


def store_all(alias: str, writes: Sequence[Write], sync: Sync = lambda now, moment: None) -> list[Receipt]:
    """A receipt for each write. Raises `ConnectionLost`: then the same call may be repeated, whatever was stored.

    Writes that are refused together are stored by halves, so that one of them holds up no other. By itself, one is
    refused for its values, or postponed with the error that it meets again and again. `sync` learns the database's time
    and the local moment before it was asked.
    """
    dialect = dialect_of(connections[alias])
    try:
        if one_statement.applies(dialect, writes):
            return _store_compactly(alias, dialect, writes, sync)
        return _store_in_transaction(alias, dialect, writes, sync)
    except AmbiguousCommit:
        return _after_ambiguity(alias, dialect, writes, sync)
    except DatabaseError as error:
        if not may_be_one_row(error):  # a full disk, a read-only server: no fault of what is to be stored
            raise ConnectionLost(str(error)) from error
        if len(writes) == 1:
            verdict = Verdict.REFUSED if is_about_values(error) else Verdict.POSTPONED
            return [Receipt(verdict=verdict, error=error)]
        half = len(writes) // 2
        return store_all(alias, writes[:half], sync) + store_all(alias, writes[half:], sync)


def _store_in_transaction(alias: str, dialect: Dialect, writes: Sequence[Write], sync: Sync) -> list[Receipt]:
    """Again for what a row stood in the way of that turns out not to exist."""
    receipts = _store_once(alias, dialect, writes, sync)
    waiting = [write for write, receipt in zip(writes, receipts, strict=True) if receipt.verdict is Verdict.POSTPONED]
    if waiting and (gone := _absent(alias, dialect, transaction.touched(dialect, waiting))):
        again = iter(_store_once(alias, dialect, waiting, sync, gone))
        receipts = [next(again) if receipt.verdict is Verdict.POSTPONED else receipt for receipt in receipts]
    return receipts


def _store_once(
    alias: str, dialect: Dialect, writes: Sequence[Write], sync: Sync, gone: Collection[UUID] = ()
) -> list[Receipt]:
    moment = 0.0

    def store(cursor: CursorWrapper) -> tuple[list[Receipt], datetime]:
        nonlocal moment
        moment = monotonic()  # after waiting for a connection, a lock or another try: what the clock is ahead by
        return transaction.store(cursor, dialect, writes, gone)

    receipts, now = transact(alias, store, tries=FEW_TRIES)
    sync(now, moment)
    return receipts


def _store_compactly(alias: str, dialect: Dialect, writes: Sequence[Write], sync: Sync) -> list[Receipt]:
    moment = 0.0

    def store(cursor: CursorWrapper) -> tuple[dict[UUID, Locked], datetime | None]:
        nonlocal moment
        moment = monotonic()
        return one_statement.store(cursor, dialect, writes)

    rows, now = single(alias, store, tries=FEW_TRIES)
    if now is not None:
        sync(now, moment)
    missing = [write.execution_id for write in writes if write.execution_id not in rows]
    gone = _absent(alias, dialect, missing) if missing else set()
    receipts = [transaction.judge(write, rows, gone) for write in writes]
    if parked := [
        write.execution_id for write, receipt in zip(writes, receipts, strict=True) if _parks(write, receipt)
    ]:
        # apart from the statement that has paused them, which is short for the sake of all others
        with contextlib.suppress(AmbiguousCommit, ConnectionLost):
            single(alias, lambda cursor: tell_of_pauses(cursor, dialect, parked))
    return receipts


def _parks(write: Write, receipt: Receipt) -> bool:
    """Whether an operator's pause met a turn that was about to suspend."""
    return receipt.requested == "pause" and write.ending is not None and write.ending.end is End.SUSPEND


def _absent(alias: str, dialect: Dialect, ids: Sequence[UUID]) -> set[UUID]:
    """Apart from the statement that has written: asking again must not write again."""
    return _read_back(lambda: reading(alias, lambda cursor: transaction.absent(cursor, dialect, ids)))


def _after_ambiguity(alias: str, dialect: Dialect, writes: Sequence[Write], sync: Sync) -> list[Receipt]:
    """Find out what was stored: a turn that has ended under its own claim was; the rest is stored again.

    Rows are found by their ids, so storing them twice changes nothing; only what counts up must not be repeated.
    """
    applied = _read_back(lambda: reading(alias, lambda cursor: _applied(cursor, dialect, writes)))
    left = [write for write in writes if write.execution_id not in applied]
    again = dict(zip((write.execution_id for write in left), store_all(alias, left, sync) if left else [], strict=True))
    # nobody knows which inbox it met: what counts only `unless_moved` is proposed again
    stored = Receipt(verdict=Verdict.STORED, inbox=-1)
    return [again.get(write.execution_id, stored) for write in writes]


def _read_back(ask: Callable[[], set[UUID]]) -> set[UUID]:
    """Ask on new connections, again while they are lost: nobody is to hear of an error when all was stored."""
    for pause in READ_BACK_PAUSES:
        try:
            return ask()
        except (AmbiguousCommit, ConnectionLost):
            time.sleep(pause)
    try:
        return ask()
    except AmbiguousCommit as error:
        raise ConnectionLost(str(error)) from error


def _applied(cursor: CursorWrapper, dialect: Dialect, writes: Sequence[Write]) -> set[UUID]:
    among, parameters = dialect.among([write.execution_id for write in writes])
    cursor.execute(CLAIM_STATE.format(among=among), parameters)
    states = {read_uuid(id): (claim, status) for id, claim, status in cursor.fetchall()}
    ended = {
        write.execution_id
        for write in writes
        if write.ending is not None
        and (state := states.get(write.execution_id)) is not None
        and state[0] == write.claim
        and state[1] != Status.RUNNING
    }
    marks = {row_id: write.execution_id for write in writes if (row_id := _mark_of(write)) is not None}
    return ended | {marks[id] for id in _existing(cursor, dialect, writes)}


def _mark_of(write: Write) -> UUID | None:
    """A row that exists only if this write was stored: sent messages are counted, so they must not be sent twice."""
    if write.signals:
        return write.signals[0].id
    return None


def _existing(cursor: CursorWrapper, dialect: Dialect, writes: Sequence[Write]) -> list[UUID]:
    ids = [id for write in writes if (id := _mark_of(write)) is not None]
    if not ids:
        return []
    among, parameters = dialect.among(ids)
    cursor.execute(f"SELECT id FROM django_workflows_signal WHERE id {among}", parameters)
    return [read_uuid(row[0]) for row in cursor.fetchall()]
