"""What an error of the database means for the transaction that met it."""

from __future__ import annotations

import enum

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError


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
_VALUE_CLASSES = ("21", "22", "23", "27", "44", "54", "P0")  # P0: a trigger of the database says no
_ROW_CLASSES = ("38", "39", "XX")  # a function that a row calls; a row that cannot be read


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


def may_be_one_row(error: Exception) -> bool:
    """Whether one of several rows may be to blame, so that the others do by themselves: whatever is no failure of the
    database as a whole. SQLite locks all or nothing.
    """
    if isinstance(error, ConnectionLost | AmbiguousCommit | InterfaceError):
        return False
    if not isinstance(error, DatabaseError):
        return True
    state = sqlstate_of(error)
    return is_about_values(error) or state in _RETRYABLE or state.startswith(_ROW_CLASSES)
