"""Every page of the admin with rows that want to be more than text, and every write with its entry in the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from django.urls import reverse

from django_workflows import Context, workflow
from django_workflows.definitions import save
from django_workflows.models import Event, EventType, Execution, Signal, Status, Trigger, Workflow, WorkflowVersion
from tests.factories import (
    ago,
    make_execution,
    make_log,
    make_signal,
    make_step,
    make_trigger,
    make_wait,
    make_worker,
    make_workflow,
)

EVIL = "</pre></script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
OURS = [model for model in admin.site._registry if model._meta.app_label == "django_workflows"]


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def make_evil() -> None:
    """A row of every model, with the same text wherever one may stand."""
    value: Any = {EVIL: [EVIL]}
    error: Any = {"type": EVIL, "message": EVIL, "traceback": EVIL}
    trigger = make_trigger(EVIL, workflow=EVIL, note=EVIL, config=value | {"where": value, "verify": EVIL})
    payloads: dict[str, Any] = {"input": value, "output": value, "state": value, "error": error, "reason": EVIL}
    execution = make_execution(
        Status.WAITING, workflow=EVIL, key=EVIL, tags={EVIL: EVIL}, trigger_id=trigger.pk, current_step=EVIL, **payloads
    )
    make_execution(Status.FAILED, workflow=EVIL, **payloads)
    make_step(execution, EVIL, input=value, output=value, error=error)
    make_wait(execution, "signal", EVIL)
    make_signal(execution, EVIL)
    Signal.objects.update(data=value)
    make_log(execution, EventType.ERROR, EVIL, {"step": EVIL, "attempt": 1, "error": error, "reason": EVIL})
    Event.objects.create(
        type=EventType.EVENT, name=EVIL, data=value, headers=value, source=EVIL, created_at=ago(minutes=1)
    )
    make_worker({EVIL: [1]}, name=EVIL, hostname=EVIL, queues=[EVIL])
    make_workflow(EVIL, description=EVIL, tags=[EVIL], queue=EVIL)
    stored: Any = {
        "name": "evil",
        "description": EVIL,
        "steps": [{"id": "a", "sleep": 1, "when": f"'{EVIL[:9]}' == 1"}],
    }
    save(stored)


def pages(model: type[models.Model]) -> list[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    rows = model._default_manager.all()
    own = [reverse(f"{name}_{page}", args=[row.pk]) for row in rows for page in ("change", "history")]
    return [reverse(f"{name}_changelist"), *own]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_what_stands_in_a_row_is_only_text_on_every_page(root: Client, model: type[models.Model]) -> None:
    """XSS: names, inputs, outputs, errors, notes and configurations."""
    for others in (Trigger, WorkflowVersion, Workflow):
        others.objects.all().delete()  # what `migrate` wrote of the examples: some hundred pages
    make_evil()
    found = pages(model)

    assert len(found) > 2
    for path in found:
        answer = root.get(path)
        html = answer.content.decode()
        assert answer.status_code == 200, path
        assert "<script>alert(" not in html, path
        assert "<img src=x" not in html, path


@workflow(name="admin_audited")
def admin_audited(ctx: Context) -> None: ...


def _made(model: type[models.Model], what: str, **posted: Any) -> Callable[[Client], Any]:
    return lambda client: client.post(reverse(f"admin:django_workflows_{model._meta.model_name}_{what}"), posted)


def _trigger(**columns: Any) -> Trigger:
    return make_trigger(workflow="admin_audited", config={}, **columns)


def _act(model: type[models.Model], action: str, row: models.Model, **more: Any) -> Callable[[Client], Any]:
    return _made(model, "changelist", action=action, _selected_action=[row.pk], **more)


def _at(row: models.Model, what: str, *more: str, **posted: Any) -> Callable[[Client], Any]:
    name = f"admin:django_workflows_{row._meta.model_name}_{what}"
    return lambda client: client.post(reverse(name, args=[row.pk, *more]), posted)


DEFINITION = json.dumps({"name": "admin_kept", "steps": [{"id": "a", "sleep": 1}]})
TRIGGER = {"workflow": "admin_audited", "type": "event", "pattern": "a.b", "config": "", "enabled": "on"}


def _kept() -> Workflow:
    return save({"name": "admin_kept", "steps": [{"id": "a", "sleep": 2}]}).workflow


WRITES: dict[str, Callable[[], Callable[[Client], Any]]] = {
    "pause": lambda: _at(make_execution(), "verb", "pause"),
    "cancel many": lambda: _act(Execution, "cancel_selected", make_execution()),
    "signal": lambda: _at(make_execution(), "signal", name="go"),
    "delete an execution": lambda: _at(make_execution(Status.COMPLETED), "delete", post="yes"),
    "delete many": lambda: _act(Execution, "delete_selected", make_execution(Status.COMPLETED), post="yes"),
    "make a trigger": lambda: _made(Trigger, "add", **TRIGGER),
    "change a trigger": lambda: _at(_trigger(), "change", **TRIGGER),
    "delete a trigger": lambda: _at(_trigger(), "delete", post="yes"),
    "disable": lambda: _act(Trigger, "disable_selected", _trigger()),
    "enable": lambda: _act(Trigger, "enable_selected", _trigger(enabled=False)),
    "fire": lambda: _act(Trigger, "fire_selected", _trigger()),
    "make a definition": lambda: _made(Workflow, "add", document=DEFINITION, expected=0),
    "change a definition": lambda: _at(_kept(), "change", document=DEFINITION, expected=1),
    "switch a workflow": lambda: _at(make_workflow("admin_audited"), "change"),
    "delete a definition": lambda: _at(_kept(), "delete", post="yes"),
}


@pytest.mark.parametrize("write", WRITES)
def test_every_write_leaves_one_entry_in_the_audit_log(root: Client, write: str) -> None:
    """OPS: who did what."""
    answer = WRITES[write]()(root)

    assert answer.status_code == 302, answer.content.decode()
    entry = LogEntry.objects.get()
    assert entry.user.get_username() == "root"
    assert entry.get_change_message() or entry.is_deletion()


@pytest.mark.parametrize("write", WRITES)
def test_every_write_needs_the_csrf_token(db: None, write: str) -> None:
    """CSRF"""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))

    assert WRITES[write]()(client).status_code == 403
    assert not LogEntry.objects.exists()
