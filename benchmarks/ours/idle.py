"""W8: what a worker with nothing to do asks of the database (PostgreSQL)."""

from __future__ import annotations

import time

from django.db import connection

from benchmarks.ours import commits
from benchmarks.ours.workers import workers
from benchmarks.protocol import Measurement, Reading, Sizes

SETTLING_SECONDS = 3.0

SEQUENTIAL = """
SELECT COALESCE(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname LIKE 'django_workflows_%'
"""


def queries(seconds: int) -> dict[str, float]:
    """Transactions a second (each is one query), and rows a second that were read without an index."""
    time.sleep(SETTLING_SECONDS)
    first, read = commits.count(), _read()
    began = time.monotonic()
    time.sleep(seconds)
    last = commits.count() - 2  # the two questions of this process after the first count
    lasted = time.monotonic() - began
    return {"queries": (last - first) / lasted, "scanned": (_read() - read) / lasted}


def _read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(SEQUENTIAL)
        return int(cursor.fetchone()[0])


def idle(sizes: Sizes) -> Reading:
    with workers():
        return Reading(figures=queries(sizes["seconds"]))


MEASUREMENTS: dict[str, Measurement] = {"W8": idle}
