"""Whether claims stay as cheap as in an empty table: the same statements before and after millions of rows came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from benchmarks.ours.idle import queries
from benchmarks.ours.workers import workers
from benchmarks.protocol import Measurement, Reading, Sizes, note, percentile
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.claims import ClaimLimit
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import keep_plans

SLOTS = 32
SAMPLES, WARM_UP = 60, 20
PRIORITIES = 5
FEW = 1_000  # due in the table that counts as empty
CLAIM_LIMIT = ClaimLimit((("one_step", 1), ("sequence", 1)), SLOTS)

Statement = Callable[[CursorWrapper], object]

# A row for each number of a series, at `{moment}`: finished, asleep or due.
ROWS = """
INSERT INTO django_workflows_execution (
    id, workflow, version, generation, status, requested, reason, input, current_step, queue, priority, key_released,
    parent_close, wake_at, claim, inbox, awaiting, crashes, created_at, updated_at, started_at, completed_at
)
SELECT {uuid}, 'one_step', 1, 0, '{status}', '', '', '{{"number":1}}', '', 'default', n % {priorities}, false,
    'cancel', {wake_at}, 1, 0, 0, 0, {moment}, {moment}, {moment}, {completed_at}
FROM ({series}) AS series
"""

SPELLINGS = {
    "sqlite": {
        "uuid": "lower(hex(randomblob(16)))",
        "series": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s",
        "moment": "strftime('%Y-%m-%d %H:%M:%f000', 'now', ({sign}3600 {sign} n * 0.5) || ' seconds')",
    },
    "postgresql": {
        "uuid": "gen_random_uuid()",
        "series": "SELECT n FROM generate_series(1, {count}) AS n",
        "moment": "now() {sign} interval '1 hour' {sign} n * interval '0.5 seconds'",
    },
}


def insert(count: int, status: str) -> None:
    """So many rows: `completed` ones, `waiting` ones that sleep, `pending` ones that are due."""
    spelling = SPELLINGS[connection.vendor]
    past, future = (spelling["moment"].format(sign=sign) for sign in "-+")
    text = ROWS.format(
        uuid=spelling["uuid"],
        series=spelling["series"].format(count=count),
        status=status,
        priorities=PRIORITIES,
        moment=past,
        wake_at={"completed": "NULL", "waiting": future, "pending": past}[status],
        completed_at=past if status == "completed" else "NULL",
    )
    with connection.cursor() as cursor:
        cursor.execute(text)


@contextmanager
def without_indexes() -> Iterator[None]:
    """Drop the table's indexes, and make them again when the rows are there: a quarter of the time."""
    catalogue = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name = 'django_workflows_execution'"
        if connection.vendor == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE indexname NOT LIKE '%_pkey'"
        " AND tablename = 'django_workflows_execution'"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for _, definition in indexes:
            cursor.execute(definition)


def statements() -> dict[str, Statement]:
    """What a worker asks, by name."""
    dialect, worker = dialect_of(connection), uuid4()

    def claim(cursor: CursorWrapper) -> object:
        taken = claims.claim(cursor, dialect, ("default", 2), CLAIM_LIMIT, worker=worker, lease=30.0)
        assert len(taken) == SLOTS
        return taken

    return {
        "claim": claim,
        "peek": lambda cursor: claims.peek(cursor, dialect, ("default",)),
        "queues": claims.queues_in_use,
    }


def milliseconds(statement: Statement) -> float:
    """The lower quartile, which the noise of a machine reaches least; what it changed is taken back."""
    times = []
    for _ in range(WARM_UP + SAMPLES):
        with transaction.atomic(), connection.cursor() as cursor:
            began = time.perf_counter()
            statement(cursor)
            times.append((time.perf_counter() - began) * 1000)
            transaction.set_rollback(True)
    return percentile(times[WARM_UP:], 25)


def plan(statement: Statement) -> str:
    """How the database carries it out."""
    how = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN (ANALYZE, BUFFERS)"
    asked: list[tuple[str, Any]] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with transaction.atomic(), connection.cursor() as cursor:
        with connection.execute_wrapper(listen):
            statement(cursor)
        transaction.set_rollback(True)
    with transaction.atomic(), connection.cursor() as cursor:
        sql, parameters = asked[0]
        cursor.execute(f"{how} {sql}", parameters)
        told = "\n".join(str(row[-1]) for row in cursor.fetchall())
        transaction.set_rollback(True)
    return told


def measured() -> dict[str, float]:
    return {name: milliseconds(statement) for name, statement in statements().items()}


def vacuum() -> None:
    """Statistics as the server's own housekeeping would have made them."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE django_workflows_execution")


def flatness(sizes: Sizes) -> Reading:
    """Claims of 32 rows from one of five priorities: first a thousand due rows alone, then among all the others."""
    keep_plans(connection.alias)  # as a worker does
    insert(FEW, "pending")
    vacuum()
    empty = measured()
    note(f"            claims: {FEW:,} rows {empty}")
    with without_indexes():
        for count, status in ((sizes["rows"], "completed"), (sizes["rows"], "waiting"), (sizes["due"], "pending")):
            insert(count, status)
    vacuum()
    full = measured()
    note(f"            claims: {2 * sizes['rows'] + sizes['due']:,} rows {full}")
    plans = {name: plan(statement) for name, statement in statements().items()}
    figures = {name: full[name] / empty[name] for name in full} | {"time": full["claim"]}
    if connection.vendor == "postgresql":
        figures |= idle_beside_rows()
    return Reading(figures=figures, facts=plans)


def idle_beside_rows() -> dict[str, float]:
    """What an idle worker asks when nothing is due, but a lot is there."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_workflows_execution WHERE status = 'pending'")
    vacuum()
    with workers():
        return queries(seconds=5)


MEASUREMENTS: dict[str, Measurement] = {"claims": flatness}
