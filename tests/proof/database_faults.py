"""What may happen at a statement or a commit: the process dies, or the database answers with an error."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.proof.tapping import COMMIT, is_commit

KILLED = 137  # the exit status of a process that SIGKILL ended, as a shell tells it

BEFORE, AFTER = "before", "after"
MOMENTS = (BEFORE, AFTER)


class Death:
    """Ends the process before or after its n-th statement or commit, in the middle of whatever its threads do."""

    def __init__(self, number: int, moment: str) -> None:
        self._number, self._moment = number, moment
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, connection: BaseDatabaseWrapper, sql: str, proceed: Callable[[], Any]) -> Any:
        with self._lock:
            self._count += 1
            is_mine = self._count == self._number
        if is_mine and self._moment == BEFORE:
            os._exit(KILLED)
        answer = proceed()
        if is_mine:
            os._exit(KILLED)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Accident:
    """An error of the database. `applied`: what was executed took place all the same; `breaks`: the connection is lost.

    `doubtful`: it can only be told of what commits. `weight`: how often it happens, compared with others.
    """

    name: str
    sqlstate: str = ""
    message: str = ""
    applied: bool = False
    breaks: bool = False
    doubtful: bool = False
    weight: int = 1

    def happen(self, connection: Any, sql: str, proceed: Callable[[], Any]) -> None:
        """Raise what the driver raises, with the database in the state that belongs to it."""
        if self.applied:
            proceed()
        elif sql is COMMIT:
            connection.connection.rollback()
        elif not self.breaks:
            _break_off_transaction(connection)
        if self.breaks and connection.vendor != "sqlite":  # a file is not lost, but a disk may fail for a moment
            connection.connection.close()
        error = OperationalError(self.message or f"injected: {self.name}")
        raise error from (psycopg.errors.lookup(self.sqlstate)(self.name) if self.sqlstate else None)


def _break_off_transaction(connection: Any) -> None:
    """After an error PostgreSQL refuses the rest of the transaction, which must not go unnoticed."""
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        with suppress(psycopg.Error):
            connection.connection.execute("SELECT 1 / 0")


ACCIDENTS = (
    Accident(name="serialization failure", sqlstate="40001", weight=8),
    Accident(name="deadlock", sqlstate="40P01", weight=2),
    Accident(name="lock not available", sqlstate="55P03", weight=2),
    Accident(name="completion unknown, not applied", sqlstate="40003", doubtful=True),
    Accident(name="completion unknown, applied", sqlstate="40003", doubtful=True, applied=True),
    Accident(name="connection lost", message="server closed the connection unexpectedly", breaks=True),
    Accident(name="connection lost after", message="consuming input failed: EOF", breaks=True, applied=True),
    Accident(name="terminated by an administrator", sqlstate="57P01", breaks=True),
)
BUSY = Accident(name="busy", message="database is locked", weight=2)  # SQLite's only word for it


class Accidents:
    """Accidents at a share of all statements and commits, drawn by a seed. `tell` hears the name of each.

    `most`: if half of all statements fail, a transaction of eight passes once in 500 times, and what comes late in it
    is hardly reached. So after so many accidents in a row a connection is spared up to its next commit, which may fail
    as often again; no real database refuses the same for ever. 0: nobody is spared.
    """

    def __init__(
        self,
        seed: int,
        rate: float,
        tell: Callable[[str], object],
        kinds: tuple[Accident, ...] = (),
        most: int = 0,
    ) -> None:
        self._random, self._rate, self._tell = Random(seed), rate, tell
        self._kinds, self._most = kinds, most
        self._in_a_row: Counter[tuple[str, int]] = Counter()  # by connection, of which each thread has its own
        self._lock = threading.Lock()

    def __call__(self, connection: BaseDatabaseWrapper, sql: str, proceed: Callable[[], Any]) -> Any:
        commits = is_commit(connection, sql) and not sql.startswith("BEGIN")
        own = (connection.alias, threading.get_ident())
        with self._lock:
            is_spared = bool(self._most) and self._in_a_row[own] >= self._most * (1 + commits)
            is_hit = not is_spared and self._random.random() < self._rate
            accident = self._draw(connection, sql) if is_hit else None
            self._in_a_row[own] += is_hit
        if accident is None:
            answer = proceed()
            if commits:
                self._in_a_row[own] = 0
            return answer
        self._tell(accident.name)
        return accident.happen(connection, sql, proceed)

    def _draw(self, connection: BaseDatabaseWrapper, sql: str) -> Accident:
        if sql.startswith("BEGIN"):
            return BUSY  # SQLite's; whatever else went wrong there would leave a transaction open
        known = self._kinds or (ACCIDENTS if connection.vendor != "sqlite" else (*ACCIDENTS, BUSY))
        possible = [kind for kind in known if is_commit(connection, sql) or not kind.doubtful]
        return self._random.choices(possible, [kind.weight for kind in possible])[0]
