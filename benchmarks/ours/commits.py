"""How many transactions the database has committed (PostgreSQL)."""

from __future__ import annotations

import time

from django.db import connection

SETTLED_SECONDS = 1.2  # a server process tells what it did at most once a second

STATISTICS = """
SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(),
    xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""


def count() -> int:
    """Transactions since the database was made, this question excluded; waits until everyone has told."""
    time.sleep(SETTLED_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(STATISTICS)
        return int(cursor.fetchone()[2])
