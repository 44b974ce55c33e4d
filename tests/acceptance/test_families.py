"""Parents and children in different workers, some of which die."""

from __future__ import annotations

import random
import signal
from functools import partial

from django_workflows.models import Execution, StepResult
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_child, sample_correspondent, sample_parent


def more_children_are_done(than: int) -> bool:
    return Execution.objects.for_workflow(sample_child).completed().count() > than


def test_a_parent_of_a_thousand_children_gets_each_result_once_while_workers_die(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CHD-04: in the order of the call, with two slots."""
    rng = random.Random(4)
    command = runworkflows.up("--threads", "2")
    parent = sample_parent.start(1000)
    kills = 4
    for done in range(100, 1000, 900 // kills):
        eventually(partial(more_children_are_done, done + rng.randint(0, 100)))
        command.kill_a_worker()
    row = reach(parent)
    assert row.result() == list(range(1000))
    children = Execution.objects.for_workflow(sample_child)
    assert children.count() == 1000
    assert set(children.values_list("parent_id", flat=True)) == {row.pk}
    assert StepResult.objects.filter(execution=row, kind="child").values("child_id").distinct().count() == 1000
    called = ledger.calls_by_key()
    assert len(called) == 1000
    assert max(called.values()) <= 1 + kills  # a worker takes with it what it has called and not yet stored
    assert row.claim < 20
    check_invariants(ledger)


def test_a_thousand_children_take_a_parent_one_wait(runworkflows: Commands, reach: Reach) -> None:
    """CHD-04: it is woken once, when the last of them has finished."""
    runworkflows.up()
    row = reach(sample_parent.start(1000))
    assert row.claim == 2


def test_a_parent_wakes_whose_child_finished_while_no_worker_of_its_own_was_there(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CHD-13: the parent's queue and the child's have different workers."""
    first = runworkflows.up("--queue", "default")
    parent = sample_correspondent.start("letter")
    reach(parent, "waiting")
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    runworkflows.up("--queue", "mail")
    eventually(Execution.objects.for_workflow("sample_mail").completed().exists)
    assert Execution.objects.get(pk=parent.id).status == "waiting"

    runworkflows.up("--queue", "default")
    assert reach(parent).result() == "letter"
    check_invariants(ledger)
