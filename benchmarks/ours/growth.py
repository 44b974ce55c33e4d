"""What an execution leaves behind, and what its updates cost the table (PostgreSQL)."""

from __future__ import annotations

from django.db import connection

from benchmarks.ours import commits
from benchmarks.ours.throughput import Load, drain
from benchmarks.ours.workers import completed, workers
from benchmarks.protocol import Measurement, Reading, Sizes

SIZES = """
SELECT pg_table_size('django_workflows_execution'), pg_indexes_size('django_workflows_execution'),
    pg_table_size('django_workflows_stepresult'), pg_indexes_size('django_workflows_stepresult')
"""

UPDATES = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'django_workflows_execution'
"""


def growth(sizes: Sizes) -> Reading:
    """Executions of ten small steps, with all that they have."""
    load = Load(workflow="sequence", executions=sizes["executions"], steps=sizes["steps"])
    with connection.cursor() as cursor:
        cursor.execute(SIZES)
        before = cursor.fetchone()
        with workers():
            drain(load)
        commits.count()  # everybody has told
        cursor.execute(SIZES)
        rows, indexes, steps, step_indexes = (
            later - earlier for later, earlier in zip(cursor.fetchone(), before, strict=True)
        )
        cursor.execute(UPDATES)
        updates, hot = cursor.fetchone()
    amount = load.executions * load.steps
    figures = {
        "execution": rows / load.executions,
        "indexes": indexes / load.executions,
        "step": steps / amount,
        "step_indexes": step_indexes / amount,
        "updates": updates / load.executions,
        "hot": hot / max(updates, 1) * 100,
    }
    return Reading(figures=figures, completed=completed(load.workflow), expected=load.executions)


MEASUREMENTS: dict[str, Measurement] = {"growth": growth}
