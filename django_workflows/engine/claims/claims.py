"""Taking due executions: one peek at what is due, one claim per priority that has something.

The claim must stay flat with a million finished and a million sleeping rows and several priorities: it reads one
bounded range of the index (queue, priority, wake_at), never a sorted backlog. The peek costs one index probe for each
queue and priority, and tells also when the next execution falls due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db.backends.utils import CursorWrapper

from django_workflows import clock
from django_workflows.engine.claims import probes
from django_workflows.engine.claims import sql as statements
from django_workflows.engine.claims.sql import ALONE_AFTER
from django_workflows.engine.database.dialects import (
    Dialect,
    dialect_of,
    read_time,
    read_uuid,
    read_uuid_or_none,
    store,
)
from django_workflows.engine.database.tables import choose
from django_workflows.engine.history.log import tell_of_lost

PRIORITIES = range(9, -1, -1)
UNTAKEN_SECONDS, BACK_SECONDS = 60.0, 30.0  # due for so long, executions without code step back by so much
QUARANTINE_AFTER = ALONE_AFTER + 3  # three more deaths while alone


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that this worker holds, as it was when taken."""

    id: UUID
    workflow: str
    version: int
    generation: int
    input: str | None
    state: str | None
    queue: str
    key: str | None
    tags: str | None
    parent_id: UUID | None
    claim: int
    inbox: int
    crashes: int
    deadline: datetime | None
    expires_at: datetime | None
    created_at: datetime
    started_at: datetime
    claimed_at: datetime


_decode = msgspec.json.Decoder(list[Claimed]).decode


@dataclass(frozen=True, slots=True)
class Peek:
    """When something falls due in each (queue, priority), highest priority first, and whether verbs are requested."""

    due: dict[tuple[str, int], datetime]
    later: list[datetime]  # the next moment after now in each: what is due may need code or a slot that is not here
    requested: bool
    undispatched: bool
    suspects: int
    next_schedule: datetime | None  # when a schedule is to be looked at; it may have passed
    unplanned: bool  # a schedule has no such moment yet
    now: datetime

    @property
    def schedules_due(self) -> bool:
        return self.unplanned or (self.next_schedule is not None and self.next_schedule <= self.now)

    def ready(self) -> list[tuple[str, int]]:
        return [place for place, wake_at in self.due.items() if wake_at <= self.now]

    def next_due(self) -> datetime | None:
        return min(self.later, default=None)


@dataclass(frozen=True, slots=True)
class ClaimLimit:
    """What a worker can execute now: so many executions of these (workflow, version) pairs, but none of the shunned."""

    served: tuple[tuple[str, int], ...]
    limit: int
    shunned: tuple[UUID, ...] = ()


def queues_in_use(cursor: CursorWrapper) -> list[str]:
    """The queues in which anything has a time to wake: one index probe for each."""
    found: list[str] = []
    text = statements.NEXT_QUEUE.format(look=dialect_of(cursor.db).look)
    while True:
        cursor.execute(text, [found[-1] if found else ""])
        if (row := cursor.fetchone()) is None:
            return found
        found.append(row[0])


def peek(
    cursor: CursorWrapper, dialect: Dialect, queues: Sequence[str], *, alone: bool = False, complete: bool = False
) -> Peek:
    """One statement: what is due where, when the next falls due, whether a verb waits to be carried out.

    What somebody holds may be passed over, unless it is to be `complete`.
    """
    places = [(queue, priority) for queue in queues for priority in PRIORITIES]
    suspects = f"AND crashes >= {ALONE_AFTER}" if alone else ""
    if dialect.finds_first:
        rows = probes.rows(cursor, dialect, places, suspects, complete=complete)
    else:
        values = ", ".join(["(%s, %s)"] * len(places))
        text = statements.PEEK.format(places=values, now=dialect.now(), suspects=suspects)
        cursor.execute(text, [value for place in places for value in place])
        rows = cursor.fetchall()
    due = {(row[0], row[1]): moment for row in rows if (moment := read_time(row[2])) is not None}
    return Peek(
        due={place: due[place] for place in places if place in due},  # no database promises an order of rows
        later=[moment for row in rows if (moment := read_time(row[3])) is not None],
        requested=rows[0][4] is not None,
        undispatched=rows[0][5] is not None,
        suspects=rows[0][6],
        next_schedule=read_time(rows[0][7]),
        unplanned=rows[0][8] is not None,
        now=clock.parse_sql_time(rows[0][9]),
    )


def claim(
    cursor: CursorWrapper,
    dialect: Dialect,
    place: tuple[str, int],
    limits: ClaimLimit,
    *,
    worker: UUID,
    lease: float,
    alone: bool = False,
) -> list[Claimed]:
    """Take at most `limits.limit` due executions of one queue and priority, the longest due first."""
    as_json = dialect.vendor == "postgresql"
    due, parameters = _due(dialect, place, limits, worker, alone=alone)
    begin, chosen, ids = statements.WITH_DUE.format(due=due), "IN (SELECT id FROM due)", list[Any]()
    if dialect.finds_first:
        begin, (chosen, ids), parameters = "", choose(cursor, dialect, due, parameters), []
    text = (statements.TAKE_AS_JSON if as_json else statements.TAKE).format(
        now=dialect.now(),
        lease=dialect.now(lease),
        columns=statements.CLAIMED_FOR_JSON if as_json else statements.CLAIMED,
        chosen=chosen,
    )
    cursor.execute(begin + text, [*parameters, store(dialect, worker), *ids])
    if as_json:
        return _decode(cursor.fetchone()[0] or "[]")
    return [_claimed(row) for row in cursor.fetchall()]


def first_due(
    cursor: CursorWrapper, dialect: Dialect, place: tuple[str, int], limits: ClaimLimit, *, worker: UUID, alone: bool
) -> UUID | None:
    """What `claim` would take first: when nothing at all can be claimed, that is what is refused."""
    due, parameters = _due(dialect, place, replace(limits, limit=1), worker, alone=alone)
    cursor.execute(due, parameters)
    row = cursor.fetchone()
    return None if row is None else read_uuid(row[0])


def _due(
    dialect: Dialect, place: tuple[str, int], limits: ClaimLimit, worker: UUID, *, alone: bool
) -> tuple[str, list[Any]]:
    served, names = _among_served(dialect, limits.served)
    shunned, ids = dialect.among(limits.shunned) if limits.shunned else ("", [])
    text = statements.DUE.format(
        now=dialect.now(),
        lock=dialect.lock,
        served=served,
        shunned=f"AND NOT id {shunned}" if shunned else "",
        suspects=f">= {ALONE_AFTER}" if alone else f"< {ALONE_AFTER}",
    )
    return text, [*place, store(dialect, worker), *names, *ids, limits.limit]


def claim_one(
    cursor: CursorWrapper, dialect: Dialect, id: UUID, served: Sequence[tuple[str, int]], *, worker: UUID, lease: float
) -> Claimed | None:
    """Take this execution if it is due and its code is here. For drivers in the caller's process."""
    if not served:
        return None
    among, names = _among_served(dialect, served)
    text = statements.CLAIM_ONE.format(
        now=dialect.now(), lease=dialect.now(lease), columns=statements.CLAIMED, served=among
    )
    cursor.execute(text, [store(dialect, worker), store(dialect, id), *names])
    rows = cursor.fetchall()
    return _claimed(rows[0]) if rows else None


def at_the_head(cursor: CursorWrapper, dialect: Dialect, place: tuple[str, int]) -> set[tuple[str, int]]:
    """The (workflow, version) pairs of what is due first in a queue and priority."""
    cursor.execute(statements.HEAD.format(now=dialect.now()), list(place))
    return {(workflow, version) for workflow, version in cursor.fetchall()}


def claimed_by(cursor: CursorWrapper, dialect: Dialect, worker: UUID) -> list[Claimed]:
    """Everything that a worker holds: reads back a claim whose commit is in doubt."""
    cursor.execute(statements.CLAIMED_BY.format(columns=statements.CLAIMED), [store(dialect, worker)])
    return [_claimed(row) for row in cursor.fetchall()]


def held_in_all(cursor: CursorWrapper, dialect: Dialect, worker: UUID) -> tuple[int, int]:
    """How many executions a worker holds, and the sum of their claims."""
    cursor.execute(statements.HELD_IN_ALL, [store(dialect, worker)])
    count, claims = cursor.fetchone()
    return int(count), int(claims)


def held_by(cursor: CursorWrapper, dialect: Dialect, worker: UUID) -> list[tuple[UUID, int]]:
    """The executions that a worker holds, with their claims."""
    cursor.execute(statements.HELD, [store(dialect, worker)])
    return [(read_uuid(id), claim) for id, claim in cursor.fetchall()]


def give_back(cursor: CursorWrapper, dialect: Dialect, worker: UUID, ids: Iterable[UUID]) -> int:
    """Release some of what a worker holds; no crash is counted."""
    among, parameters = dialect.among(ids)
    own = statements.OWN.format(among=among, lock=dialect.lock)
    chosen, parameters = choose(cursor, dialect, own, [*parameters, store(dialect, worker)])
    cursor.execute(statements.GIVE_BACK.format(now=dialect.now(), chosen=chosen), parameters)
    return int(cursor.rowcount)


def defer_unknown(
    cursor: CursorWrapper, dialect: Dialect, place: tuple[str, int], served: Sequence[tuple[str, int]]
) -> int:
    """Let executions that nobody takes, and that this worker has no code for, step back; how many there were."""
    among, names = _among_served(dialect, served)
    texts = {
        "untaken": dialect.now(-UNTAKEN_SECONDS),
        "later": dialect.now(BACK_SECONDS),
        "lock": dialect.lock,
        "served": among,
    }
    find = [*place, *names]
    if dialect.finds_first:
        chosen, ids = choose(cursor, dialect, statements.UNKNOWN.format(**texts), find)
        cursor.execute(statements.STEP_BACK.format(**texts, chosen=chosen), ids)
    else:
        cursor.execute(statements.DEFER.format(**texts, chosen="IN (SELECT id FROM unknown)"), find)
    return int(cursor.rowcount)


def release_all(
    cursor: CursorWrapper,
    dialect: Dialect,
    workers: Iterable[UUID],
    *,
    crashed: bool,
    these: Sequence[UUID] | None = None,
) -> int:
    """Give back whatever these workers hold, or `these` of it; as a crash when they died with it, which the histories
    tell. In a transaction.
    """
    some, ids = _these(dialect, these)
    held, count = statements.HELD_FREE.format(these=some, lock=dialect.lock), 0
    for worker in workers:
        chosen, parameters = choose(cursor, dialect, held, [store(dialect, worker), *ids])
        cursor.execute(statements.RELEASE.format(now=dialect.now(), chosen=chosen), [int(crashed), *parameters])
        released = cursor.fetchall()
        count += len(released)
        if crashed and released:
            cursor.execute(statements.WORKER.format(now=dialect.now()), [store(dialect, worker)])
            name, now = cursor.fetchone()
            tell_of_lost(cursor, dialect, released, name or "", clock.parse_sql_time(now))
    return count


def extend(
    cursor: CursorWrapper,
    dialect: Dialect,
    workers: Iterable[UUID],
    lease: float,
    *,
    these: Sequence[UUID] | None = None,
) -> None:
    """Put off the end of the leases of whatever these workers hold, or `these` of it."""
    among, parameters = dialect.among(workers)
    some, ids = _these(dialect, these)
    soon = dialect.now(lease * 2 / 3)
    ending = statements.ENDING_SOON.format(soon=soon, among=among, these=some, lock=dialect.lock)
    chosen, parameters = choose(cursor, dialect, ending, [*parameters, *ids])
    cursor.execute(statements.EXTEND.format(lease=dialect.now(lease), chosen=chosen), parameters)


def held_by_any(cursor: CursorWrapper, dialect: Dialect, workers: Iterable[UUID]) -> list[UUID]:
    """The executions that these workers hold."""
    among, parameters = dialect.among(workers)
    cursor.execute(statements.HELD_BY_ANY.format(among=among), parameters)
    return [read_uuid(row[0]) for row in cursor.fetchall()]


def _these(dialect: Dialect, ids: Sequence[UUID] | None) -> tuple[str, list[Any]]:
    if ids is None:
        return "", []
    among, parameters = dialect.among(ids)
    return f"AND id {among}", parameters


def _among_served(dialect: Dialect, served: Sequence[tuple[str, int]]) -> tuple[str, list[Any]]:
    """One array of texts: as pairs they would be planned one by one, and a project may have hundreds."""
    if dialect.vendor == "postgresql":
        return "= ANY(%s::text[])", [_array_of(tuple(served))]
    return dialect.among((f"{workflow} {version}" for workflow, version in served), "text")


@lru_cache(maxsize=64)
def _array_of(served: tuple[tuple[str, int], ...]) -> str:
    """The literal, once: it changes with the code and with what is learned, and goes into every claim."""
    texts = (f"{workflow} {version}".replace("\\", "\\\\").replace('"', '\\"') for workflow, version in served)
    quoted = ",".join(f'"{text}"' for text in texts)
    return f"{{{quoted}}}"


def _claimed(row: Sequence[Any]) -> Claimed:
    created, started, taken = read_time(row[15]), read_time(row[16]), read_time(row[17])
    assert created is not None
    assert started is not None
    assert taken is not None
    return Claimed(
        id=read_uuid(row[0]),
        workflow=row[1],
        version=row[2],
        generation=row[3],
        input=row[4],
        state=row[5],
        queue=row[6],
        key=row[7],
        tags=row[8],
        parent_id=read_uuid_or_none(row[9]),
        claim=row[10],
        inbox=row[11],
        crashes=row[12],
        deadline=read_time(row[13]),
        expires_at=read_time(row[14]),
        created_at=created,
        started_at=started,
        claimed_at=taken,
    )
