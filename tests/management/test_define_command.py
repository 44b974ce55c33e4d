"""`manage.py workflows define`: definitions from files."""

from __future__ import annotations

import io
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_workflows import step
from django_workflows.definitions import current_document
from django_workflows.models import Workflow

pytestmark = pytest.mark.django_db


@step(name="cli_note")
def cli_note(text: str) -> str:
    return text


def document(text: str = "hi", name: str = "cli_flow") -> dict[str, Any]:
    return {"name": name, "steps": [{"id": "n", "action": "cli_note", "input": {"text": text}}]}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(value: Any, name: str = "flow.json") -> str:
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    return to_file


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("workflows", "define", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_a_file_is_saved_and_what_happened_is_told(write: Any) -> None:
    assert run(write(document())) == "Created cli_flow, version 1.\n"
    assert run(write(document())) == "Unchanged: cli_flow, version 1.\n"
    assert run(write(document("two"))) == "Changed cli_flow, version 2.\n"
    assert current_document("cli_flow") == document("two")


def test_check_saves_nothing(write: Any) -> None:
    assert "cli_flow is fine, 1 step." in run("--check", write(document()))
    assert not Workflow.objects.filter(name="cli_flow").exists()


def test_what_is_wrong_is_told_by_path_and_the_others_are_saved(write: Any) -> None:
    wrong = write({"name": "x", "steps": [{"id": "n", "action": "nobody"}]}, "wrong.json")
    out = StringIO()
    with pytest.raises(CommandError, match="2 of 3 cannot be saved"):
        call_command("workflows", "define", wrong, write("{", "half.json"), write(document()), stdout=out)
    assert "  steps.0.action: No @step is registered under 'nobody'" in out.getvalue()
    assert "  (the whole): This is no JSON" in out.getvalue()
    assert current_document("cli_flow") == document()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run(str(tmp_path / "nothing.json"))


def test_json_for_programs_and_standard_input(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document())))
    assert json.loads(run("-", "--json")) == [
        {"file": "-", "workflow": "cli_flow", "version": 1, "created": True, "changed": True}
    ]


def test_a_parent_may_follow_its_child(write: Any) -> None:
    parent = {"name": "cli_parent", "steps": [{"id": "c", "workflow": "cli_flow"}]}
    assert "Created cli_parent" in run(write(document()), write(parent, "parent.json"))


def test_it_is_started_like_any_other(write: Any) -> None:
    run(write(document("$.input.text")))
    out = StringIO()
    call_command("workflows", "start", "cli_flow", "text=hello", stdout=out)
    assert out.getvalue().startswith("Started cli_flow")


@pytest.mark.parametrize("through_stdin", [False, True])
def test_a_byte_order_mark_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through_stdin: bool) -> None:
    text = "\ufeff" + json.dumps(document(), indent=2).replace("\n", "\r\n")
    path = tmp_path / "flow.json"
    path.write_bytes(text.encode())
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    run("-" if through_stdin else str(path))

    assert current_document("cli_flow") == document()
