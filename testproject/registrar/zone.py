"""What the registrar knows: records with the moment at which the world sees them, and certificates."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    name TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL, visible_at REAL NOT NULL,
    PRIMARY KEY (name, type, value)
);
CREATE TABLE IF NOT EXISTS certificates (
    idempotency_key TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, challenge TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS calls (at REAL NOT NULL, limited INTEGER NOT NULL);
"""


def digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:24]


class Zone:
    """An SQLite file, so that a registrar that was stopped or killed remembers. Of one name and type the value that
    became visible last is what the world sees. Tests give it a `clock` of their own, in seconds.
    """

    clock: Callable[[], float]

    def __init__(self, path: Path, *, spread_seconds: float, per_second: float) -> None:
        self.spread_seconds, self.per_second, self.clock = spread_seconds, per_second, time.time
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def seconds_to_wait(self) -> float:
        """0 when this call is within the limit, which it then counts for; else after how long to come again."""
        now = self.clock()
        with self._transaction() as cursor:
            cursor.execute("SELECT at FROM calls WHERE NOT limited ORDER BY at DESC LIMIT 1")
            row = cursor.fetchone()
            wait = max(0.0, row[0] + 1 / self.per_second - now) if row else 0.0
            cursor.execute("INSERT INTO calls VALUES (?, ?)", (now, int(wait > 0)))
            return wait

    def set(self, name: str, type: str, value: str) -> None:
        """The same again changes nothing, and does not spread anew."""
        visible_at = self.clock() + self.spread_seconds
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT value FROM records WHERE name = ? AND type = ? ORDER BY visible_at DESC LIMIT 1", (name, type)
            )
            if (row := cursor.fetchone()) is None or row[0] != value:
                cursor.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", (name, type, value, visible_at))

    def look_up(self, name: str, type: str) -> str:
        """What the world sees; nothing while it has not spread."""
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT value FROM records WHERE name = ? AND type = ? AND visible_at <= ? ORDER BY visible_at DESC",
                (name, type, self.clock()),
            )
            row = cursor.fetchone()
            return str(row[0]) if row else ""

    def order(self, key: str, domain: str) -> dict[str, str]:
        """The certificate ordered under this key, now or before."""
        with self._transaction() as cursor:
            values = (key, f"crt_{digest(key, domain)}", domain, digest("challenge", key))
            cursor.execute("INSERT OR IGNORE INTO certificates VALUES (?, ?, ?, ?)", values)
            cursor.execute("SELECT id, domain, challenge FROM certificates WHERE idempotency_key = ?", (key,))
            id, domain, challenge = cursor.fetchone()
        return {"id": id, "challenge_name": f"_acme-challenge.{domain}", "challenge": challenge}

    def status(self, id: str) -> str | None:
        """A certificate is issued when its challenge can be seen; None for an unknown one."""
        with self._transaction() as cursor:
            cursor.execute("SELECT domain, challenge FROM certificates WHERE id = ?", (id,))
            row = cursor.fetchone()
        if row is None:
            return None
        return "issued" if self.look_up(f"_acme-challenge.{row[0]}", "TXT") == row[1] else "pending"

    def counts(self) -> dict[str, int]:
        with self._transaction() as cursor:
            cursor.execute("SELECT count(*), coalesce(sum(limited), 0) FROM calls")
            calls, limited = cursor.fetchone()
            counts = {"calls": calls, "limited": limited}
            for table in ("records", "certificates"):
                cursor.execute(f"SELECT count(*) FROM {table}")
                counts[table] = cursor.fetchone()[0]
            return counts

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
