"""Workflows as data with real workers: found when saved, executed in the version that they are pinned to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django_workflows import client
from django_workflows.definitions import delete, save
from django_workflows.inspection.doctor import examine
from django_workflows.models import Execution
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants
from tests.acceptance.processes import Commands, eventually
from tests.acceptance.test_queues import COUNTED, queries
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_line


def document(*texts: str, name: str = "notes", **keys: Any) -> dict[str, Any]:
    steps = [{"id": f"s{n}", "action": "sample_note", "input": {"label": text}} for n, text in enumerate(texts)]
    return {"name": name, "steps": steps, "output": "$.steps.s0", **keys}


def test_a_running_worker_finds_new_definitions_and_new_versions_at_once(runworkflows: Commands, reach: Reach) -> None:
    """No restart; what has begun keeps its version."""
    runworkflows.up()
    save(document("$.input.label"))
    began = time.monotonic()
    first = reach(client.start("notes", label="one"))
    assert time.monotonic() - began < 15
    assert first.output == "one"
    waiting = {"id": "wait", "waitForEvent": "go"}
    save(document("$.input.label") | {"steps": [waiting, *document("two")["steps"]]})
    second = client.start("notes")
    reach(second, "waiting")
    save(document("three"))
    assert reach(client.start("notes")).output == "three"
    delete("notes")
    client.send_event("go")
    assert reach(second).output == "two"
    assert [execution.version for execution in Execution.objects.order_by("created_at")] == [1, 2, 3]
    check_invariants()


def test_claims_ask_nothing_about_definitions(runworkflows: Commands, reach: Reach, tmp_path: Path) -> None:
    """The first execution of a version costs a look; five hundred more cost what those of code cost."""
    save(document("$.input.label"))
    inputs: list[dict[str, Any]] = [{"label": f"n{number}"} for number in range(500)]
    runworkflows.typed(environment=COUNTED).wait_until_up()

    def cost(workflow: Any) -> int:
        reach(client.start(workflow, label="first"))
        before = queries(tmp_path)
        client.start_many(workflow, inputs)
        eventually(lambda: not Execution.objects.filter(completed_at=None).exists())
        return queries(tmp_path) - before

    of_code = cost("sample_line_async")
    assert cost("notes") < 2 * of_code + 50


def test_a_worker_without_the_steps_leaves_it_to_others(runworkflows: Commands, reach: Reach) -> None:
    """VER-13: an old worker in a rolling deploy uses no attempt, and the doctor says that nobody can."""
    steps = [{"id": "new", "action": "sample_new_note", "input": {"label": "new"}}]
    save({"name": "renewed", "steps": steps, "output": "$.steps.new"})
    old = runworkflows.typed(environment={"SAMPLE_IS_OLD": "1"}).wait_until_up()
    execution = Execution.objects.get(pk=client.start("renewed").id)
    reach(sample_line.start("known"))
    execution.refresh_from_db()
    assert (execution.status, execution.steps.count()) == ("pending", 0)
    assert [finding.check for finding in examine(history=None).findings] == ["unserved"]
    old.kill()
    runworkflows.up()
    assert reach(execution).output == "new"
    check_invariants()


def test_a_graph_survives_kills(runworkflows: Commands, reach: Reach, ledger: Ledger) -> None:
    """CRS-01 for data: what was done is not done again, and everything finishes."""
    steps: list[dict[str, Any]] = [
        {"id": "a", "action": "sample_note", "input": {"label": "a"}},
        *[
            {"id": f"b{n}", "action": "sample_note", "input": {"label": f"b{n}", "gate": "open"}, "dependsOn": ["a"]}
            for n in range(5)
        ],
        {"id": "c", "action": "sample_note", "input": {"label": "c"}, "dependsOn": [f"b{n}" for n in range(5)]},
    ]
    save({"name": "graph", "steps": steps, "output": ["$.steps.c"]})
    command = runworkflows.up(LEASE=2)
    execution = client.start("graph")
    eventually(lambda: len(ledger.calls()) >= 6)
    command.kill_a_worker()
    ledger.open("open")
    assert reach(execution).output == ["c"]
    check_invariants(ledger)
