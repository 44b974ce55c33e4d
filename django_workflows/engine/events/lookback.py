"""A wait that also accepts what was published shortly before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import codec
from django_workflows.engine.claims.loading import Unread, read_unread
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_uuid, store
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events.deliver import OpenWait, deliver
from django_workflows.engine.events.published import MISSING, PUBLISHED, Published, hash_for, keys_of, read_published
from django_workflows.engine.events.reach import receivers

WAIT_AT = """
SELECT id FROM django_workflows_stepresult
WHERE execution_id {among} AND key = %s AND superseded = 0 AND status = 'scheduled'
"""

PUBLISHED_BETWEEN = f"""
SELECT {PUBLISHED} FROM django_workflows_event
WHERE type = 'event' AND execution_id IS NULL AND name = %s AND created_at BETWEEN %s AND %s AND deliver_at <= {{now}}
AND (created_at, id) > (%s, %s) ORDER BY created_at, id LIMIT 1000
"""

DELIVERED = "SELECT 1 FROM django_workflows_signal WHERE execution_id {among} AND event_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookback:
    """Delivers to a wait the oldest event of a span that matches and that its execution has not had yet.

    It counts as having arrived when it was published, so that a wait whose time is up at once finds it too.
    """

    alias: str
    execution_id: UUID
    key: str
    name: str
    match: Mapping[str, Any]
    since: datetime
    until: datetime

    def __call__(self) -> Unread | None:
        dialect = dialect_of(connections[self.alias])
        return transact(self.alias, lambda cursor: self._search(cursor, dialect), reads_past=True)

    def _search(self, cursor: CursorWrapper, dialect: Dialect) -> Unread | None:
        keys, wanted = keys_of(self.match), codec.match_hash(dict(self.match))
        for event in self._events(cursor, dialect):
            data = event.value()
            matches = data is not MISSING and hash_for(data, keys) == wanted
            if matches and self._is_new(cursor, dialect, event) and receivers(self.alias, event, [self.execution_id]):
                self._deliver(cursor, dialect, event)
                break
        unread = (unread for _, unread in read_unread(cursor, dialect, [self.execution_id]))
        return next((message for message in unread if message.step_key == self.key), None)

    def _events(self, cursor: CursorWrapper, dialect: Dialect) -> Iterator[Published]:
        """Oldest first, in batches: most of them may be for others."""
        since, last = self.since, UUID(int=0)
        text = PUBLISHED_BETWEEN.format(now=dialect.now())
        while True:
            moments = [store(dialect, since), store(dialect, self.until), store(dialect, since)]
            cursor.execute(text, [self.name, *moments, store(dialect, last)])
            if not (events := read_published(cursor)):
                return
            yield from events
            since, last = events[-1].created_at, events[-1].id

    def _is_new(self, cursor: CursorWrapper, dialect: Dialect, event: Published) -> bool:
        among, parameters = dialect.among([self.execution_id])
        cursor.execute(DELIVERED.format(among=among), [*parameters, store(dialect, event.id)])
        return cursor.fetchone() is None

    def _deliver(self, cursor: CursorWrapper, dialect: Dialect, event: Published) -> None:
        among, parameters = dialect.among([self.execution_id])
        cursor.execute(WAIT_AT.format(among=among), [*parameters, self.key])
        if (row := cursor.fetchone()) is not None:
            wait = OpenWait(self.execution_id, read_uuid(row[0]), self.key)
            deliver(cursor, dialect, event, [wait], event.created_at)
