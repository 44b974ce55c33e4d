"""Tables of values: many rows in one statement, as each database can be told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from django_workflows.engine.database.dialects import Column, Dialect, read_uuid

# SQLite has no arrays; its values are parameters, and a statement has at most 32,766 of them
SQLITE_PARAMETERS = 30_000


def columns(**types: str) -> tuple[Column, ...]:
    return tuple(Column(name, type) for name, type in types.items())


def names(of: Sequence[Column]) -> str:
    return ", ".join(column.name for column in of)


def run(
    cursor: CursorWrapper, dialect: Dialect, statement: str, of: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> None:
    """Execute a statement over a table of values, in as few calls as the database allows. The first is the row's id."""
    size = SQLITE_PARAMETERS // len(of) if dialect.is_sqlite else 5_000
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        table, parameters = dialect.table(of, batch)
        beside, ids = dialect.beside([row[0] for row in batch]) if "{beside}" in statement else ("", [])
        text = statement.format(
            table=table, columns=names(of), now=dialect.now(), tags=dialect.as_json("tags"), beside=beside
        )
        cursor.execute(text, [*parameters, *ids])


def choose(cursor: CursorWrapper, dialect: Dialect, query: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """The condition that follows the id of rows that `query` finds and locks, and its parameters."""
    if not dialect.finds_first:
        return f"IN ({query})", list(parameters)
    cursor.execute(query, parameters)
    return dialect.among([read_uuid(row[0]) for row in cursor.fetchall()])
