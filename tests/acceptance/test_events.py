"""Real workers that die while they dispatch events, and that meet the transactions of strangers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction

from django_workflows.client import send_event
from django_workflows.models import Event, Execution, Trigger
from django_workflows.triggers import registering
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, fresh
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line, sample_publisher

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
        if number % (EVENTS // KILLS) == 20:
            command.kill_a_worker()

    def is_done() -> bool:
        unfinished = Execution.objects.filter(workflow="sample_line").unfinished()
        return not Event.objects.filter(type="event", dispatched_at=None).exists() and not unfinished.exists()

    eventually(is_done, 30)

    started = Execution.objects.filter(workflow="sample_line", trigger_id__isnull=False)
    labels = Counter(execution.input["label"] for execution in started)
    assert labels == {f"e-{number}": 2 for number in range(EVENTS)}
    assert not Event.objects.filter(name="trigger.failed").exists()
    check_invariants(ledger)


def test_an_id_that_somebody_else_is_about_to_use_delays_only_who_wants_it(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """Such an INSERT waits for a stranger's transaction; in the group commit all would have waited with it."""
    if connection.vendor == "sqlite":
        pytest.skip("has one writer: nobody can hold a key")
    command = runworkflows.up()
    with transaction.atomic():
        send_event("sample.published", {"by": "a stranger"}, id="evt-1")
        with ThreadPoolExecutor(1) as others:  # what is started here would not be committed either
            publisher, line = others.submit(start_both).result()
            others.submit(reach, line).result()
            assert others.submit(fresh, publisher).result().status == "running", command.text
            others.submit(connections.close_all).result()

    assert reach(publisher).result() == "published"
    assert [event.data for event in Event.objects.filter(event_id="evt-1")] == [{"by": "a stranger"}]


def start_both() -> tuple[Any, Any]:
    publisher = sample_publisher.start("evt-1")
    eventually(lambda: fresh(publisher).status == "running")
    return publisher, sample_line.start("line", steps=3)
