"""The other pages: what the engine wrote is only looked at, and of definitions only `enabled` is changed."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from django_workflows.models import EventType, Trigger, Workflow, WorkflowVersion
from tests.admin.conftest import Login
from tests.factories import (
    ERROR,
    ago,
    make_event,
    make_execution,
    make_log,
    make_signal,
    make_step,
    make_trigger,
    make_worker,
    make_workflow,
)

MODELS = ("execution", "event", "signal", "stepresult", "worker", "workflow", "workflowversion", "trigger")


def change(model: str, pk: object) -> str:
    return reverse(f"admin:django_workflows_{model}_change", args=[pk])


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_and_only_triggers_and_workflows_can_be_added(
    operator: Client, admin_client: Client, model: str
) -> None:
    execution = make_execution()
    make_step(execution)
    make_signal(execution)
    make_log(execution, EventType.ERROR, "charge", {"attempt": 1})
    make_worker()
    make_workflow()
    WorkflowVersion.objects.create(workflow="fulfil", version=7)
    make_trigger()

    listed = admin_client.get(reverse(f"admin:django_workflows_{model}_changelist"), {"q": "f"})
    assert listed.status_code == 200
    assert admin_client.get(reverse(f"admin:django_workflows_{model}_changelist")).status_code == 200
    may_be_made = 200 if model in {"trigger", "workflow"} else 403
    assert admin_client.get(reverse(f"admin:django_workflows_{model}_add")).status_code == may_be_made


def test_the_index_names_what_people_look_for(admin_client: Client) -> None:
    html = admin_client.get(reverse("admin:index")).content.decode()

    for model in ("execution", "event", "signal", "worker", "workflow", "trigger"):
        assert reverse(f"admin:django_workflows_{model}_changelist") in html
    assert reverse("admin:django_workflows_stepresult_changelist") not in html


def test_payloads_of_events_signals_and_steps_need_their_permission(operator: Client, login: Login) -> None:
    execution = make_execution()
    rows = {
        "event": make_log(execution, EventType.ERROR, "charge", {"card": 4711}),
        "signal": make_signal(execution, data={"card": 4711}),
        "stepresult": make_step(execution, output={"card": 4711}),
    }
    nobody = login()

    for model, row in rows.items():
        assert "4711" in operator.get(change(model, row.pk)).content.decode()
        assert "4711" not in nobody.get(change(model, row.pk)).content.decode()
        assert operator.post(change(model, row.pk), {"name": "other"}).status_code == 403


def test_the_page_of_a_step_tells_of_each_attempt_and_quotes_no_message(operator: Client, login: Login) -> None:
    execution = make_execution()
    row = make_step(execution, attempts=2, worker="web-2:5")
    begun = {"started_at": ago(minutes=2).isoformat(), "worker": "web-1:4"}
    failed = {"row": str(row.id), "step": row.key, "attempt": 1, "error": ERROR} | begun
    make_log(execution, EventType.ERROR, "charge", failed)

    for client in (operator, login()):
        html = client.get(change("stepresult", row.pk)).content.decode()
        assert "web-1:4 ProviderError" in html
        assert "web-2:5" in html
        assert "card 4711" not in html


def test_an_event_that_was_published_belongs_to_no_execution(operator: Client) -> None:
    event = make_event(data=1)

    assert operator.get(change("event", event.pk)).status_code == 200


def test_a_workflow_can_be_disabled_and_nothing_else_is_written(operator: Client) -> None:
    workflow = make_workflow(description="Ships an order", retry={"max_attempts": 5})

    response = operator.post(change("workflow", workflow.pk), {"name": "other", "description": "", "queue": "evil"})

    assert response.status_code == 302
    workflow = Workflow.objects.get(pk=workflow.pk)
    assert (workflow.enabled, workflow.name, workflow.queue) == (False, "fulfil", "")
    assert LogEntry.objects.get(object_id=str(workflow.pk)).get_change_message()
    html = operator.get(change("workflow", workflow.pk)).content.decode()
    assert "max_attempts" in html
    assert "?workflow=fulfil" in html


def test_a_trigger_can_be_disabled_by_those_who_may(operator: Client, login: Login) -> None:
    trigger = make_trigger(config={}, origin="code")

    assert login().post(change("trigger", trigger.pk), {}).status_code == 403
    assert operator.post(change("trigger", trigger.pk), {"pattern": "*"}).status_code == 302

    trigger.refresh_from_db()
    assert (trigger.enabled, trigger.pattern) == (False, "order.*")


def test_a_trigger_is_enabled_by_those_alone_who_may_start_its_workflow(operator: Client, login: Login) -> None:
    """An enabled one starts executions; what is enabled already may be saved as it is."""
    trigger = make_trigger(config={}, origin="code", enabled=False)

    refused = operator.post(change("trigger", trigger.pk), {"enabled": "on"})

    assert "You need the permission django_workflows.start_execution." in refused.content.decode()
    assert not is_enabled(trigger)
    starter = login("change_trigger", "start_execution")
    assert starter.post(change("trigger", trigger.pk), {"enabled": "on"}).status_code == 302
    assert is_enabled(trigger)
    assert operator.post(change("trigger", trigger.pk), {"enabled": "on"}).status_code == 302
    assert is_enabled(trigger)


def is_enabled(trigger: Trigger) -> bool:
    return Trigger.objects.get(pk=trigger.pk).enabled


def test_workers_tell_whether_they_are_alive(operator: Client) -> None:
    make_worker(name="here", slots_used=3)
    make_worker(name="lost", seen_at=ago(hours=1))
    make_worker(name="gone", stopped_at=ago(seconds=1))

    html = operator.get(reverse("admin:django_workflows_worker_changelist")).content.decode()

    for text in ("alive", "not seen lately", "stopped", "3/32", "default"):
        assert text in html


def test_the_list_of_workers_links_to_what_they_have_left_behind(admin_client: Client) -> None:
    execution = make_execution()
    left = {"execution": str(execution.id), "workflow": "fulfil", "step": "<b>", "since": ago(hours=2).isoformat()}
    make_worker(left_behind=[left])
    html = admin_client.get(reverse("admin:django_workflows_worker_changelist")).content.decode()
    assert reverse("admin:django_workflows_execution_change", args=[execution.id]) in html
    assert "the step &lt;b&gt; of fulfil" in html
