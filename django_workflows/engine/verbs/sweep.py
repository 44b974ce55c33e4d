"""Verbs that were requested by an UPDATE are carried out by workers, and one that cannot be holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import may_be_one_row
from django_workflows.engine.database.isolation import Shelf, by_halves
from django_workflows.engine.database.transactions import FEW_TRIES, reading, transact
from django_workflows.engine.verbs import apply
from django_workflows.engine.verbs.apply import Change

AT_ONCE = 100


class Sweep:
    """Carries out for one worker what is requested. An execution for which that fails again and again stands apart."""

    def __init__(self) -> None:
        self._shelf: Shelf[UUID] = Shelf("What is requested of execution")

    def go(self, alias: str) -> list[Change]:
        """What was changed, to be followed by `announce()`."""
        dialect, but = dialect_of(connections[alias]), self._shelf.now()
        try:
            return transact(
                alias, lambda cursor: apply.carry_out(cursor, dialect, but=but), tries=FEW_TRIES, reads_past=True
            )
        except Exception as error:
            if not may_be_one_row(error):
                raise
        wanted = reading(alias, lambda cursor: apply.requests(cursor, dialect, but=but))
        changes: list[Change] = []

        def work(cursor: CursorWrapper, some: Sequence[UUID]) -> list[Change]:
            return apply.carry_out(cursor, dialect, only={id: wanted[id] for id in some})

        for id, failure in by_halves(alias, list(wanted)[:AT_ONCE], work, changes.extend, reads_past=True):
            self._shelf.put(id, failure)
        return changes
