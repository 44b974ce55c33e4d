"""A published event as the engine reads it, and the values of its data that somebody asks for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import clock, codec
from django_workflows.engine.database.dialects import read_uuid

logger = logging.getLogger("django_workflows")

MISSING = object()

PUBLISHED = "id, name, data, created_at, deliver_at, event_id, source, headers, made_by, triggered_at, attempts, reason"


@dataclass(frozen=True, slots=True)
class Published:
    """An event to be dispatched."""

    id: UUID
    name: str
    data: str | None
    created_at: datetime
    deliver_at: datetime
    event_id: str | None = None
    source: str = ""
    headers: str | None = None
    made_by: str = ""
    is_triggered: bool = False
    attempts: int = 0  # to dispatch it, in vain
    has_vanished: bool = False  # the last one did not end with an error

    def value(self) -> Any:
        """Its data, or `MISSING` when nobody can read what is stored."""
        try:
            return None if self.data is None else codec.decode(self.data)
        except ValueError:
            logger.error("The data of event %s (%s) cannot be read; nobody gets it.", self.id, self.name)
            return MISSING


def read_published(cursor: CursorWrapper) -> list[Published]:
    return [_published(*row) for row in cursor.fetchall()]


def _published(
    id: Any, name: str, data: str | None, created_at: Any, deliver_at: Any, event_id: str | None, source: str, *row: Any
) -> Published:
    headers, made_by, triggered_at, attempts, reason = row
    created = clock.parse_sql_time(created_at)
    return Published(
        id=read_uuid(id),
        name=name,
        data=data,
        created_at=created,
        deliver_at=created if deliver_at is None else clock.parse_sql_time(deliver_at),
        event_id=event_id,
        source=source,
        headers=headers,
        made_by=made_by,
        is_triggered=triggered_at is not None,
        attempts=attempts,
        has_vanished=not reason,
    )


def keys_of(match: Mapping[str, Any]) -> str:
    """The (dotted) keys of a match in one text."""
    return ",".join(sorted(match))


def value_at(data: Any, path: str) -> Any:
    """The value under a dotted key, or `MISSING`. A key that holds a dot itself wins."""
    if isinstance(data, Mapping) and path in data:
        return data[path]
    head, dot, rest = path.partition(".")
    if not dot or not isinstance(data, Mapping) or head not in data:
        return MISSING
    return value_at(data[head], rest)


def hash_for(data: Any, keys: str) -> str | None:
    """The hash that a wait for these keys has when the event matches it; None when the event lacks one of them."""
    values = {path: value_at(data, path) for path in keys.split(",")} if keys else {}
    return None if MISSING in values.values() else codec.match_hash(values)
