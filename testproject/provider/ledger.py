"""What the provider knows: every call, and each charge and refund once per idempotency key."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    idempotency_key TEXT NOT NULL,
    path TEXT NOT NULL,
    fault TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_key ON calls (idempotency_key);
CREATE TABLE IF NOT EXISTS charges (
    idempotency_key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    order_number TEXT NOT NULL,
    amount TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refunds (
    idempotency_key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    charge_id TEXT NOT NULL
);
"""

# "duplicates" is what must never happen: an order that was charged, or a charge that was given back, more than once.
COUNTS = """
SELECT (SELECT count(*) FROM calls) AS calls,
       (SELECT count(*) FROM calls WHERE fault = 'fail') AS failed,
       (SELECT count(*) FROM calls WHERE fault = 'hang') AS hung,
       (SELECT count(*) FROM calls WHERE fault = 'drop') AS dropped,
       (SELECT count(*) - count(DISTINCT idempotency_key) FROM calls) AS repeated,
       (SELECT count(*) FROM charges) AS charges,
       (SELECT count(*) FROM refunds) AS refunds,
       (SELECT count(*) - count(DISTINCT order_number) FROM charges)
       + (SELECT count(*) - count(DISTINCT charge_id) FROM refunds) AS duplicates
"""


class KeyReused(Exception):
    """The idempotency key was used before, for another request."""


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


class Ledger:
    """An SQLite file, so that a provider that was stopped or killed remembers what it did."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def note_call(self, key: str, path: str, fault: str) -> None:
        with self._transaction() as cursor:
            cursor.execute("INSERT INTO calls (idempotency_key, path, fault) VALUES (?, ?, ?)", (key, path, fault))

    def calls_with(self, key: str) -> int:
        with self._transaction() as cursor:
            cursor.execute("SELECT count(*) FROM calls WHERE idempotency_key = ?", (key,))
            return int(cursor.fetchone()[0])

    def charge(self, key: str, request: str, order: str, amount: str) -> str:
        """The id of the charge made under this key, now or before."""
        return self._once("charges", key, request, (f"ch_{digest(key)}", order, amount))

    def refund(self, key: str, request: str, charge: str) -> str:
        """The id of the refund made under this key, now or before."""
        return self._once("refunds", key, request, (f"re_{digest(key)}", charge))

    def has_charge(self, id: str) -> bool:
        with self._transaction() as cursor:
            return cursor.execute("SELECT 1 FROM charges WHERE id = ?", (id,)).fetchone() is not None

    def counts(self) -> dict[str, int]:
        with self._transaction() as cursor:
            return dict(cursor.execute(COUNTS).fetchone())

    def _once(self, table: str, key: str, request: str, values: tuple[str, ...]) -> str:
        with self._transaction() as cursor:
            cursor.execute(f"SELECT id, request FROM {table} WHERE idempotency_key = ?", (key,))
            if (before := cursor.fetchone()) is None:
                marks = ", ".join("?" * (2 + len(values)))
                cursor.execute(f"INSERT INTO {table} VALUES ({marks})", (key, request, *values))
                return values[0]
        if before["request"] != request:
            raise KeyReused
        return str(before["id"])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock, closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
