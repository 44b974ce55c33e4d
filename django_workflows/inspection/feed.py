"""Everything that happens, to all executions, in an order that others can follow and take up again.

The sources of `timeline` over all executions, by time: what was published, what was logged, messages, beginnings and
ends of executions, waits that began and steps that ended.

Commits do not come in the order of the times that they store: a transaction may write at noon and commit a minute
later. A cursor that only said "after noon" would lose what comes in behind it. So a cursor holds a *horizon* and what
was given out beyond it: a time up to which everything must have been committed by now, and marks of the younger items
that the reader has already. Each look begins at the horizon and leaves out what is marked; the late ones are found.
Of the young items at most `UNSETTLED` are given out; under a greater load the feed is behind by the time that settling
takes, and never incomplete.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

from django_workflows import clock, codec, conf
from django_workflows.exceptions import WorkflowsError
from django_workflows.inspection.sources import FeedItem, Found, look
from django_workflows.inspection.timeline import Position
from django_workflows.models import Event, Execution

UNSETTLED = 200  # fewer than one look reads
MARK = 8  # characters

# A transaction that has been open for longer is somebody's accident, and holds nothing up.
LONGEST_TRANSACTION = timedelta(hours=1)

# The oldest moment that an open transaction may have written: `statement_timestamp()` is no earlier than its begin. One
# that has not written yet may be about to, with the time of its present statement; a long report never is.
OPEN_SINCE = """
SELECT min(CASE
    WHEN backend_xid IS NOT NULL THEN xact_start
    WHEN state = 'active' AND query_start > statement_timestamp() - interval '1 minute' THEN query_start
END)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

BEGINNING = Position(datetime(1970, 1, 1, tzinfo=UTC), 0, UUID(int=0))


class InvalidCursor(WorkflowsError, ValueError):
    """No cursor of the feed; use the one of the last answer, or begin anew without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a reader has got: all up to the horizon, and the marked ones beyond."""

    horizon: Position = BEGINNING
    marks: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.horizon}~{''.join(sorted(self.marks))}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises `InvalidCursor`."""
        place, _tilde, marks = text.rpartition("~")
        try:
            horizon: Position | None = Position.parse(place)
        except WorkflowsError:
            horizon = None
        if horizon is None or len(marks) % MARK or len(marks) > MARK * UNSETTLED or not 0 <= horizon.rank <= 99:
            raise InvalidCursor(f"{text[:50]!r} is no cursor of the feed; use the one of the last answer.")
        return cls(
            horizon=horizon, marks=frozenset(marks[start : start + MARK] for start in range(0, len(marks), MARK))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """What was found, where to go on, and whether to do so at once."""

    items: Sequence[FeedItem]
    cursor: Cursor
    more: bool


def everything(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which items: of a type, with a name, of a workflow, and of how many bytes.

    `visible` narrows a query to what the reader may find.
    """

    type: str = ""
    name: str = ""
    workflow: str = ""
    limit: int = 100
    most_bytes: int | None = None
    visible: Callable[[QuerySet[Any]], QuerySet[Any]] = everything

    def fits(self, item: FeedItem) -> bool:
        pairs = ((self.type, item.type), (self.name, item.name), (self.workflow, item.workflow))
        return all(not wanted or wanted == found for wanted, found in pairs)


def feed(cursor: Cursor | None = None, wanted: Wanted | None = None) -> FeedPage:
    """What happened next; without a cursor from the beginning on."""
    cursor, wanted = cursor or Cursor(), wanted or Wanted()
    settled = _settled_until()
    found, was_cut = look(cursor.horizon, wanted.most_bytes, lambda id: _mark(id) in cursor.marks)
    places = _places(found, wanted)
    items: list[FeedItem] = []
    marks, horizon, is_full = set(cursor.marks), cursor.horizon, False
    for position, item in found:
        mark, is_settled = _mark(item.id), position.time <= settled
        if mark not in marks and (placed := _placed(item, places)) is not None and wanted.fits(placed):
            is_full = len(items) >= wanted.limit
            if is_full or (not is_settled and len(marks) >= UNSETTLED):
                break
            items.append(replace(placed, data=codec.redact(placed.data)))
            if not is_settled:
                marks.add(mark)
        if is_settled:
            horizon = position
            marks.discard(mark)
    else:
        if not was_cut:  # a mark of a row that was deleted would stay for ever
            marks &= {_mark(item.id) for _, item in found}
    more = is_full or (was_cut and (horizon > cursor.horizon or bool(items)))
    return FeedPage(items=items, cursor=Cursor(horizon=horizon, marks=frozenset(marks)), more=more)


def from_now_on() -> Cursor:
    """The cursor of who wants to hear only of what is still to come."""
    return Cursor(horizon=Position(clock.database_now(), 0, UUID(int=0)))


def _settled_until() -> datetime:
    """What is older has been committed, or never will be."""
    alias = conf.database()
    now = clock.database_now(alias)
    settled = now - timedelta(seconds=conf.feed_settle())
    if connections[alias].vendor == "postgresql":
        with connections[alias].cursor() as cursor:
            cursor.execute(OPEN_SINCE)
            since = cursor.fetchone()[0]
        if since is not None and since > now - LONGEST_TRANSACTION:
            settled = min(settled, since)
    return settled


def _mark(id: str) -> str:
    digest = hashlib.blake2b(id.encode(), digest_size=6).digest()
    return urlsafe_b64encode(digest).decode()


def _places(found: Iterable[Found], wanted: Wanted) -> dict[UUID | str, str]:
    """The workflow of each execution that the reader may find, and the items without one that he may."""
    alias = conf.database()
    ids = {item.execution for _, item in found if item.execution is not None}
    executions = wanted.visible(Execution.objects.using(alias).filter(pk__in=ids)) if ids else ()
    places: dict[UUID | str, str] = {row.id: row.workflow for row in executions and executions.only("workflow")}
    loose = {position.id: item.id for position, item in found if item.execution is None}
    if wanted.visible is everything:
        return places | dict.fromkeys(loose.values(), "")
    seen = wanted.visible(Event.objects.using(alias).filter(pk__in=loose)).values_list("pk", flat=True) if loose else ()
    return places | {loose[id]: "" for id in seen}


def _placed(item: FeedItem, places: Mapping[UUID | str, str]) -> FeedItem | None:
    """The item with its workflow, or None when the reader may not find it."""
    place = places.get(item.execution or item.id)
    return None if place is None else replace(item, workflow=place)
