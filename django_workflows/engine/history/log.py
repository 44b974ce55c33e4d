"""Rows of the history for what an execution's own row keeps for a while only: its next change writes over it.

| what happened | what takes its place |
|---|---|
| it was paused | the reason goes with the resume |
| it failed | a retry clears error, reason and moment |
| its worker died with it | progress clears the count of crashes |
| an event was delivered, and nobody asked for it | the next generation counts positions anew |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import codec, conf
from django_workflows.engine.database.dialects import Dialect, read_uuid
from django_workflows.engine.database.tables import run
from django_workflows.engine.history import sql
from django_workflows.engine.history.ids import new_id


def tell_of_pauses(cursor: CursorWrapper, dialect: Dialect, ids: Sequence[UUID]) -> None:
    """The same, of turns that are stored already; one statement."""
    lines = [(new_id(), "lifecycle", "paused", id, "{}") for id in ids]
    run(cursor, dialect, sql.LOG, sql.LOG_COLUMNS, lines)


def tell_of_discarded(cursor: CursorWrapper, dialect: Dialect, rows: Sequence[Sequence[Any]], now: datetime) -> None:
    """Deliveries (execution, id, name, step) that were given up; they look as if they had been read."""
    lines = []
    for execution_id, id, name, step in rows:
        data = {"step": step, "message": read_uuid(id), "discarded": True}
        lines.append(_line("event", name, read_uuid(execution_id), data, now))
    _insert(cursor, dialect, lines)


def tell_of_lost(
    cursor: CursorWrapper, dialect: Dialect, rows: Sequence[Sequence[Any]], worker: str, now: datetime
) -> None:
    """Executions (id, crashes) whose worker has died with them."""
    data = {"worker": worker}
    lines = [_line("lifecycle", "lost", read_uuid(id), data | {"crashes": crashes}, now) for id, crashes in rows]
    _insert(cursor, dialect, lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an execution ended; `claim` is that of its last turn, and names this end in the feed."""

    claim: int
    reason: str
    error: str | None
    at: datetime


def tell_of_failure(cursor: CursorWrapper, dialect: Dialect, id: UUID, end: Failure) -> None:
    """An execution that has failed begins again."""
    data = {"claim": end.claim, "reason": end.reason, "error": plain(end.error)}
    _insert(cursor, dialect, [_line("lifecycle", "failed", id, data, end.at)])


def plain(text: str | None) -> Any:
    """A stored value as it can be stored once more; what cannot be read is kept as the text it is."""
    try:
        return None if text is None else codec.decode(text)
    except ValueError:
        return text


def _line(type: str, name: str, id: UUID, data: Any, at: datetime) -> tuple[Any, ...]:
    text = codec.encode(data, max_bytes=4 * max(codec.MAX_BYTES, conf.max_payload_bytes()))
    return (new_id(), type, name, id, text, None, at)


def _insert(cursor: CursorWrapper, dialect: Dialect, lines: Sequence[tuple[Any, ...]]) -> None:
    if lines:
        run(cursor, dialect, sql.INSERT_EVENTS, sql.EVENT_COLUMNS, lines)
