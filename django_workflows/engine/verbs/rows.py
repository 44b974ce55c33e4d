"""What the verbs work with: an order, the locked rows it is for, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db.backends.utils import CursorWrapper

from django_workflows import clock, codec
from django_workflows.engine.database.dialects import Column, Dialect, read_time, read_uuid, read_uuid_or_none, store
from django_workflows.engine.database.tables import choose, run
from django_workflows.engine.history import sql as history_sql
from django_workflows.engine.verbs import sql
from django_workflows.models import EventType, Status, transition


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbRequest:
    """What an operator wants. `reason` None keeps what is stored; `event_id` is the first row it leaves in the log."""

    verb: str
    reason: str | None = ""
    by: str = ""
    event_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class Row:
    """An execution that this transaction has locked."""

    id: UUID
    workflow: str
    status: str
    requested: str
    reason: str
    queue: str
    key: str | None
    key_released: bool
    parent_id: UUID | None
    generation: int
    claim: int
    error: str | None
    deadline: datetime | None
    wake_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    now: datetime

    def asks_for(self, verb: str) -> bool:
        """Whether the verb is requested already, with a reason: who asks again does not write over it."""
        return self.requested == verb and bool(self.reason)

    @property
    def is_held(self) -> bool:
        """Whether a worker has it and its lease has not run out."""
        return self.status == Status.RUNNING and self.wake_at is not None and self.wake_at > self.now

    @property
    def is_delayed(self) -> bool:
        """Whether it is to start at a moment to come."""
        return self.started_at is None and self.wake_at is not None and self.wake_at > self.now

    @property
    def failure(self) -> Mapping[str, Any]:
        """The stored error; empty when there is none, or none that can be read."""
        try:
            data = codec.decode(self.error) if self.error is not None else {}
        except ValueError:
            return {}
        return data if isinstance(data, Mapping) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one execution. `woken` may go on now, on the workers of `queues`; `asked`: a worker must act."""

    id: UUID
    workflow: str
    verb: str
    before: str
    after: str
    woken: tuple[UUID, ...] = ()
    queues: tuple[str, ...] = ()
    asked: bool = False


class Postponed(Exception):
    """A row that is needed is locked by somebody else; a worker does not wait for it."""


@dataclass(frozen=True, slots=True)
class VerbTransaction:
    """Where verbs are carried out: a transaction, and whether it is a worker's.

    A worker never waits for a lock, and finishes what an operator can only ask for.
    """

    cursor: CursorWrapper
    dialect: Dialect
    is_worker: bool = False

    @property
    def lock(self) -> str:
        return self.dialect.lock if self.is_worker else self.dialect.lock_waiting

    def execute(self, statement: str, *parameters: Any, among: Iterable[UUID] | None = None, **texts: str) -> None:
        """Execute a statement; the parameters of `{among}` are its last ones."""
        values = [store(self.dialect, parameter) for parameter in parameters]
        if among is not None:
            texts["among"], ids = self.dialect.among(among)
            values += ids
        texts |= {"now": self.dialect.now(), "lock": self.lock, "look": self.dialect.look}
        self.cursor.execute(statement.format(**texts), values)

    def execute_on(self, statement: str, query: str, *, among: Iterable[UUID]) -> None:
        """Execute a statement on the rows that `query` finds and locks among these."""
        condition, ids = self.dialect.among(among)
        chosen, parameters = choose(self.cursor, self.dialect, query.format(among=condition, lock=self.lock), ids)
        self.cursor.execute(statement.format(now=self.dialect.now(), chosen=chosen), parameters)

    def fetch(self, statement: str, *parameters: Any, among: Iterable[UUID] | None = None) -> list[tuple[Any, ...]]:
        self.execute(statement, *parameters, among=among)
        rows: list[tuple[Any, ...]] = self.cursor.fetchall()
        return rows

    def run(self, statement: str, of: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        run(self.cursor, self.dialect, statement, of, rows)

    def lock_rows(self, ids: Collection[UUID]) -> list[Row]:
        """Lock executions; those of them that exist, and for a worker those that are free."""
        return [_row(row) for row in self.fetch(sql.LOCK_ROWS, among=ids)] if ids else []

    def lock_parents(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Lock parents, before the rows themselves: from the top down, so nobody waits in a circle. Gives queues."""
        found = self.fetch(sql.LOCK_PARENTS, among=ids) if ids else []
        return {read_uuid(id): queue for id, queue in found}

    def now(self) -> datetime:
        self.cursor.execute(f"SELECT {self.dialect.now()}", [])
        return clock.parse_sql_time(self.cursor.fetchone()[0])


def _row(row: Sequence[Any]) -> Row:
    id, workflow, status, requested, reason, queue, key, released, parent, generation, claim, error, *times = row
    deadline, wake_at, created_at, started_at, completed_at, now = (read_time(time) for time in times)
    assert created_at is not None
    assert now is not None
    return Row(
        read_uuid(id),
        workflow,
        status,
        requested,
        reason,
        queue,
        key,
        bool(released),
        read_uuid_or_none(parent),
        generation,
        claim,
        error,
        deadline,
        wake_at,
        created_at,
        started_at,
        completed_at,
        now,
    )


def status_after(row: Row, verb: str) -> Status:
    """The status after an operator's verb. Raises `TransitionError`."""
    return transition(verb, row.status, row.requested)


def log(
    work: VerbTransaction, request: VerbRequest, pairs: Sequence[tuple[Row, str]], **more: Mapping[UUID, Any]
) -> None:
    """Add what was done to each history, with the status afterwards; the first row has the order's id."""
    lines: list[tuple[Any, ...]] = []
    for row, after in pairs:
        data = {"by": request.by, "reason": row.reason if request.reason is None else request.reason}
        data |= {"from": row.status, "to": after} | {name: of[row.id] for name, of in more.items() if row.id in of}
        is_kept = request.reason is None or request.reason == row.reason or row.asks_for(request.verb)
        if row.reason and not is_kept:
            data["former_reason"] = row.reason  # which this verb writes over
        event_id = uuid4() if lines else request.event_id
        lines.append((event_id, EventType.OPERATOR.value, request.verb, row.id, codec.encode(data)))
    if lines:
        work.run(history_sql.LOG, history_sql.LOG_COLUMNS, lines)


def log_refusal(work: VerbTransaction, row: Row, error: Exception) -> None:
    """Tell in the history why a requested verb was not carried out."""
    data = {"error": {"type": type(error).__name__, "message": str(error)}, "requested": row.requested}
    line = (uuid4(), EventType.ERROR.value, row.requested, row.id, codec.encode(data))
    work.run(history_sql.LOG, history_sql.LOG_COLUMNS, [line])
