"""How the database finds what is due, among what is not."""

from __future__ import annotations

import pytest
from django.db import connection

from benchmarks.ours import claims
from django_workflows.models import Execution

pytestmark = pytest.mark.django_db(transaction=True)

INDEX = "workflows_execution_wake"


@pytest.fixture
def rows() -> None:
    """Enough of them that a database which may choose would not read them all."""
    for status in ("completed", "waiting", "pending"):
        claims.insert(3_000, status)
    claims.vacuum()


@pytest.mark.parametrize("name", ["claim", "peek", "queues"])
def test_what_a_worker_asks_is_read_from_the_index_of_what_is_due(rows: None, name: str) -> None:
    """QUE-22: No statement that a worker repeats reads the table, or sorts the backlog."""
    plan = claims.plan(claims.statements()[name])
    assert INDEX in plan, plan
    assert "Seq Scan on django_workflows_execution" not in plan, plan
    assert "SCAN django_workflows_execution" not in plan.replace(f"USING INDEX {INDEX}", ""), plan


def test_a_claim_takes_as_many_as_it_may_and_is_taken_back_here(rows: None) -> None:
    claims.milliseconds(claims.statements()["claim"])
    assert not Execution.objects.running().exists()


def test_indexes_that_were_dropped_to_load_rows_are_there_again() -> None:
    def names() -> set[str]:
        with connection.cursor() as cursor:
            return set(connection.introspection.get_constraints(cursor, "django_workflows_execution"))

    before = names()
    with claims.without_indexes():
        assert names() < before
        claims.insert(10, "waiting")
    assert names() == before
