"""What the engine needs of a database beyond the ORM: dialects, and transactions that know their faults.

Raw statements are written once, for all three engines; what differs stands here: how values become a table, how rows
are locked, how values are stored. CockroachDB counts as PostgreSQL (`connection.vendor` is "cockroachdb").
"""

from __future__ import annotations

import contextlib
import enum
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_workflows import clock

# SQLite needs no driver, and Django may work with psycopg 2
psycopg: Any = import_module("psycopg") if find_spec("psycopg") else None

T = TypeVar("T")

MAX_TRIES = 30
KEPT_AFTER = 3  # executions of a statement on one connection, after which its plan is kept

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


# SQLite has one writer. Waiting for it in Python is fair and cheap; waiting in SQLite is polling.
_sqlite_writer = threading.RLock()


@contextlib.contextmanager
def writing(dialect: Dialect) -> Iterator[None]:
    """Hold this process's turn to write; a no-op where the database serves many writers."""
    if not dialect.is_sqlite:
        yield
        return
    with _sqlite_writer:
        yield


class Fault(enum.Enum):
    """What a database error means for the transaction that met it."""

    RETRY = "rolled back for another's sake; the same again will do"
    AMBIGUOUS = "nobody knows whether the commit took place; read back"
    LOST = "the connection is gone, and nothing was committed"
    DATA = "a value or a constraint; the same again will fail again"
    OTHER = "anything else"


_RETRYABLE = {"40001", "40P01", "55P03", "40000"}
_LOCKED = ("database is locked", "database table is locked")  # SQLite has no codes
_CONNECTION_CLASSES = ("08", "57P")
_VALUE_CLASSES = ("21", "22", "23", "54")


def sqlstate_of(error: BaseException) -> str:
    """The five letters of the SQL standard, or an empty text."""
    for candidate in (error, error.__cause__):
        if (state := getattr(candidate, "sqlstate", None)) is not None:
            return str(state)
    return ""


def is_about_values(error: DatabaseError | InterfaceError) -> bool:
    """Whether the server refuses what it was given: other values would do, the same again will not."""
    return isinstance(error, DataError | IntegrityError) or sqlstate_of(error).startswith(_VALUE_CLASSES)


def is_retryable(error: DatabaseError | InterfaceError) -> bool:
    """Whether a transaction was rolled back for another's sake, or could not begin."""
    return sqlstate_of(error) in _RETRYABLE or any(words in str(error) for words in _LOCKED)


def fault_of(error: DatabaseError | InterfaceError, *, at_commit: bool, usable: bool) -> Fault:
    """Classify an error; `usable` says whether the connection still is."""
    state = sqlstate_of(error)
    if state == "40003":
        return Fault.AMBIGUOUS
    if is_retryable(error):
        return Fault.RETRY
    if not usable or isinstance(error, InterfaceError) or state.startswith(_CONNECTION_CLASSES):
        return Fault.AMBIGUOUS if at_commit else Fault.LOST
    if is_about_values(error):
        return Fault.DATA
    if isinstance(error, OperationalError) and not state and type(error.__cause__).__module__ != "sqlite3":
        # told by the driver, not by the server; Django may have connected again since, so `usable` says nothing. SQLite
        # has no server to lose, and no codes: its "no such table" looks the same
        return Fault.AMBIGUOUS if at_commit else Fault.LOST
    return Fault.OTHER


class AmbiguousCommit(Exception):
    """The connection was lost while the commit was under way; the caller reads back what became of it."""


class ConnectionLost(Exception):
    """The database cannot be reached, or the connection broke before the commit; nothing was written."""


def _is_usable(connection: BaseDatabaseWrapper) -> bool:
    raw = connection.connection
    return raw is not None and not getattr(raw, "closed", False)


def open_cursor(alias: str) -> CursorWrapper:
    """A cursor of Django's that leaves the parameters to the server: quoting long texts in Python is slow."""
    connection = connections[alias]
    cursor: CursorWrapper = connection.cursor()
    if (
        psycopg is not None
        and connection.vendor == "postgresql"
        and isinstance(raw := connection.connection, psycopg.Connection)
    ):
        cursor.cursor = psycopg.Cursor(raw)  # inside Django's wrapper, so that hooks still see every statement
    return cursor


def planning_cursor(cursor: CursorWrapper) -> CursorWrapper:
    """Another cursor of the same connection, whose statements are planned with their values whatever plans are kept.

    For what one value has few rows of and another a hundred thousand: the one plan for all would go through them all.
    """
    planning: CursorWrapper = cursor.db.cursor()
    if psycopg is not None and cursor.db.vendor == "postgresql" and isinstance(cursor.cursor, psycopg.Cursor):
        planning.cursor = psycopg.ClientCursor(cursor.db.connection)  # it sends no parameters: a plan is for them alone
    return planning


def keep_plans(alias: str) -> None:
    """Have the server keep the plans of the few statements that this connection repeats: planning costs it more than
    doing what they say. By index, always: a plan made while a table was small must do when it has grown.

    Not through a pooler, which may hand every statement to another session. It tells clients of a process of its own.
    """
    connection = connections[alias]
    raw = connection.connection
    if connection.vendor != "postgresql" or psycopg is None or not isinstance(raw, psycopg.Connection):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone()[0] == raw.info.backend_pid:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            raw.prepare_threshold = KEPT_AFTER


def single(alias: str, work: Callable[[CursorWrapper], T]) -> T:
    """Call `work`, which writes with at most one statement, without a transaction around it: two round trips less.

    The statement is its own transaction, so its answer may be lost as that of a commit; errors are those of `transact`.
    """
    was_sent = False

    def once() -> T:
        nonlocal was_sent
        was_sent = False
        with _turn_to_write(alias), open_cursor(alias) as cursor:
            was_sent = True
            return work(cursor)

    return _repeat(alias, once, lambda: was_sent)


def transact(alias: str, work: Callable[[CursorWrapper], T]) -> T:
    """Call `work` with a cursor in one transaction, again as a whole when the database asks for it.

    Raises `AmbiguousCommit` and `ConnectionLost` (the connection is closed and will be renewed), and database errors
    that trying again cannot mend. Inside somebody's transaction it is a savepoint and never tries again.
    """
    at_commit = False

    def once() -> T:
        nonlocal at_commit
        at_commit = False
        with _turn_to_write(alias), transaction.atomic(using=alias):
            with open_cursor(alias) as cursor:
                result = work(cursor)
            at_commit = True
        return result

    return _repeat(alias, once, lambda: at_commit)


def _turn_to_write(alias: str) -> contextlib.AbstractContextManager[None]:
    """None inside a transaction: it holds SQLite's lock or will, and waiting for ours as well would be a deadlock."""
    connection = connections[alias]
    return contextlib.nullcontext() if connection.in_atomic_block else writing(dialect_of(connection))


def _repeat(alias: str, once: Callable[[], T], was_committing: Callable[[], bool]) -> T:
    """Call `once` until it succeeds or fails for good."""
    connection = connections[alias]
    nested = connection.in_atomic_block
    for tries in range(1, MAX_TRIES + 1):
        try:
            return once()
        except (DatabaseError, InterfaceError) as error:
            if nested:
                raise
            fault = fault_of(error, at_commit=was_committing(), usable=_is_usable(connection))
            if fault in {Fault.AMBIGUOUS, Fault.LOST}:
                connection.close()
                raise (AmbiguousCommit if fault is Fault.AMBIGUOUS else ConnectionLost)(str(error)) from error
            if fault is not Fault.RETRY or tries == MAX_TRIES:
                raise
        time.sleep(random.uniform(0, min(0.001 * 2**tries, 0.25)))
    raise AssertionError("unreachable")
