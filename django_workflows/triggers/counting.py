"""How often a trigger started something, counted without ever waiting for somebody who has its row locked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows.engine.commit import sql
from django_workflows.engine.database.dialects import Dialect, read_uuid
from django_workflows.engine.database.tables import run

COUNT = """
WITH r({columns}) AS ({table})
UPDATE django_workflows_trigger AS mine SET
    trigger_count = trigger_count + r.number, last_triggered_at = {now}
FROM r WHERE mine.id = r.id {beside}
"""

FREE = "SELECT id FROM django_workflows_trigger WHERE id {among} ORDER BY id {lock}"

EXISTING = "SELECT id FROM django_workflows_trigger WHERE id {among}"


class Backlog:
    """What could not be counted yet, because the row was locked: counted with what comes next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[UUID] = Counter()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def take(self) -> Counter[UUID]:
        with self._lock:
            counts, self._counts = self._counts, Counter()
            return counts

    def put(self, counts: Counter[UUID]) -> None:
        with self._lock:
            self._counts += counts


backlog = Backlog()


def count(cursor: CursorWrapper, dialect: Dialect, counts: Counter[UUID]) -> Counter[UUID]:
    """Add these to the rows that can be locked now; gives back the others, to be counted later."""
    if not counts:
        return Counter()
    free = _ids(cursor, FREE, dialect, counts)
    rows = [(id, number) for id, number in counts.items() if id in free]
    if rows:
        run(cursor, dialect, COUNT, sql.COUNT_COLUMNS, rows)
    left = counts.keys() - free
    locked = _ids(cursor, EXISTING, dialect, left) if left else set()  # the others have been removed
    return Counter({id: counts[id] for id in locked})


def _ids(cursor: CursorWrapper, statement: str, dialect: Dialect, ids: Iterable[UUID]) -> set[UUID]:
    among, parameters = dialect.among(sorted(ids))
    cursor.execute(statement.format(among=among, lock=dialect.lock), parameters)
    return {read_uuid(row[0]) for row in cursor.fetchall()}
