"""Definitions are executed by the engine that executes code."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import client
from django_workflows.definitions import save
from django_workflows.exceptions import ExecutionFailed, InvalidInput, WorkflowDisabled
from django_workflows.models import Execution, Status, Trigger, Workflow
from django_workflows.testing import Workflows, export_history, replay_history
from django_workflows.triggers import manual

ONBOARDING: dict[str, Any] = {
    "name": "onboarding",
    "description": "Welcome a customer",
    "timeout": "30 days",
    "onError": "fail",
    "steps": [
        {
            "id": "create",
            "action": "create_user",
            "input": {"email": "$.input.email"},
            "retry": {"maxAttempts": 3, "initialIntervalMs": 1000, "backoffCoefficient": 2.0, "maxIntervalMs": 60000},
        },
        {"id": "pause", "sleep": "5 minutes"},
        {
            "id": "welcome",
            "action": "send_mail",
            "input": {"to": "$.input.email", "user": "$.steps.create.id"},
            "onError": "continue",
        },
        {
            "id": "confirm",
            "waitForEvent": "user.confirmed",
            "match": {"id": "$.steps.create.id"},
            "timeout": "3 days",
        },
        {
            "id": "remind",
            "action": "send_mail",
            "input": {"to": "$.input.email", "text": "please confirm"},
            "when": "$.steps.confirm == null",
        },
        {"id": "child", "workflow": "provision", "input": {"user": "$.steps.create.id"}},
    ],
    "output": {"user": "$.steps.create.id", "server": "$.steps.child.server", "reminded": "$.steps.remind"},
}


def define(*steps: dict[str, Any], **keys: Any) -> str:
    save({"name": "flow", "steps": list(steps), **keys})
    return "flow"


def test_a_sequence_runs_in_its_order_and_waits_durably(flows: Workflows, crm: list[str]) -> None:
    save(ONBOARDING)
    execution = client.start("onboarding", email="ada@example.org")
    assert flows.result(execution) == {"user": 42, "server": 43, "reminded": "sent to ada@example.org"}
    assert crm == [
        "create ada@example.org free",
        "mail ada@example.org 42 ",
        "mail ada@example.org 0 please confirm",
    ]
    flows.assert_journal(
        execution,
        [
            ("step", "create", "succeeded", {"id": 42, "email": "ada@example.org"}),
            ("sleep", "pause", "succeeded"),
            ("step", "welcome", "succeeded"),
            ("event", "user.confirmed", "succeeded", None),
            ("step", "remind", "succeeded"),
            ("child", "provision", "succeeded", {"server": 43}),
        ],
    )


def test_an_event_that_matches_is_the_result_of_its_wait(flows: Workflows) -> None:
    save(ONBOARDING)
    execution = client.start("onboarding", email="ada@example.org")
    flows.run_until_idle()
    flows.skip("6 minutes")
    flows.run_until_idle()
    client.send_event("user.confirmed", {"id": 41})
    client.send_event("user.confirmed", {"id": 42, "how": "link"})
    assert flows.result(execution) == {"user": 42, "server": 43, "reminded": None}
    received = next(row for row in flows.journal(execution) if row.kind == "event")
    assert received.output["data"] == {"id": 42, "how": "link"}


def test_a_replay_at_every_wait_gives_the_same(evicting: Workflows, crm: list[str]) -> None:
    save(ONBOARDING)
    execution = client.start("onboarding", email="ada@example.org")
    assert evicting.result(execution)["server"] == 43
    assert len(crm) == 3


GRAPH: list[dict[str, Any]] = [
    {"id": "a", "action": "note", "input": {"text": "a"}},
    {"id": "b", "sleep": "1 hour", "dependsOn": ["a"]},
    {"id": "c", "action": "note", "input": {"text": "c"}, "dependsOn": ["a"]},
    {"id": "d", "action": "note", "input": {"text": "$.steps.c"}, "dependsOn": ["b", "c"]},
    {"id": "e", "action": "note", "input": {"text": "e"}},
]


@pytest.mark.parametrize("evict", [False, True])
def test_a_graph_runs_each_step_as_soon_as_what_it_needs_is_done(db: None, crm: list[str], evict: bool) -> None:
    with Workflows(evict=evict) as flows:
        execution = client.start(define(*GRAPH, output="$.steps"))
        flows.run_until_idle()
        assert sorted(crm) == ["a", "c", "e"]
        assert flows.result(execution) == {"a": "a", "b": None, "c": "c", "d": "c", "e": "e"}
        assert {row.name: row.key for row in flows.journal(execution)} == {
            "a": "1.0.1",
            "b": "1.1.1",
            "c": "1.2.1",
            "d": "1.3.1",
            "e": "1.4.1",
        }


def test_what_needs_a_step_that_failed_does_not_begin_and_the_rest_finishes(flows: Workflows, crm: list[str]) -> None:
    name = define(
        {"id": "bad", "action": "break_down"},
        {"id": "after", "action": "note", "input": {"text": "after"}, "dependsOn": ["bad"]},
        {"id": "later", "action": "note", "input": {"text": "later"}, "dependsOn": ["after"]},
        {"id": "beside", "action": "note", "input": {"text": "beside"}},
    )
    with pytest.raises(ExecutionFailed, match="broken"):
        flows.result(client.start(name))
    assert crm == ["break down", "beside"]


def test_a_failed_graph_goes_on_after_a_retry(flows: Workflows, crm: list[str]) -> None:
    name = define(
        {"id": "bad", "action": "break_down"},
        {"id": "after", "action": "note", "input": {"text": "after"}, "dependsOn": ["bad"]},
        {"id": "beside", "action": "note", "input": {"text": "beside"}},
    )
    execution = client.start(name)
    flows.run_to_end()
    with flows.fake("break_down", None):
        execution.refresh_from_db()
        execution.retry()
        flows.run_to_end()
    assert execution.result(0) is None
    assert crm == ["break down", "beside", "after"]


def test_a_failure_that_may_be_passed_over_is_null(flows: Workflows, crm: list[str]) -> None:
    name = define(
        {"id": "bad", "action": "break_down", "onError": "continue"},
        {"id": "child", "workflow": "refuse", "onError": "continue"},
        {"id": "told", "action": "note", "input": {"text": "went on"}, "when": "$.steps.bad == null"},
        output=["$.steps.bad", "$.steps.child", "$.steps.told"],
    )
    assert flows.result(client.start(name)) == [None, None, "went on"]


def test_the_definition_s_on_error_is_the_default_of_its_steps(flows: Workflows) -> None:
    name = define({"id": "bad", "action": "break_down"}, onError="pause")
    execution = client.start(name)
    flows.run_to_end()
    execution.refresh_from_db()
    assert execution.status == Status.PAUSED


def test_retries_are_those_of_the_document(flows: Workflows, crm: list[str]) -> None:
    name = define({"id": "bad", "action": "break_down", "retry": {"attempts": 4}})
    with pytest.raises(ExecutionFailed):
        flows.result(client.start(name))
    assert crm == ["break down"] * 4


def test_arguments_are_read_by_the_step_s_signature(flows: Workflows, crm: list[str]) -> None:
    name = define(
        {"id": "s", "action": "score", "input": {"points": "1.50", "on": "2026-01-02T03:04:05Z"}}, output="$.steps.s"
    )
    assert flows.result(client.start(name)) == "3.00"
    assert crm == ["score Decimal('1.50') datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)"]


def test_arguments_that_do_not_fit_fail_the_step_at_once_with_the_name(flows: Workflows, crm: list[str]) -> None:
    name = define({"id": "s", "action": "create_user", "input": {"email": "$.input.nobody"}})
    execution = client.start(name)
    with pytest.raises(ExecutionFailed, match="email: "):
        flows.result(execution)
    assert [(row.name, row.status, row.attempts) for row in flows.journal(execution)] == [("s", "failed", 1)]
    assert crm == []


def test_a_reference_can_say_how_long_to_sleep(flows: Workflows) -> None:
    name = define({"id": "nap", "sleep": "$.input.nap"}, output="done")
    began = flows.now()
    assert flows.result(client.start(name, nap="2 hours")) == "done"
    assert (flows.now() - began).total_seconds() >= 7200
    with pytest.raises(ExecutionFailed, match="cannot sleep"):
        flows.result(client.start(name, nap=["x"]))


def test_a_definition_knows_its_execution(flows: Workflows) -> None:
    name = define({"id": "n", "sleep": 0.001}, output="$.execution")
    execution = client.using(name, key="k-1", tags={"tenant": "acme"}).start()
    assert flows.result(execution) == {
        "id": str(execution.id),
        "key": "k-1",
        "workflow": "flow",
        "version": 1,
        "tags": {"tenant": "acme"},
        "parent": None,
    }


def test_one_definition_runs_another_as_its_child(flows: Workflows) -> None:
    save(
        {
            "name": "inner",
            "steps": [{"id": "n", "action": "note", "input": {"text": "$.input.text"}}],
            "output": "$.steps.n",
        }
    )
    name = define({"id": "c", "workflow": "inner", "input": {"text": "hi"}, "timeout": "1 day"}, output="$.steps.c")
    execution = client.start(name)
    assert flows.result(execution) == "hi"
    child = Execution.objects.get(workflow="inner")
    assert (child.parent_id, child.version) == (execution.id, 1)
    assert child.deadline is not None


def test_a_child_that_waits_for_itself_is_a_child_like_any_other(flows: Workflows) -> None:
    name = define(
        {"id": "again", "workflow": "flow", "input": {"stop": True}, "when": "not $.input.stop"},
        output=["$.steps.again"],
    )
    assert flows.result(client.start(name)) == [[None]]


def test_input_is_checked_by_the_schema_when_it_is_started(db: None) -> None:
    schema = {
        "type": "object",
        "properties": {"email": {"type": "string"}, "seats": {"type": "integer", "minimum": 1}},
        "required": ["email"],
        "additionalProperties": False,
    }
    name = define({"id": "n", "sleep": "1 s"}, inputSchema=schema)
    with pytest.raises(InvalidInput) as raised:
        client.start(name, seats=0, extra=1)
    assert set(raised.value.errors) == {"email", "seats", "__all__"}
    with pytest.raises(InvalidInput, match="given by name"):
        client.start(name, "ada@example.org")
    with pytest.raises(InvalidInput, match=r"1\.email"):
        client.start_many(name, [{"email": "a"}, {}])
    assert not Execution.objects.exists()
    client.start(name, email="a")
    assert Execution.objects.get().input == {"email": "a"}


def test_thousands_start_at_once(flows: Workflows) -> None:
    name = define({"id": "n", "action": "note", "input": {"text": "$.input.text"}}, output="$.steps.n")
    executions = client.start_many(name, [{"text": "a"}, {"text": "b"}])
    flows.run_to_end()
    assert [execution.result(0) for execution in executions] == ["a", "b"]


def test_eager_mode_drives_a_definition(transactional_db: None, settings: Any, crm: list[str]) -> None:
    settings.WORKFLOWS = {"EAGER": True}
    name = define({"id": "n", "action": "note", "input": {"text": "now"}}, output="$.steps.n")
    assert client.start(name).result(0) == "now"


def test_a_step_with_a_queue_of_its_own_is_executed_there(flows: Workflows, crm: list[str]) -> None:
    name = define(
        {"id": "far", "action": "far_away", "input": {"points": "1.5"}},
        {"id": "bad", "action": "far_away", "input": {"points": -1}, "onError": "continue"},
        output=["$.steps.far", "$.steps.bad"],
    )
    assert flows.result(client.start(name)) == ["1.5", None]
    assert crm == ["far Decimal('1.5')", "far Decimal('-1')"]
    assert set(Execution.objects.filter(workflow="far_away").values_list("queue", flat=True)) == {"elsewhere"}


def test_a_tick_of_its_schedule_starts_it(flows: Workflows, crm: list[str]) -> None:
    name = define({"id": "n", "action": "note", "input": {"text": "$.event.name"}}, schedules=["every monday at 9am"])
    trigger = Trigger.objects.get(workflow=name)
    manual.fire(trigger, {"text": "by hand"}, idempotency_key="once")
    flows.run_to_end()
    assert len(crm) == 1


def test_a_disabled_definition_is_not_started(db: None) -> None:
    name = define({"id": "n", "sleep": 1})
    Workflow.objects.filter(name=name).update(enabled=False)
    with pytest.raises(WorkflowDisabled):
        client.start(name)


def test_a_stored_history_is_replayed(flows: Workflows) -> None:
    """VER-14: of definitions as of code."""
    name = define(*GRAPH, output="$.steps.d")
    execution = client.start(name)
    flows.run_to_end()
    replay_history(export_history(execution))
