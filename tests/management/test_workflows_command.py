"""`manage.py workflows …`: executions for people in a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from django_workflows import step, workflow
from django_workflows.models import Event, EventType, Execution, Signal, Status, StepKind, StepStatus
from tests.factories import ERROR, ago, damage, make_execution, make_log, make_signal, make_step, make_wait

pytestmark = pytest.mark.django_db

Run = Callable[..., str]
ROOT = Path(__file__).parents[2]


@workflow(name="cli_greet")
def cli_greet(ctx: Any, name: str, times: int = 1, loud: bool = False, extra: Any = None) -> str:
    return " ".join([name] * times)


@step(name="cli_add")
def cli_add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a subcommand in a terminal of 100 columns; what it printed."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> str:
        out = StringIO()
        call_command("workflows", *map(str, arguments), stdout=out, no_color=True)
        return out.getvalue()

    return call


def document(run: Run, *arguments: object) -> Any:
    return json.loads(run(*arguments, "--json"))


# list


def test_the_list_tells_status_and_reason_of_the_newest(run: Run) -> None:
    waiting = make_execution(Status.WAITING, key="order-42", created_at=ago(minutes=1))
    make_wait(waiting, StepKind.SIGNAL, "approved")
    failed = make_execution(Status.FAILED, created_at=ago(minutes=2))

    lines = run("list").splitlines()

    assert lines[0].split() == ["ID", "STATUS", "WORKFLOW", "KEY", "CREATED", "WHY"]
    assert lines[1].startswith(f"{str(waiting.id)[:8]}  waiting  fulfil    order-42")
    assert "waiting for signal approved since" in lines[1]
    assert lines[2].startswith(str(failed.id)[:8])
    assert "ProviderError: card 4711 declined" in lines[2]
    assert all(len(line) <= 100 for line in lines)


def test_the_list_can_be_narrowed(run: Run) -> None:
    """OBS-01"""
    one = make_execution(workflow="invoice", key="a", tags={"tenant": "acme"}, queue="bulk")
    two = make_execution(Status.FAILED, tags={"tenant": "acme", "order": 42})

    def ids(*arguments: str) -> set[str]:
        return {row["id"] for row in document(run, "list", *arguments)}

    assert ids() == {str(one.id), str(two.id)}
    assert ids("--workflow", "invoice") == {str(one.id)}
    assert ids("--status", "failed") == {str(two.id)}
    assert ids("--key", "a") == ids("--queue", "bulk") == {str(one.id)}
    assert ids("--tag", "tenant=acme") == {str(one.id), str(two.id)}
    assert ids("--tag", "tenant=acme", "--tag", "order=42") == {str(two.id)}
    assert ids("--tag", "order=43") == ids("--tag", "x__gt=1") == set()
    assert ids("--unfinished") == {str(one.id)}
    assert ids("--status", "failed", "--status", "pending") == {str(one.id), str(two.id)}
    assert run("list", "--key", "b") == "No execution matches.\n"


def test_a_filter_by_a_name_that_nobody_knows_lists_what_is_known(run: Run) -> None:
    make_execution(queue="bulk")

    told = run("list", "--workflow", "gone", "--queue", "nowhere")

    assert told.startswith("No execution matches. There is no workflow 'gone'. Known: ")
    assert "Nothing waits in a queue 'nowhere'. In use: bulk." in told
    assert "There is no workflow 'gone'. Known: " in run("stats", "--workflow", "gone")
    with pytest.raises(CommandError, match=r"There is no workflow 'gone'\. Known: "):
        run("watch", "--workflow", "gone")


def test_a_list_that_is_cut_says_so(run: Run) -> None:
    for _ in range(3):
        make_execution()

    assert "There are more" in run("list", "--limit", 2)
    assert len(document(run, "list", "--limit", 2)) == 2
    assert "There are more" not in run("list", "--limit", 3)


@pytest.mark.parametrize(
    "arguments",
    [("--limit", "0"), ("--limit", "x"), ("--status", "sleeping"), ("--tag", "acme"), ("--tag", "=acme")],
)
def test_a_filter_that_makes_no_sense_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("list", *arguments)


# show


def test_an_execution_is_shown_with_its_journal_and_why_it_waits(run: Run) -> None:
    execution = make_execution(Status.WAITING, key="order-42", input={"order_id": 42}, tags={"tenant": "acme"})
    make_step(execution, "reserve", output={"shelf": 7})
    make_step(execution, "charge", StepStatus.FAILED, attempts=3)
    make_wait(execution, StepKind.SIGNAL, "approved")
    make_signal(execution, "hurry", {"by": "ada"})
    make_log(execution, EventType.ERROR, "charge", {"attempt": 1, "error": ERROR})

    text = run("show", str(execution.id)[:8])

    for expected in ("waiting for signal approved", "order-42", '{"order_id": 42}', "tenant=acme", '{"shelf": 7}'):
        assert expected in text
    for expected in ("ProviderError: card 4711", "hurry", "POSITION"):
        assert expected in text
    assert "attempt 1 failed" not in text
    assert "attempt 1 failed" in run("show", execution.id, "--history")


def test_a_failure_is_shown_with_its_traceback(run: Run) -> None:
    text = run("show", make_execution(Status.FAILED).id)

    assert '    Traceback (most recent call last):\n      File "shop.py", line 1' in text


def test_a_long_journal_is_shown_from_its_end(run: Run) -> None:
    execution = make_execution(Status.RUNNING)
    for number in range(1, 5):
        make_step(execution, f"step-{number}")

    text = run("show", execution.id, "--steps", 2)

    assert "step-4" in text
    assert "step-1" not in text
    assert "The last 2 steps" in text
    assert len(document(run, "show", execution.id)["steps"]) == 4


def test_the_json_has_everything(run: Run) -> None:
    execution = make_execution(Status.WAITING, input={"order_id": 42})
    make_wait(execution, StepKind.SIGNAL, "approved")
    make_signal(execution, "hurry")

    found = document(run, "show", execution.id, "--history")

    assert found["id"] == str(execution.id)
    assert found["input"] == {"order_id": 42}
    assert found["why"].startswith("waiting for signal approved")
    assert [row["name"] for row in found["steps"]] == ["approved"]
    assert [row["name"] for row in found["unread_signals"]] == ["hurry"]
    assert found["history"][0]["title"] == "Created"


def test_a_damaged_row_can_be_listed_and_shown(run: Run) -> None:
    """SER-10"""
    execution = make_execution(Status.FAILED)
    damage(make_step(execution), "output", "{no \x1b[31mjson")
    for column in ("input", "output", "error"):
        damage(execution, column)

    assert "{no json" in run("list")
    assert "{no json" in run("show", execution.id)
    assert "\x1b" not in run("show", execution.id)
    assert document(run, "show", execution.id)["error"] == "{no json"


def test_a_key_names_an_execution_too(run: Run) -> None:
    execution = make_execution(key="order-42")

    assert str(execution.id) in run("show", "fulfil:order-42")


@pytest.mark.parametrize("command", ["show", "pause", "signal"])
def test_who_is_not_there_is_told(run: Run, command: str) -> None:
    more = ("approved",) if command == "signal" else ()
    with pytest.raises(CommandError, match="There is no execution"):
        run(command, uuid4(), *more)


def test_an_ambiguous_beginning_is_refused(run: Run) -> None:
    for number in (1, 2):
        make_execution(id=UUID(f"3f2b8c1e-0000-4000-8000-00000000000{number}"))

    with pytest.raises(CommandError, match="several ids"):
        run("pause", "3f2b")


# start


def started() -> Execution:
    return Execution.objects.latest("created_at")


def test_arguments_are_read_as_the_signature_wants_them(run: Run) -> None:
    assert "Started cli_greet" in run("start", "cli_greet", "name=42", "times=3", "loud=true", 'extra={"a": [1]}')

    assert started().input == {"name": "42", "times": 3, "loud": True, "extra": {"a": [1]}}


def test_all_arguments_may_be_one_json_object(run: Run) -> None:
    found = document(
        run, "start", "cli_greet", "--input", '{"name": "ada", "times": 2}', "--key", "k", "--queue", "bulk"
    )

    assert found["input"] == {"name": "ada", "times": 2}
    assert (found["key"], found["queue"], found["created"]) == ("k", "bulk", True)


def test_an_execution_that_holds_the_key_is_given_back(run: Run) -> None:
    run("start", "cli_greet", "name=ada", "--key", "k")

    assert run("start", "cli_greet", "name=ada", "--key", "k").startswith("Already there: cli_greet")
    assert Execution.objects.filter(workflow="cli_greet").count() == 1


def test_a_start_can_be_delayed(run: Run) -> None:
    run("start", "cli_greet", "name=ada", "--delay", "2 hours")

    execution = started()
    assert execution.wake_at is not None
    assert round((execution.wake_at - execution.created_at).total_seconds()) == 7200


def test_a_single_step_can_be_started(run: Run) -> None:
    run("start", "cli_add", "a=1", "b=2")

    assert started().input == {"a": 1, "b": 2}


def test_waiting_prints_the_result(run: Run, settings: Any) -> None:
    settings.WORKFLOWS = {"EAGER": True}

    assert document(run, "start", "cli_greet", "name=ada", "times=2", "--wait") == "ada ada"
    assert "is under way.\n3\n" in run("start", "cli_add", "a=1", "b=2", "--wait")


def test_waiting_ends_with_the_timeout(run: Run) -> None:
    with pytest.raises(CommandError):
        run("start", "cli_greet", "name=ada", "--wait", "--timeout", "0")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nonsense",), "No workflow is registered under 'nonsense'"),
        (("cli_greet",), "name: This argument is required."),
        (("cli_greet", "name=ada", "times=many"), "times: "),
        (("cli_greet", "name=ada", "wrong=1"), "wrong: There is no such argument"),
        (("cli_greet", "name"), "write KEY=VALUE"),
        (("cli_greet", "name=a", "name=b"), "given twice"),
        (("cli_greet", "--input", "{name: ada}"), "not valid JSON"),
        (("cli_greet", "--input", '["ada"]'), "a JSON object"),
        (("cli_greet", "name=ada", "--input", "{}"), "not both"),
        (("cli_greet", "name=ada", "--delay", "soon"), "soon"),
        (("cli_greet", "name=ada", "--queue", ""), "queue"),
    ],
)
def test_a_start_that_cannot_be_says_what_is_wrong(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("start", *arguments)

    assert complaint in str(refused.value)
    assert not Execution.objects.exists()


# signal


def test_a_signal_is_sent_with_its_data(run: Run) -> None:
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.SIGNAL, "approved")

    assert "Sent approved to fulfil" in run("signal", execution.id, "approved", '{"by": "ada"}')
    assert document(run, "signal", execution.id, "approved")["number"] == 2
    assert [signal.data for signal in Signal.objects.order_by("number")] == [{"by": "ada"}, None]


@pytest.mark.parametrize("data", ["{by: ada}", "NaN", '"\\u0000"', "[" * 100_000])
def test_data_that_cannot_be_stored_are_refused(run: Run, data: str) -> None:
    with pytest.raises(CommandError):
        run("signal", make_execution().id, "approved", data)

    assert not Signal.objects.exists()


# verbs


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("pause", Status.PENDING, Status.PAUSED),
        ("resume", Status.PAUSED, Status.PENDING),
        ("cancel", Status.PAUSED, Status.CANCELLED),
        ("retry", Status.FAILED, Status.PENDING),
    ],
)
def test_verbs_change_what_they_apply_to_and_leave_a_name(run: Run, verb: str, before: Status, after: Status) -> None:
    one, two = make_execution(before), make_execution(before)

    text = run(verb, one.id, str(two.id)[:13], "--reason", "so it was decided")

    assert text.count(f"is {after}.") == 2
    assert {row.status for row in Execution.objects.all()} == {after}
    log = Event.objects.filter(type=EventType.OPERATOR, name=verb)
    assert {(row.data["reason"], row.data["by"].endswith("command line)")) for row in log} == {
        ("so it was decided", True)
    }


def test_a_verb_that_does_not_apply_keeps_nobody_else_from_it(run: Run) -> None:
    """PAU-09"""
    done, pending = make_execution(Status.COMPLETED), make_execution()

    with pytest.raises(CommandError, match="Cannot pause an execution that is completed"):
        run("pause", done.id, pending.id)

    pending.refresh_from_db()
    assert pending.status == Status.PAUSED


def test_a_verb_that_a_worker_has_to_carry_out_says_so(run: Run) -> None:
    assert "is running, pause is under way." in run("pause", make_execution(Status.RUNNING).id)


def test_the_verbs_answer_in_json_too(run: Run) -> None:
    execution = make_execution()

    assert [row["status"] for row in document(run, "pause", execution.id)] == ["paused"]


@pytest.mark.parametrize("arguments", [(), ("dance",), ("pause",), ("show",)])
def test_what_is_no_command_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)


@pytest.mark.parametrize("command", ["workflows list", "workflows show 6c5a6444", "workflowsdoctor"])
def test_tables_that_are_not_there_are_told_in_words(command: str, tmp_path: Path) -> None:
    """In a process of its own: its database is a new file."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}"}
    arguments = [sys.executable, "manage.py", *command.split()]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "are not up to date: run `manage.py migrate`." in done.stderr
    assert "Traceback" not in done.stderr


# Django's own options


@pytest.mark.parametrize("subcommand", [["list"], ["triggers", "list"]], ids=" ".join)
def test_djangos_options_may_stand_behind_the_subcommand(subcommand: list[str], tmp_path: Path) -> None:
    """`--settings` above all, which Django itself reads from there."""
    command = [sys.executable, "-m", "django", "workflows", *subcommand, "--settings", "tests.sample.settings"]
    options = ["--pythonpath", ".", "-v", "0", "--traceback", "--no-color"]
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'none.sqlite3'}"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment, cwd=ROOT)

    assert "migrate" in done.stderr  # it came as far as the database, which is empty
    assert "unrecognized arguments" not in done.stderr


def test_djangos_options_before_the_subcommand_still_count(run: Run) -> None:
    with pytest.raises(CommandError, match="unrecognized arguments: --nothing"):
        run("list", "--nothing")
    assert run("--verbosity", 0, "list", "--settings", "tests.sample.settings")
