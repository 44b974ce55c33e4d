"""How each database spells what the engine's raw statements leave open, and keeps its values.

Raw statements are written once, for all three engines; what differs stands here: how values become a table, how rows
are locked, how values are stored. CockroachDB counts as PostgreSQL (`connection.vendor` is "cockroachdb").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows import clock

_JSON = msgspec.json.Encoder()
_HEX_JSON = msgspec.json.Encoder(uuid_format="hex")  # as SQLite keeps UUIDs


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a table of values: its name and its type in PostgreSQL. Each is made once, and is its own key."""

    name: str
    type: str


@cache
def _record(columns: tuple[Column, ...]) -> tuple[type[msgspec.Struct], str]:
    """A struct with these fields, which encodes faster than a dict and leaves out what is NULL; and their types."""
    fields = [(column.name, Any, None) for column in columns]
    record = msgspec.defstruct("Record", fields, omit_defaults=True)
    return record, ", ".join(f"{column.name} {column.type}" for column in columns)


@cache
def _extraction(columns: tuple[Column, ...]) -> tuple[str, frozenset[int]]:
    """How SQLite reads rows from JSON, and which of their values are times, which it keeps in a form of its own."""
    values = ", ".join(f"json_extract(value, '$[{at}]')" for at in range(len(columns)))
    return values, frozenset(at for at, column in enumerate(columns) if column.type == "timestamptz")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one database spells what the statements leave open."""

    vendor: str

    @property
    def is_sqlite(self) -> bool:
        return self.vendor == "sqlite"

    @property
    def lock(self) -> str:
        """Suffix of a SELECT that locks the rows it can get at once. SQLite's writer holds the whole database."""
        return "" if self.is_sqlite else "FOR NO KEY UPDATE SKIP LOCKED"

    @property
    def lock_waiting(self) -> str:
        """Suffix of a SELECT that waits for the rows it locks."""
        return "" if self.is_sqlite else "FOR NO KEY UPDATE"

    @property
    def finds_first(self) -> bool:
        """Whether rows are found and locked by one statement, and changed by another, which has their ids.

        CockroachDB may find the rows of an UPDATE that joins by going through the whole table, as long as that is
        small, and then waits for every stranger who has changed any row of it and not committed.
        """
        return self.vendor == "cockroachdb"

    @property
    def look(self) -> str:
        """Suffix of a SELECT that looks for work: what somebody holds is passed over, since there is another look.

        A plain read would wait for him on CockroachDB. Elsewhere readers wait for nobody, and a lock is a write.
        """
        return self.lock if self.finds_first else ""

    def beside(self, ids: Iterable[UUID]) -> tuple[str, list[Any]]:
        """What an UPDATE of `mine` says beside its join with a table of values, for the reason of `finds_first`."""
        if not self.finds_first:
            return "", []
        among, parameters = self.among(ids)
        return f"AND mine.id {among}", parameters

    def now(self, plus_seconds: float = 0.0) -> str:
        """SQL for the database's present time plus a constant."""
        return clock.sql_now(self.vendor, plus_seconds)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        """A query that yields `rows`, for `WITH r(…) AS ({table})`, and its parameters.

        Few parameters, so that the statement's text does not grow with the batch: arrays on CockroachDB; elsewhere one
        JSON text, which costs a third of what the drivers take for each value.
        """
        if self.is_sqlite:
            values, times = _extraction(tuple(columns))
            plain = [
                [_stored_time(value) if value is not None and at in times else value for at, value in enumerate(row)]
                for row in rows
            ]
            return f"SELECT {values} FROM json_each(%s)", [_HEX_JSON.encode(plain).decode()]
        if self.vendor == "postgresql":
            record, types = _record(tuple(columns))
            text = _JSON.encode([record(*row) for row in rows]).decode()
            return f"SELECT * FROM json_to_recordset(%s::json) AS t({types})", [text]
        arrays = ", ".join(f"%s::{column.type}[]" for column in columns)
        return f"SELECT * FROM unnest({arrays})", [list(values) for values in zip(*rows, strict=True)]

    def among(self, values: Iterable[Any], type: str = "uuid") -> tuple[str, list[Any]]:
        """The condition that follows a column which must be one of `values`, and its parameters."""
        values = list(values)
        if self.is_sqlite:
            return f"IN ({', '.join(['%s'] * len(values))})", [store(self, value) for value in values]
        if (
            self.vendor == "postgresql" and type == "uuid"
        ):  # one text costs a fraction of what the driver takes for a list
            return "= ANY(%s::uuid[])", ["{" + ",".join([value.hex for value in values]) + "}"]
        return f"= ANY(%s::{type}[])", [values]

    def as_json(self, column: str) -> str:
        """SQL that turns a text column into what a JSON column stores."""
        return column if self.is_sqlite else f"{column}::jsonb"


def store(dialect: Dialect, value: Any) -> Any:
    """A parameter as the database keeps it; SQLite has neither UUIDs nor times."""
    if not dialect.is_sqlite:
        return value
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return _stored_time(value)
    return value


def _stored_time(value: datetime) -> str:
    """As Django writes it on SQLite: UTC, without saying so."""
    return value.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def read_uuid(value: Any) -> UUID:
    """A UUID as a raw query returned it."""
    return value if isinstance(value, UUID) else UUID(value)


def read_uuid_or_none(value: Any) -> UUID | None:
    return None if value is None else read_uuid(value)


def read_time(value: Any) -> datetime | None:
    """A time as a raw query returned it."""
    return None if value is None else clock.parse_sql_time(value)


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """The dialect of a connection."""
    return Dialect(connection.vendor)
