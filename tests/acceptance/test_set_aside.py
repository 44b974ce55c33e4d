"""Events whose dispatch hangs or kills workers: they are set aside, harm nobody else, and can be dispatched again."""

from __future__ import annotations

import pytest

from django_workflows import client, operations
from django_workflows.inspection.doctor import examine
from django_workflows.models import Event, Execution, Status
from django_workflows.triggers import registering
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually
from tests.sample.faults import ANTIDOTE, sample_blocked_loop, sample_fused
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line

NINE = range(9)


@pytest.mark.parametrize("kind", ["kill", "hang"])
def test_an_event_whose_dispatch_ends_workers_is_set_aside_and_harms_no_other(
    runworkflows: Commands, reach: Reach, ledger: Ledger, kind: str
) -> None:
    command = runworkflows.up(HANG_TIMEOUT=2)
    poison = registering.create(sample_fused.name, "event", "lit", {})
    calm = registering.create(sample_line.name, "event", "calm", {"input": {"label": "calm"}})
    for _ in NINE:
        client.send_event("calm")
    lit = client.send_event("lit", {"fuse": {"kind": kind}})
    for _ in NINE:
        client.send_event("calm")

    eventually(lambda: Event.objects.filter(pk=lit.pk, set_aside_at__isnull=False).exists())
    assert command.text.count("SIGKILL") == 3
    eventually(lambda: Execution.objects.filter(trigger_id=calm.pk, status=Status.COMPLETED).count() == 2 * len(NINE))
    (finding,) = [finding for finding in examine().findings if finding.check == "set-aside-events"]
    assert str(lit.pk) in finding.remedy

    ledger.open(ANTIDOTE)
    assert operations.redrive(lit, "mended", by="olga")
    eventually(lambda: Execution.objects.filter(trigger_id=poison.pk, status=Status.COMPLETED).count() == 1)
    assert "olga" in str(Event.objects.get(type="operator", name="redrive").data)
    assert examine().is_healthy
    check_invariants()


def test_a_worker_whose_event_loop_stands_still_is_killed_and_its_executions_go_on_elsewhere(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """It says where it hangs."""
    command = runworkflows.up(HANG_TIMEOUT=2)
    execution = sample_blocked_loop.start("blocked", 3600)
    eventually(lambda: "hanging" in command.text)
    ledger.open(ANTIDOTE)
    assert reach(execution).result() == "blocked"
    assert "The event loop has not got on" in command.text
    assert "sample_block" in command.text
    assert len({call.pid for call in ledger.calls("blocked")}) >= 2
