"""Operators' verbs, in code and typed as SQL, while workers run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_workflows.models import Execution
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually, fresh
from tests.docs.test_sql_recipes import type_in
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_dynasty, sample_gated_parent, sample_line, sample_line_async

Verb = Callable[[str, Execution], None]


@pytest.fixture(params=["code", "SQL"])
def do(request: pytest.FixtureRequest) -> Verb:
    """`do("Pause", execution)`, in one of the two ways."""

    def do_it(verb: str, execution: Execution) -> None:
        if request.param == "SQL":
            assert type_in(verb, 0, execution) == 1
        else:
            getattr(fresh(execution), verb.lower())()

    return do_it


def start_at_gate(ledger: Ledger, workflow: Any, label: str) -> Execution:
    """A line of three steps, whose second is under way."""
    execution = workflow.start(label, gated=1)
    eventually(lambda: ledger.was_reached(f"{label}-1"))
    assert isinstance(execution, Execution)
    return execution


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_a_pause_lets_the_running_step_finish_and_starts_nothing_new(
    runworkflows: Commands, reach: Reach, ledger: Ledger, do: Verb, workflow: Any
) -> None:
    """PAU-01"""
    runworkflows.up()
    execution = start_at_gate(ledger, workflow, "line")
    do("Pause", execution)
    ledger.open("line-1")
    row = reach(execution, "paused")
    assert list(row.steps.values_list("status", flat=True)) == ["succeeded", "succeeded"]
    assert not ledger.calls("line-2")

    do("Resume", execution)
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    assert len(ledger.calls("line-1")) == 1
    check_invariants(ledger)


@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_a_cancel_is_prompt_and_refuses_the_late_result(
    runworkflows: Commands, reach: Reach, ledger: Ledger, do: Verb, workflow: Any
) -> None:
    """CAN-04"""
    runworkflows.up()
    execution = start_at_gate(ledger, workflow, "line")
    do("Cancel", execution)
    reach(execution, "cancelled", 10)
    ledger.open("line-1")
    reach(sample_line.start("other"))

    row = fresh(execution)
    assert row.status == "cancelled"
    assert not row.steps.filter(key="2", status="succeeded").exists()
    assert not ledger.calls("line-2")
    check_invariants()


def test_a_cancel_ends_children_and_grandchildren(runworkflows: Commands, ledger: Ledger, do: Verb) -> None:
    """CHD-06: some sleep, some are in the middle of a step."""
    runworkflows.up()
    root = sample_dynasty.start("d", 2)
    gates = [f"d-{child}-{grandchild}-gate" for child in ("first", "second") for grandchild in ("first", "second")]
    eventually(lambda: all(ledger.was_reached(gate) for gate in gates), or_tell=lambda: runworkflows.text)
    assert isinstance(root, Execution)
    do("Cancel", root)
    eventually(lambda: not Execution.objects.unfinished().exists(), or_tell=lambda: runworkflows.text)
    for gate in gates:
        ledger.open(gate)
    reach_end = sample_line.start("other")
    eventually(lambda: fresh(reach_end).is_finished)
    assert Execution.objects.cancelled().count() == 10
    check_invariants()


def test_a_parent_that_failed_of_a_cancelled_child_starts_another_when_retried(
    runworkflows: Commands, reach: Reach, ledger: Ledger, do: Verb
) -> None:
    """CHD-09, CHD-12"""
    runworkflows.up()
    parent = sample_gated_parent.start("line")
    eventually(lambda: ledger.was_reached("line-0"))
    do("Cancel", Execution.objects.get(parent_id=parent.id))
    row = reach(parent, "failed")
    assert row.error["type"] == "ExecutionCancelled"
    ledger.open("line-0")

    do("Retry", row)
    assert reach(parent).result() == ["line-0"]
    assert sorted(row.children.values_list("status", flat=True)) == ["cancelled", "completed"]
    check_invariants()
