"""A password in an input: stored for the workflow, and shown to nobody, on whichever face."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from django_workflows import Context, Retry, codec, step, workflow
from django_workflows.authoring.registry import registry
from django_workflows.client import send_event, signal, start
from django_workflows.models import Execution, Status, StepResult
from django_workflows.testing import Workflows
from tests.factories import make_workflow

pytestmark = pytest.mark.django_db

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, table in vars(registry).items():
        if isinstance(table, dict):
            monkeypatch.setattr(registry, name, table.copy())


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Execution:
    """An execution that had a password in everything that it stores, and failed with it."""

    @step(name="sign_in", retry=Retry(max_attempts=1))
    def sign_in(user: str, password: str, *, api_key: str) -> dict[str, str]:
        return {"user": user, "token": password}

    @step(name="refuse", retry=Retry(max_attempts=1))
    def refuse(credentials: dict[str, str]) -> None:
        raise ValueError(f"cannot sign in with {credentials!r}")

    @workflow(name="signing_in", on_error="fail")
    def signing_in(ctx: Context, password: str) -> None:
        ctx.state["cookie"] = password
        login = ctx.do(sign_in, "ada", password, api_key=password)
        assert login["token"] == password
        again = ctx.wait_for_signal("again")
        assert again is not None
        assert again.data["password"] == password
        ctx.do(refuse, {"password": password})

    make_workflow("signing_in")
    caplog.set_level(logging.DEBUG)
    with Workflows() as workflows:
        execution = start(signing_in, password=SECRET)
        send_event("user.signed_in", {"token": SECRET}, headers={"Authorization": SECRET})
        workflows.run_to_end()
        for number in range(2):  # one that nobody reads
            signal(execution, "again", {"password": SECRET, "number": number})
        workflows.run_to_end()
    told = Execution.objects.get(pk=execution.id)
    assert told.status == Status.FAILED
    return told


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_the_workflow_itself_has_it_whole(told: Execution) -> None:
    assert told.input == {"password": SECRET}
    assert StepResult.objects.get(execution=told, name="sign_in").output["token"] == SECRET


@pytest.mark.parametrize("path", ["", "/steps", "/history", "/result", "/timeline", "/stream"])
def test_no_answer_of_the_api_holds_it(told: Execution, root: Client, path: str) -> None:
    answer = root.get(f"/api/executions/{told.id}{path}")
    text = answer.getvalue().decode()

    assert answer.status_code == 200
    assert SECRET not in text
    assert path == "/timeline" or "[redacted]" in text


@pytest.mark.parametrize("path", ["executions", "events"])
def test_no_list_and_no_feed_holds_it(told: Execution, root: Client, path: str) -> None:
    answer = root.get(f"/api/{path}")

    assert SECRET not in answer.content.decode()
    assert "[redacted]" in answer.content.decode()


def test_a_search_in_errors_does_not_find_it(told: Execution, root: Client) -> None:
    def found(text: str) -> int:
        return len(root.get("/api/executions", {"error": text}).json()["results"])

    assert (found("cannot sign in"), found(SECRET), found("password': 'h")) == (1, 0, 0)


def test_no_page_of_the_admin_holds_it(told: Execution, root: Client) -> None:
    pages = ["execution/", f"execution/{told.id}/change/"]
    for model, rows in (("stepresult", told.steps), ("event", told.events), ("signal", told.signals)):
        pages += [f"{model}/{row.pk}/change/" for row in rows.all()]
    for page in pages:
        answer = root.get(f"/admin/django_workflows/{page}")
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode(), page


def test_a_payload_that_is_cut_hides_it_too(told: Execution, root: Client) -> None:
    long = {"padding": "x" * 3_900, "password": SECRET * 20}
    StepResult.objects.filter(execution=told, name="sign_in").update(output=long)

    html = root.get(f"/admin/django_workflows/execution/{told.id}/change/").content.decode()

    assert "x" * 3_900 in html
    assert SECRET not in html


@pytest.mark.parametrize("arguments", [["list"], ["show"], ["show", "--history"], ["show", "--json", "--history"]])
def test_no_command_prints_it(told: Execution, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    out = StringIO()
    command, *options = arguments
    call_command("workflows", command, *([str(told.id)] if command == "show" else []), *options, stdout=out)

    assert SECRET not in out.getvalue()


def test_starting_in_a_terminal_prints_the_result_without_it(settings: Any) -> None:
    settings.WORKFLOWS = {"EAGER": True}

    @workflow(name="issue")
    def issue(ctx: Context, password: str) -> dict[str, str]:
        if password == "wrong":
            raise ValueError({"password": SECRET})
        return {"token": SECRET, "user": "ada"}

    make_workflow("issue")
    out = StringIO()
    call_command("workflows", "start", "issue", f"password={SECRET}", "--wait", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {"token": "[redacted]", "user": "ada"}
    with pytest.raises(CommandError) as refused:
        call_command("workflows", "start", "issue", "password=wrong", "--wait", stdout=out)
    assert SECRET not in str(refused.value)


def test_nothing_logged_holds_it(told: Execution, caplog: pytest.LogCaptureFixture) -> None:
    ours = [record for record in caplog.records if record.name.startswith("django_workflows")]
    logging.getLogger("django_workflows").warning("failed: %s", told.error["message"])

    assert SECRET not in " ".join(record.getMessage() for record in ours)
    assert SECRET not in caplog.records[-1].getMessage()


def test_what_code_asks_for_is_hidden_in_histories_only(told: Execution) -> None:
    assert SECRET not in codec.encode([dict(item, time="") for item in told.history()])
    assert SECRET in told.error["message"]
