"""What stands in a row is only read by the terminal that shows it, whichever command prints it."""

from __future__ import annotations

import json
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_workflows.models import Event, EventType, Execution, Status, Workflow
from tests.factories import ago, make_execution, make_log, make_signal, make_step, make_trigger, make_wait

pytestmark = pytest.mark.django_db

EVIL = "a\x1b[2J\x9b\r\u202e\u2066\x07\nforged: all is well"


def make_evil() -> Execution:
    """A row whose every text has it; as an ancestor or SQL may have written it."""
    payload: Any = {EVIL: [EVIL]}
    error: Any = {"type": EVIL, "message": EVIL, "traceback": f"Traceback\n{EVIL}\nE"}
    execution = make_execution(
        Status.WAITING,
        workflow=EVIL,
        key=EVIL,
        queue=EVIL,
        tags={EVIL: EVIL},
        input=payload,
        output=payload,
        state=payload,
        error=error,
        reason=EVIL,
        current_step=EVIL,
        wake_at=ago(hours=1),
    )
    make_step(execution, EVIL, input=payload, output=payload, error=error)
    make_wait(execution, "signal", EVIL)
    make_signal(execution, f"{EVIL}2", data=EVIL)
    make_log(execution, EventType.ERROR, EVIL, {"step": EVIL, "attempt": 1, "error": error, "reason": EVIL})
    make_trigger(EVIL, workflow=EVIL, note=EVIL, config={EVIL: EVIL})
    Workflow.objects.create(name=EVIL)
    return execution


def printed(*arguments: str) -> str:
    """What a command wrote, and what it said in the end."""
    out, err = StringIO(), StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        err.write(f"{error}\n")
    except SystemExit:
        pass
    return out.getvalue() + err.getvalue()


COMMANDS = (
    ("workflows", "list"),
    ("workflows", "list", "--workflow", EVIL),
    ("workflows", "show", "{id}", "--history"),
    ("workflows", "show", f"{EVIL}:{EVIL}"),
    ("workflows", "show", EVIL),
    ("workflows", "start", EVIL, "a=1"),
    ("workflows", "signal", "{id}", "go", EVIL),
    ("workflows", "retry", "{id}", EVIL),
    ("workflows", "cancel", "{id}", "--reason", EVIL),
    ("workflows", "enable", EVIL),
    ("workflows", "enable", f"{EVIL}?"),
    ("workflows", "define", EVIL),
    ("workflows", "triggers", "list"),
    ("workflows", "triggers", "show", EVIL),
    ("workflowsdoctor",),
)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_no_command_prints_what_a_terminal_would_obey(command: tuple[str, ...], form: list[str]) -> None:
    execution = make_evil()

    text = printed(*(argument.format(id=execution.id) for argument in command), *form)

    assert text
    assert {character for character in text if not character.isprintable()} <= {"\n"}
    if not form:
        assert not any(line.startswith("forged") for line in text.splitlines())


def test_json_has_what_is_stored() -> None:
    execution = make_evil()

    shown = json.loads(printed("workflows", "show", str(execution.id), "--json"))

    assert shown["reason"] == EVIL


def test_a_stream_of_events_is_told_of_in_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"id": EVIL[1:], "name": EVIL, EVIL: 1})
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(f"{line}\n".encode())))

    text = printed("publishevents", "--ack")

    assert {character for character in text if not character.isprintable()} <= {"\n"}
    assert not any(line.startswith("forged") for line in text.splitlines())
    assert not Event.objects.filter(type=EventType.EVENT).exists()


def test_a_remedy_can_be_pasted_into_a_shell() -> None:
    make_execution(queue="a; rm -rf b", wake_at=ago(hours=1))

    assert "--queue 'a; rm -rf b'" in printed("workflowsdoctor")
