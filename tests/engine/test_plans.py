"""The kept plans of the pump's statements: none is bad for a value that is rarer than the others."""

from __future__ import annotations

import pytest
from django.db import connection

from django_workflows import codec
from django_workflows.engine.database import transactions
from django_workflows.engine.events import dispatch
from django_workflows.models import Signal, Status, StepKind
from tests.factories import ago, make_event, make_execution, make_wait

pytestmark = pytest.mark.django_db

MANY, FEW = 5_000, 200

COPIES = """
WITH copy AS (
    INSERT INTO django_workflows_execution
    SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid()))).*
    FROM django_workflows_execution e, generate_series(1, %s) WHERE e.id = %s RETURNING id
)
INSERT INTO django_workflows_stepresult
SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'execution_id', copy.id))).*
FROM django_workflows_stepresult s, copy WHERE s.execution_id = %s
"""

ROWS_READ = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'django_workflows_stepresult'"
"""By this transaction, through indexes."""


@pytest.fixture(autouse=True)
def _plans_are_kept(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the transaction of the test is rolled back."""
    if connection.vendor != "postgresql":
        pytest.skip("elsewhere no plans are kept")
    raw = connection.connection
    monkeypatch.setattr(raw, "prepare_threshold", raw.prepare_threshold)
    transactions.keep_plans("default")


def rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROWS_READ)
        return int(cursor.fetchone()[0])


def open_wait(name: str) -> None:
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.EVENT, name, match_hash=codec.match_hash({}))
    if name == "opening":
        with connection.cursor() as cursor:
            cursor.execute(COPIES, [MANY, execution.id, execution.id])
            cursor.execute("ANALYZE django_workflows_execution, django_workflows_stepresult")


def test_an_event_for_one_wait_does_not_go_through_those_for_another_event() -> None:
    """EVT-01: thousands wait for the opening of the shop, and one for its closing."""
    open_wait("closing")
    open_wait("opening")
    make_event("closing", dispatched_at=None, deliver_at=ago(seconds=1))
    before = rows_read()
    assert dispatch.dispatch("default")
    assert Signal.objects.count() == 1
    assert rows_read() - before < FEW
