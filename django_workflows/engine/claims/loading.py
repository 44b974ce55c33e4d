"""What a turn starts from: the journal, the unread messages and the children's outcomes of a claimed batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.database.dialects import Dialect, read_time, read_uuid, read_uuid_or_none
from django_workflows.engine.history.journal import Entry


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the inbox that nobody consumed yet."""

    id: UUID
    number: int
    name: str
    data: str | None
    event_id: UUID | None
    step_key: str
    created_at: datetime


class ChildOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended."""

    id: UUID
    workflow: str
    status: str
    output: str | None
    error: str | None
    reason: str


class Loaded(msgspec.Struct, kw_only=True):
    """What a turn starts from."""

    claimed: Claimed
    entries: list[Entry] = msgspec.field(default_factory=list)
    inbox: list[Unread] = msgspec.field(default_factory=list)
    children: dict[UUID, ChildOutcome] = msgspec.field(default_factory=dict)


JOURNALS = """
SELECT s.execution_id, s.id, s.key, s.seq, s.name, s.kind, s.status, s.output, s.error, s.attempts, s.lost,
    s.deadline, s.match_keys, s.match_hash, s.child_id, s.created_at, s.started_at, s.completed_at,
    s.worker
FROM django_workflows_stepresult s JOIN django_workflows_execution e
    ON e.id = s.execution_id AND e.generation = s.generation
WHERE s.execution_id {among} AND s.superseded = 0 AND s.status <> 'forgotten'
"""

# The same columns as those of a journal, so that one statement reads both: without a kind it is a message.
MESSAGES = """
SELECT execution_id, id, step_key, number, name, '', '', data, NULL, 0, 0,
    NULL, '', '', event_id, created_at, NULL, NULL,
    ''
FROM django_workflows_signal WHERE execution_id {among} AND consumed_at IS NULL
"""

BY_NUMBER = "ORDER BY 4"
KIND = 5

UNREAD = """
SELECT execution_id, id, number, name, data, event_id, step_key, created_at FROM django_workflows_signal
WHERE execution_id {among} AND consumed_at IS NULL ORDER BY number
"""

OUTCOMES = """
SELECT id, workflow, status, output, error, reason FROM django_workflows_execution
WHERE id {among} AND completed_at IS NOT NULL
"""


def load(cursor: CursorWrapper, dialect: Dialect, batch: Sequence[Claimed]) -> list[Loaded]:
    """Journals, unread messages and children's outcomes of a claimed batch: a fresh execution needs none of them."""
    loaded = {claimed.id: Loaded(claimed=claimed) for claimed in batch}
    for row in _read_rows(cursor, dialect, batch):
        one = loaded[read_uuid(row[0])]
        if row[KIND]:
            one.entries.append(read_entry(row[1:]))
        else:
            one.inbox.append(_read_message(row))
    parents: defaultdict[UUID, list[Loaded]] = defaultdict(list)  # two, where one found the other's child by its key
    for one in loaded.values():
        for entry in one.entries:
            if entry.child_id is not None and entry.status == "scheduled":
                parents[entry.child_id].append(one)
    for outcome in read_outcomes(cursor, dialect, list(parents)):
        for one in parents[outcome.id]:
            one.children[outcome.id] = outcome
    return list(loaded.values())


def _read_rows(cursor: CursorWrapper, dialect: Dialect, batch: Sequence[Claimed]) -> Sequence[Sequence[Any]]:
    """Journals and unread messages, each in its order."""
    ids = [claimed.id for claimed in batch if claimed.claim > 1 or claimed.inbox]
    if not ids:
        return []
    parts = [JOURNALS, MESSAGES] if any(claimed.inbox for claimed in batch) else [JOURNALS]
    among, parameters = dialect.among(ids)
    text = " UNION ALL ".join(part.format(among=among) for part in parts)
    cursor.execute(f"{text} {BY_NUMBER}", parameters * len(parts))
    rows: Sequence[Sequence[Any]] = cursor.fetchall()
    return rows


def read_unread(cursor: CursorWrapper, dialect: Dialect, ids: Sequence[UUID]) -> list[tuple[UUID, Unread]]:
    """The unread messages of these executions, oldest first."""
    among, parameters = dialect.among(ids)
    cursor.execute(UNREAD.format(among=among), parameters)
    return [(read_uuid(row[0]), _unread(row[1:])) for row in cursor.fetchall()]


def read_outcomes(cursor: CursorWrapper, dialect: Dialect, ids: Sequence[UUID]) -> list[ChildOutcome]:
    """Of these children, those that ended and how."""
    if not ids:
        return []
    among, parameters = dialect.among(ids)
    cursor.execute(OUTCOMES.format(among=among), parameters)
    return [
        ChildOutcome(id=read_uuid(id), workflow=workflow, status=status, output=output, error=error, reason=reason)
        for id, workflow, status, output, error, reason in cursor.fetchall()
    ]


def read_entry(row: Sequence[Any]) -> Entry:
    created = read_time(row[14])
    assert created is not None
    return Entry(
        id=read_uuid(row[0]),
        key=row[1],
        seq=row[2],
        name=row[3],
        kind=row[4],
        status=row[5],
        output=row[6],
        error=row[7],
        attempts=row[8],
        lost=row[9],
        deadline=read_time(row[10]),
        match_keys=row[11],
        match_hash=row[12],
        child_id=read_uuid_or_none(row[13]),
        created_at=created,
        started_at=read_time(row[15]),
        completed_at=read_time(row[16]),
        worker=row[17],
    )


def _read_message(row: Sequence[Any]) -> Unread:
    """A message among the rows of journals."""
    _, id, step_key, number, name, _, _, data, *_, event_id, created_at, _, _, _ = row
    return _unread((id, number, name, data, event_id, step_key, created_at))


def _unread(row: Sequence[Any]) -> Unread:
    created = read_time(row[6])
    assert created is not None
    return Unread(
        id=read_uuid(row[0]),
        number=row[1],
        name=row[2],
        data=row[3],
        event_id=read_uuid_or_none(row[4]),
        step_key=row[5],
        created_at=created,
    )
