"""What must hold after every fault: the doctor is silent, and the ledger outside agrees with the journal."""

from __future__ import annotations

from django.db.models import F

from django_workflows.inspection.doctor import examine
from django_workflows.models import FINISHED, Execution, StepResult
from tests.sample.ledger import Ledger


def check_invariants(ledger: Ledger | None = None) -> None:
    """`promises.md`, as far as rows and a ledger can show it."""
    diagnosis = examine(history=None)
    assert diagnosis.is_healthy, diagnosis
    finished = Execution.objects.filter(status__in=FINISHED)
    assert not finished.exclude(wake_at=None, claimed_by=None, requested="").exists()
    assert not StepResult.objects.filter(status="succeeded", attempts__lt=F("lost") + 1, kind="step").exists()
    if ledger is not None:
        check_ledger(ledger)


def check_ledger(ledger: Ledger) -> None:
    """No body was called more often than its row tells, and each key belongs to one step."""
    recorded = {
        f"{step.execution_id}-{step.generation}-{step.key}": step.attempts
        for step in StepResult.objects.filter(kind="step", superseded=0)
    }
    called = ledger.calls_by_key()
    excess = {key: (count, recorded.get(key)) for key, count in called.items() if count > recorded.get(key, 0)}
    assert not excess, excess
