"""Whoever makes a trigger or a definition must be allowed to do what it will do."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from django_workflows import Context, definitions, step, workflow
from django_workflows.authoring.definitions import StepDefinition
from django_workflows.models import Execution, Trigger, Workflow, WorkflowVersion
from tests.api.conftest import MANAGER, Api, Login
from tests.factories import make_trigger, make_workflow


@step(name="makers_note")
def makers_note() -> None: ...


@step(name="makers_refund")
def makers_refund(amount: int) -> None: ...


@workflow(name="makers_code")
def makers_code(ctx: Context, secret_argument: int) -> None: ...


@pytest.fixture(autouse=True)
def code(db: None) -> None:
    make_workflow("makers_code")


def lacking(login: Login, *codenames: str) -> Api:
    return login(*(set(MANAGER) - set(codenames)), name="lacking")


def define(api: Api, *steps: dict[str, Any], **more: Any) -> Any:
    return api.post("workflows", {"name": "acme_flow", "steps": list(steps), **more})


NOTE = {"id": "note", "action": "makers_note"}
SLEEP = {"id": "nap", "sleep": "1 hour"}
CHILD = {"id": "child", "workflow": "makers_code", "input": {"secret_argument": 1}}


def only_notes(user: Any, step: StepDefinition[..., Any]) -> bool:
    return step.name == "makers_note" and user.username == "lacking"


# what a definition does


@pytest.mark.parametrize(
    ("steps", "more", "without", "place"),
    [
        ([NOTE], {}, "call_step", "steps.0.action"),
        ([{"id": "hole", "workflow": "makers_note"}], {}, "call_step", "steps.0.workflow"),
        ([SLEEP, CHILD], {}, "start_execution", "steps.1.workflow"),
        ([SLEEP], {"events": ["order.*"]}, "start_execution", "events"),
        ([SLEEP], {"schedules": ["every minute"]}, "start_execution", "schedules"),
    ],
)
def test_a_definition_does_only_what_its_saver_may_do(
    login: Login, steps: list[dict[str, Any]], more: dict[str, Any], without: str, place: str
) -> None:
    answer = define(lacking(login, without), *steps, **more)

    assert answer.status_code == 403, answer.content
    assert [(error["field"], without in error["message"]) for error in answer.json()["errors"]] == [(place, True)]
    assert not Workflow.objects.filter(name="acme_flow").exists()
    assert define(login(*MANAGER, name="has-all"), *steps, **more).status_code == 201


@pytest.mark.parametrize("through", ["PUT", "PATCH", "rpc"])
def test_another_version_is_asked_about_as_well(login: Login, through: str) -> None:
    api = lacking(login, "call_step")
    define(api, SLEEP)
    document = {"name": "acme_flow", "steps": [NOTE]}

    if through == "rpc":
        call = {"jsonrpc": "2.0", "id": 1, "method": "updateWorkflow", "params": ["acme_flow", document]}
        assert api.post("rpc", call).json()["error"]["code"] == -32003
    else:
        assert api(through, "workflows/acme_flow", document).status_code == 403
    assert WorkflowVersion.objects.filter(workflow="acme_flow").count() == 1


def test_what_may_be_called_is_told_by_a_function_of_the_project(login: Login, settings: Any) -> None:
    settings.WORKFLOWS = {"DEFINITION_ACTIONS": "tests.api.test_makers.only_notes"}
    api = lacking(login, "call_step")
    refund = {"id": "refund", "action": "makers_refund", "input": {}}

    answer = define(api, NOTE, refund)

    assert [error["field"] for error in answer.json()["errors"]] == ["steps.1.action"]
    assert "amount" not in answer.content.decode()  # nothing is told of what may not be called
    assert define(api, NOTE).status_code == 201
    assert define(login(*MANAGER, name="other"), NOTE, name="other_flow").status_code == 403


def test_a_definition_that_starts_nothing_needs_no_right_to_start(login: Login) -> None:
    assert define(lacking(login, "start_execution", "call_step"), SLEEP).status_code == 201


def test_a_definition_may_start_itself(login: Login) -> None:
    again = {"id": "again", "workflow": "acme_flow"}

    assert define(lacking(login, "start_execution"), SLEEP, again | {"when": "$.input.more == true"}).status_code == 201


# within a scope


@pytest.fixture
def scoped(login: Login, settings: Any) -> Api:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_scope.of_tenant"}
    return login(*MANAGER, name="acme")


def test_a_hidden_child_is_as_one_that_is_missing(scoped: Api) -> None:
    make_workflow("other_flow")
    told = [
        define(scoped, CHILD | {"workflow": name, "input": {}}).json()["errors"][0]["message"].replace(name, "NAME")
        for name in ("makers_code", "other_flow", "nothing")
    ]

    assert set(told) == {"There is no workflow 'NAME'."}


def test_a_hidden_name_is_as_one_that_is_out_of_reach(scoped: Api) -> None:
    make_workflow("other_flow")
    answers = [define(scoped, SLEEP, name=name) for name in ("other_flow", "makers_code", "makers_note", "other_free")]

    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    assert not WorkflowVersion.objects.filter(workflow="other_free").exists()


def test_ones_own_names_are_told(scoped: Api) -> None:
    assert define(scoped, SLEEP).status_code == 201
    assert define(scoped, SLEEP, description="x").status_code == 409


def test_who_saved_a_version_is_noted_with_it_and_its_triggers(scoped: Api) -> None:
    define(scoped, SLEEP, events=["acme.paid"])
    acme = str(User.objects.get(username="acme").pk)

    assert WorkflowVersion.objects.get(workflow="acme_flow").made_by == acme
    assert Trigger.objects.get(workflow="acme_flow").made_by == acme


def test_the_same_document_of_somebody_else_is_a_version_of_its_own(scoped: Api, login: Login) -> None:
    """Whose it was decides which events its executions get, so a name that is free again inherits nothing."""
    login(superuser=True, name="root")
    document = {"name": "acme_flow", "steps": [SLEEP]}
    definitions.save(document)
    definitions.delete("acme_flow")

    assert define(scoped, SLEEP).json()["version"] == 2


# what a trigger does


def trigger(**more: Any) -> dict[str, Any]:
    return {"workflow": "makers_code", "type": "event", "pattern": "order.*"} | more


OPEN = {"type": "webhook", "pattern": "open", "config": {"verify": "none"}}
LOUD = {"type": "webhook", "pattern": "loud", "config": {"verify": "bearer", "secret": "X", "event": "loud"}}


@pytest.mark.parametrize(("more", "without"), [({}, "start_execution"), (OPEN, "open_webhook"), (LOUD, "send_event")])
@pytest.mark.parametrize("through_rpc", [True, False])
def test_a_trigger_does_only_what_its_maker_may_do(
    login: Login, more: dict[str, Any], without: str, through_rpc: bool
) -> None:
    api, body = lacking(login, without), trigger(**more)

    if through_rpc:
        call = {"jsonrpc": "2.0", "id": 1, "method": "registerTrigger", "params": body}
        problem = api.post("rpc", call).json()["error"]["data"]
    else:
        problem = api.post("triggers", body).json()

    assert problem["status"] == 403
    assert without in problem["detail"]
    assert not Trigger.objects.filter(workflow="makers_code").exists()
    assert login(*MANAGER, "open_webhook", name="has-all").post("triggers", body).status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"enabled": True}, 403),
        ({"pattern": "invoice.*"}, 403),
        ({"workflow": "makers_code"}, 403),
        ({"config": {"where": {"a": 1}}}, 403),
        ({"enabled": False}, 200),
        ({"note": "why"}, 200),
        ({}, 200),
    ],
)
def test_whoever_may_not_start_it_may_only_switch_it_off(login: Login, change: dict[str, Any], status: int) -> None:
    row = make_trigger(workflow="makers_code", config={})
    before = Trigger.objects.values("pattern", "workflow", "config").get(pk=row.pk)

    answer = lacking(login, "start_execution")("PATCH", f"triggers/{row.pk}", change)

    assert answer.status_code == status
    assert Trigger.objects.values("pattern", "workflow", "config").get(pk=row.pk) == before


def test_a_trigger_cannot_start_a_single_step(login: Login) -> None:
    """Only code can: there is no permission for each step."""
    answer = login(*MANAGER, name="has-all").post("triggers", trigger(workflow="makers_note"))

    assert answer.status_code == 400
    assert not Trigger.objects.filter(workflow="makers_note").exists()


def test_a_trigger_of_a_hidden_workflow_is_as_one_of_a_missing_one(scoped: Api) -> None:
    told = [
        scoped.post("triggers", trigger(workflow=name)).json()["errors"][0]["message"].replace(name, "NAME")
        for name in ("makers_code", "nothing")
    ]

    assert set(told) == {"There is no workflow 'NAME'."}


# in the admin


@pytest.fixture
def staff(login: Login) -> Client:
    """May make triggers and definitions, and start nothing."""
    browser = lacking(login, "start_execution", "call_step", "send_event").client
    User.objects.update(is_staff=True)
    return browser


@pytest.mark.parametrize("values", [{}, {"type": "webhook", "pattern": "p", "config": '{"verify": "none"}'}])
def test_the_admin_asks_for_the_same_of_triggers(staff: Client, values: dict[str, Any]) -> None:
    data = trigger() | {"config": "", "enabled": "on", "note": ""} | values
    answer = staff.post("/admin/django_workflows/trigger/add/", data)

    assert "start_execution" in answer.content.decode()
    assert not Trigger.objects.filter(workflow="makers_code").exists()


def test_the_admin_lets_nobody_enable_what_he_may_not_start(staff: Client) -> None:
    row = make_trigger(workflow="makers_code", config={}, enabled=False)
    url = "/admin/django_workflows/trigger/"

    answer = staff.post(url, {"action": "enable_selected", "_selected_action": [str(row.pk)]}, follow=True)

    assert "start_execution" in answer.content.decode()
    assert not Trigger.objects.get(pk=row.pk).enabled


def test_the_admin_asks_for_the_same_of_definitions(staff: Client) -> None:
    document = '{"name": "acme_flow", "steps": [{"id": "note", "action": "makers_note"}]}'
    answer = staff.post("/admin/django_workflows/workflow/add/", {"document": document, "expected": "0"})

    assert "call_step" in answer.content.decode()
    assert not Workflow.objects.filter(name="acme_flow").exists()
    assert not Execution.objects.exists()
