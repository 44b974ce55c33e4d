"""One-time links with real workers: answered while the execution is parked, running, or nobody is there."""

from __future__ import annotations

import time

import pytest

from django_workflows.client import answer_token
from django_workflows.exceptions import TokenSpent
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_link


def secret(ledger: Ledger) -> str:
    return ledger.calls()[-1].label.rpartition("/")[2]


def test_an_answer_wakes_the_execution_at_once_and_counts_once(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """WHK-13: also when the worker is killed in between."""
    first = runworkflows.up()
    execution = sample_link.start()
    reach(execution, "waiting")
    first.kill()
    runworkflows.up()
    began = time.monotonic()
    answer_token(secret(ledger), {"ok": True})
    assert reach(execution).output == {"ok": True}
    assert time.monotonic() - began < 10
    with pytest.raises(TokenSpent):
        answer_token(secret(ledger), {"ok": False})
    check_invariants(ledger)


def test_an_answer_that_comes_while_nobody_is_there_waits(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    command = runworkflows.up()
    executions = [sample_link.start() for _ in range(5)]
    for execution in executions:
        reach(execution, "waiting")
    command.kill()
    addresses = [call.label.rpartition("/")[2] for call in ledger.calls()]
    for number, address in enumerate(addresses):
        answer_token(address, number)
    runworkflows.up()
    assert sorted(str(reach(execution).output) for execution in executions) == ["0", "1", "2", "3", "4"]
    check_invariants(ledger)
