"""Extending and ending the leases of workers, so that one row which the database refuses costs no other its lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.claims import claims
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import may_be_one_row
from django_workflows.engine.database.isolation import by_halves
from django_workflows.engine.database.transactions import FEW_TRIES, atomically, reading, single, transact

Work = Callable[[CursorWrapper, Sequence[UUID] | None], int]  # on these executions, or on all that the workers hold


def release_all(alias: str, workers: Sequence[UUID], *, crashed: bool) -> tuple[int, set[UUID]]:
    """Give back whatever these workers hold: how many executions, and those that the database keeps from it."""
    dialect = dialect_of(connections[alias])

    def release(cursor: CursorWrapper, these: Sequence[UUID] | None) -> int:
        return claims.release_all(cursor, dialect, workers, crashed=crashed, these=these)

    # of a death the histories tell in the same transaction; what ends in order is one statement
    return _for_all(alias, workers, release, transact if crashed else single)


def extend(alias: str, workers: Sequence[UUID], lease: float) -> set[UUID]:
    """Put off the end of the leases of whatever these workers hold; the executions for which that is refused."""
    dialect = dialect_of(connections[alias])

    def put_off(cursor: CursorWrapper, these: Sequence[UUID] | None) -> int:
        claims.extend(cursor, dialect, workers, lease, these=these)
        return 0

    return _for_all(alias, workers, put_off, atomically)[1]


def _for_all(alias: str, workers: Sequence[UUID], work: Work, run: Any) -> tuple[int, set[UUID]]:
    """`run` is `atomically` for work that is one statement, `transact` for more."""
    try:
        return run(alias, lambda cursor: work(cursor, None), tries=FEW_TRIES), set()
    except DatabaseError as error:
        if not may_be_one_row(error):
            raise
    dialect = dialect_of(connections[alias])
    held = reading(alias, lambda cursor: claims.held_by_any(cursor, dialect, workers))
    counts: list[int] = []
    refused = by_halves(alias, held, lambda cursor, these: work(cursor, these), counts.append)
    return sum(counts), {id for id, _ in refused}
