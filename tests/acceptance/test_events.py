"""Real workers that die while they dispatch events."""

from __future__ import annotations

from collections import Counter

from django_workflows.client import send_event
from django_workflows.models import Event, Execution, Trigger
from django_workflows.triggers import registering
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, kill
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line

EVENTS = 150
KILLS = 3


def test_each_event_starts_each_trigger_once_though_workers_are_killed(runworkflows: Commands, ledger: Ledger) -> None:
    """EVT-24, SCH-01 for events: two commands dispatch, and one's worker is killed again and again."""
    Trigger.objects.all().delete()
    registering.create(sample_line.name, "event", "bench.*")
    registering.create(sample_line.name, "event", "bench.created", {"input": {"steps": 0}})
    command, _ = runworkflows.up(LEASE=5), runworkflows.up(LEASE=5)

    for number in range(EVENTS):
        send_event("bench.created", {"label": f"e-{number}", "steps": 0}, id=f"id-{number}")
        if number % (EVENTS // KILLS) == 20 and command.workers:
            kill(command.workers[0])

    def is_done() -> bool:
        unfinished = Execution.objects.filter(workflow="sample_line").unfinished()
        return not Event.objects.filter(type="event", dispatched_at=None).exists() and not unfinished.exists()

    eventually(is_done, 30)

    started = Execution.objects.filter(workflow="sample_line", trigger_id__isnull=False)
    labels = Counter(execution.input["label"] for execution in started)
    assert labels == {f"e-{number}": 2 for number in range(EVENTS)}
    assert not Event.objects.filter(name="trigger.failed").exists()
    check_invariants(ledger)
