"""Workflows as data, written in the admin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from django_workflows import step
from django_workflows.definitions import current_document, save
from django_workflows.models import Workflow
from tests.admin.conftest import Login
from tests.factories import make_workflow

ADD = "/admin/django_workflows/workflow/add/"


@step
def admin_note(text: str) -> str:
    return text


@pytest.fixture
def author(login: Login) -> Client:
    return login("add_workflow", "change_workflow", "delete_workflow", "call_step", name="author")


def document(text: str = "hi", **keys: Any) -> dict[str, Any]:
    return {"name": "admin_flow", "steps": [{"id": "n", "action": "admin_note", "input": {"text": text}}], **keys}


def page(verb: str = "change") -> str:
    return f"/admin/django_workflows/workflow/{Workflow.objects.get(name='admin_flow').pk}/{verb}/"


def posted(value: Any, expected: int = 0, **more: str) -> dict[str, Any]:
    return {"document": value if isinstance(value, str) else json.dumps(value), "expected": expected, **more}


def test_an_author_writes_a_definition(author: Client) -> None:
    assert "&quot;action&quot;: &quot;app.step&quot;" in author.get(ADD).content.decode()
    assert author.post(ADD, posted(document())).status_code == 302
    assert current_document("admin_flow") == document()
    assert "admin_note" in author.get(page()).content.decode()


def test_a_change_is_a_new_version_and_the_switch_stays_apart(author: Client) -> None:
    save(document())
    assert author.post(page(), posted(document("two"), 1, enabled="on")).status_code == 302
    row = Workflow.objects.get(name="admin_flow")
    assert (row.version, row.enabled) == (2, True)
    assert author.post(page(), posted(document("two"), 2)).status_code == 302
    row.refresh_from_db()
    assert (row.version, row.enabled) == (2, False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (document(stepz=1), "stepz: There is no such key."),
        (document(steps=[{"id": "n", "action": "<script>"}]), "steps.0.action: No @step is registered under"),
        ("{", "JSON"),
        (document(name="admin_note"), "is code"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(author: Client, value: Any, text: str) -> None:
    answer = author.post(ADD, posted(value))
    content = answer.content.decode()
    assert answer.status_code == 200
    assert text in content
    assert "<script>" not in content.split("errorlist")[1].split("</ul>")[0]
    assert not Workflow.objects.filter(name="admin_flow").exists()


def test_two_who_write_at_once_are_told(author: Client) -> None:
    save(document())
    save(document("theirs"))
    answer = author.post(page(), posted(document("mine"), 1, enabled="on"))
    assert "Somebody has saved version 2 meanwhile" in answer.content.decode()
    assert current_document("admin_flow") == document("theirs")


def test_another_name_is_another_workflow(author: Client) -> None:
    save(document())
    answer = author.post(page(), posted(document(name="other"), 1))
    assert "another workflow" in answer.content.decode()


def test_it_can_be_deleted_and_code_cannot(author: Client) -> None:
    save(document())
    assert author.post(page("delete"), {"post": "yes"}).status_code == 302
    assert not Workflow.objects.filter(name="admin_flow").exists()
    of_code = Workflow.objects.filter(name="fulfil").first() or make_workflow("fulfil")
    assert author.post(f"/admin/django_workflows/workflow/{of_code.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "document" not in author.get(f"/admin/django_workflows/workflow/{of_code.pk}/change/").content.decode()


def test_who_may_only_look_writes_nothing(login: Login) -> None:
    save(document())
    browser = login(name="reader")
    assert browser.get(page()).status_code == 200
    assert browser.get(ADD).status_code == 403
    assert browser.post(ADD, posted(document(name="x"))).status_code == 403
    assert browser.post(page(), posted(document("two"), 1)).status_code == 403
