"""Comparing a stored time with a moment, also where times are stored as texts.

SQLite compares texts. The engine's statements store six digits after the second; Django leaves them out when they are
zero, so one instant may stand there in two ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import CharField, Q, Value

from django_workflows.engine.database.dialects import dialect_of, store


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment as a column may hold it: the first and the last way to write it."""

    first: Any
    last: Any

    @classmethod
    def of(cls, alias: str, moment: datetime) -> Instant:
        dialect = dialect_of(connections[alias])
        if not dialect.is_sqlite:
            return cls(moment, moment)
        short = str(moment.astimezone(UTC).replace(tzinfo=None))
        return cls(*(Value(text, output_field=CharField()) for text in (short, store(dialect, moment))))

    def before(self, column: str) -> Q:
        """The column is earlier."""
        return Q(**{f"{column}__lt": self.first})

    def after(self, column: str) -> Q:
        """The column is later."""
        return Q(**{f"{column}__gt": self.last})

    def same(self, column: str) -> Q:
        """The column is the same instant."""
        return Q(**{f"{column}__gte": self.first, f"{column}__lte": self.last})
