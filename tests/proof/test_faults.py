"""The database answers with errors at a share of all statements and commits, and nobody outside notices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connection

from django_workflows import client
from django_workflows.engine.database import transactions
from django_workflows.engine.inline.driver import InlineDriver
from django_workflows.models import Execution, Status
from tests.proof.conftest import NewTrial
from tests.proof.database_faults import ACCIDENTS
from tests.proof.sampling import RUNS_ALL, seeded
from tests.proof.tapping import tapped
from tests.proof.workflows import proof_subscriber

RATES = (0.05, 0.2) if RUNS_ALL else (0.05,)


@seeded(60, sample=1)
@pytest.mark.parametrize("rate", RATES)
def test_no_body_is_called_again_for_an_error_of_the_database(new_trial: NewTrial, rate: float, seed: int) -> None:
    """DBF-01, DBF-02, DBF-04, DBF-13, EVT-10: only a transactional step is repeated, as one unit."""
    trial = new_trial()
    trial.finish(seed=seed, rate=rate)
    trial.check()
    assert trial.accidents.total() > 0


@seeded(40, sample=1)
def test_nothing_is_lost_when_every_second_statement_fails(new_trial: NewTrial, seed: int) -> None:
    """DBF-01, DBF-04: up to five times in a row within a transaction, and as often again when it commits."""
    trial = new_trial()
    trial.finish(seed=seed, rate=0.5, most=5, seconds=600.0)
    trial.check()
    assert trial.accidents.total() > 0


@pytest.mark.django_db(transaction=True)
def test_a_query_of_a_workflow_outlasts_any_number_of_serialization_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """DBF-01: more of them than one transaction tries are no error of the workflow, which nobody would retry."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 2)
    execution = proof_subscriber.start(1)
    client.send_event("proof.happened", {"number": 1, "word": "hello"})
    failures = count(1)

    def fail(connection: Any, sql: str, proceed: Callable[[], Any]) -> Any:
        if "FROM django_workflows_event" in sql.replace('"', "") and next(failures) < 6:
            ACCIDENTS[0].happen(connection, sql, proceed)
        return proceed()

    with tapped(connection, fail):
        InlineDriver().turn(execution.id)
    assert next(failures) > 6
    row = Execution.objects.get(pk=execution.id)
    assert (row.status, row.output) == (Status.COMPLETED, "hello"), row.error


@pytest.mark.django_db
def test_it_does_not_outlast_them_in_the_transaction_of_somebody_else() -> None:
    """Which cannot go on: nobody but its owner may roll it back."""
    execution = proof_subscriber.start(2)

    def fail(connection: Any, sql: str, proceed: Callable[[], Any]) -> Any:
        if "FROM django_workflows_event" in sql.replace('"', ""):
            raise OperationalError("database is locked")
        return proceed()

    with tapped(connection, fail):
        InlineDriver().turn(execution.id)
    assert Execution.objects.get(pk=execution.id).status == Status.FAILED
