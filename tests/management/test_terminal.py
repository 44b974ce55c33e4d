"""`manage.py workflows …` as people use it: in a terminal, in a pipe, for many executions at once, and to look on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_workflows import workflow
from django_workflows.management import moments, watching
from django_workflows.models import Event, EventType, Execution, Status, StepKind
from tests.factories import ago, ahead, make_event, make_execution, make_step, make_wait, make_worker

pytestmark = pytest.mark.django_db

Run = Callable[..., str]
ROOT = Path(__file__).parents[2]
REASON = "the supplier cannot say when the goods will be there, and the customer has been asked to wait"


@workflow(name="terminal_order")
def terminal_order(ctx: Any, order_id: int, note: str = "") -> None: ...


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run() -> Run:
    """In a pipe."""
    return lambda *arguments: _call(StringIO(), *arguments)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Run:
    """In a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: _call(Terminal(), *arguments)


def _call(out: StringIO, *arguments: object) -> str:
    call_command("workflows", *map(str, arguments), stdout=out, no_color=True)
    return out.getvalue()


# what is shown where


def test_a_pipe_gets_every_line_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    make_execution(Status.PAUSED, key="order-" + "7" * 100, reason=REASON)

    _header, line = run("list").splitlines()

    assert "order-" + "7" * 100 in line
    assert REASON in line


def test_a_terminal_gets_the_whole_reason_and_no_line_that_is_too_wide(shown: Run) -> None:
    make_execution(Status.PAUSED, key="order-" + "7" * 100, reason=REASON)

    lines = shown("list").splitlines()

    assert all(len(line) <= 80 for line in lines)
    at = lines[0].index("WHY")
    assert REASON in " ".join(line[at:].strip() for line in lines[1:])


def test_full_shows_whole_ids_and_moments_and_cuts_nothing(shown: Run) -> None:
    execution = make_execution(Status.PAUSED, key="order-" + "7" * 100, reason=REASON)

    line = shown("list", "--full").splitlines()[1]

    created = timezone.localtime(execution.created_at)
    for expected in (str(execution.id), "order-" + "7" * 100, REASON, f"{created:%Y-%m-%d %H:%M:%S}"):
        assert expected in line


@pytest.mark.parametrize(
    ("moment", "short"),
    [
        (datetime(2026, 12, 1, 9, 5, 7, tzinfo=UTC), "09:05:07"),
        (datetime(2026, 3, 9, 9, 5, 7, tzinfo=UTC), "03-09 09:05"),
        (datetime(2024, 3, 9, 9, 5, 7, tzinfo=UTC), "2024-03-09"),
    ],
)
def test_a_moment_is_as_short_as_its_distance_allows(
    monkeypatch: pytest.MonkeyPatch, moment: datetime, short: str
) -> None:
    here = timezone.localtime
    now = datetime(2026, 12, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "localtime", lambda value=None: here(value or now, UTC))

    assert moments.in_words(moment) == short
    assert moments.in_words(moment, full=True).startswith(f"{moment:%Y-%m-%d %H:%M:%S}.000+00:00")
    assert moments.in_words(None) == ""


def test_who_reads_the_output_may_go_away_early(tmp_path: Path) -> None:
    """`workflows triggers list | head -1`: no traceback."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=environment, cwd=ROOT, check=True)
    for command in (["workflows", "triggers", "list"], ["workflowsdoctor"]):
        read, write = os.pipe()
        os.close(read)
        arguments = [sys.executable, "manage.py", *command]
        done = subprocess.run(arguments, env=environment, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True)
        os.close(write)
        assert done.stderr == ""
        assert done.returncode == 141


# options anywhere


@pytest.mark.parametrize(
    "arguments",
    [
        ("--key", "k", "order_id=1", "note=x"),
        ("order_id=1", "--key", "k", "note=x"),
        ("order_id=1", "note=x", "--key", "k"),
    ],
)
def test_options_may_stand_before_between_and_after_arguments(run: Run, arguments: tuple[str, ...]) -> None:
    run("start", "terminal_order", *arguments)

    execution = Execution.objects.get(workflow="terminal_order")
    assert (execution.key, execution.input) == ("k", {"order_id": 1, "note": "x"})


def test_json_may_be_asked_for_before_the_subcommand_too(run: Run) -> None:
    make_execution()
    assert json.loads(run("--json", "list")) == json.loads(run("list", "--json"))


def test_options_may_stand_before_ids(run: Run) -> None:
    one, two = make_execution(), make_execution()
    run("pause", one.id, "--reason", "stock", two.id)
    assert {row.status for row in Execution.objects.all()} == {Status.PAUSED}


# many at once


def test_a_verb_for_all_that_match_says_how_many_and_waits_for_a_yes(run: Run) -> None:
    for _ in range(3):
        make_execution(workflow="invoice")
    make_execution(Status.COMPLETED, workflow="invoice")
    make_execution(workflow="other")

    with pytest.raises(CommandError, match=r"Cancel applies to 3 executions that match\. Nothing was done; --yes does"):
        run("cancel", "--workflow", "invoice")
    assert not Execution.objects.filter(status=Status.CANCELLED).exists()

    assert run("cancel", "--workflow", "invoice", "--reason", "by mistake", "--yes") == "Cancel: 3 of 3.\n"
    assert Execution.objects.filter(workflow="invoice", status=Status.CANCELLED, reason="by mistake").count() == 3
    assert Execution.objects.get(workflow="other").status == Status.PENDING


@pytest.mark.parametrize(("answer", "status"), [("y", Status.PAUSED), ("", Status.PENDING), ("no", Status.PENDING)])
def test_in_a_terminal_it_asks(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, status: Status) -> None:
    execution = make_execution()
    asked: list[str] = []

    def reply(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", reply)
    if status is Status.PAUSED:
        run("pause", "--status", "pending")
    else:
        with pytest.raises(CommandError, match="Nothing was done"):
            run("pause", "--status", "pending")

    assert asked == ["Pause 1 execution? [y/N] "]
    execution.refresh_from_db()
    assert execution.status == status


def test_what_becomes_of_many_is_told_in_json_too(run: Run) -> None:
    make_execution(Status.FAILED)
    found = json.loads(run("retry", "--status", "failed", "--yes", "--json"))
    assert found == {"matched": 1, "changed": 1, "errors": {}}


def test_ids_and_filters_are_either_or(run: Run) -> None:
    execution = make_execution()
    with pytest.raises(CommandError, match="either ids or filters"):
        run("pause", execution.id, "--workflow", "fulfil")
    with pytest.raises(CommandError, match="Say which: ids, or filters"):
        run("pause")
    assert run("pause", "--workflow", "gone", "--yes").startswith(
        "No execution matches that pause applies to. There is"
    )


# looking on


def test_watching_an_execution_ends_with_it(run: Run) -> None:
    execution = make_execution(Status.COMPLETED)
    make_step(execution, "reserve")

    text = run("watch", execution.id)

    assert [line.split("  ", 1)[1] for line in text.splitlines()] == [
        "Created",
        "Taken by a worker for the first time",
        "Step reserve started  [1]",
        "Step reserve succeeded  [1]",
        "Completed",
    ]
    assert [
        json.loads(line)["name"] for line in run("watch", execution.id, "--type", "step", "--json").splitlines()
    ] == [
        "reserve",
        "reserve",
    ]


def test_watching_one_that_failed_is_a_failure(run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run("watch", make_execution(Status.FAILED).id)
    assert ended.value.code == 1


def test_watching_goes_on_until_it_has_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = make_execution()
    monkeypatch.setattr(watching, "_pause", lambda seconds, out: execution.cancel("enough"))

    with pytest.raises(SystemExit):
        run("watch", execution.id)


def test_watching_all_tells_what_happens_from_now_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make_execution(workflow="terminal_order")
    looks = iter(range(3))

    def meanwhile(seconds: float, out: Any) -> None:
        if next(looks) == 2:
            raise KeyboardInterrupt
        execution = make_execution(workflow="terminal_order", created_at=ahead(seconds=0))
        make_execution(workflow="other", created_at=ahead(seconds=0))
        Execution.objects.filter(pk=execution.pk).update(wake_at=ahead(hours=1))

    monkeypatch.setattr(watching, "_pause", meanwhile)
    lines = run("watch", "--workflow", "terminal_order").splitlines()

    assert len(lines) == 2
    assert all("terminal_order" in line and line.endswith("Created") for line in lines)


# workers, numbers, events


def test_workers_are_listed_with_what_they_do(run: Run) -> None:
    make_worker(name="web-1:7", slots=4, slots_used=3, started_at=ago(hours=1), seen_at=ago(seconds=1))
    make_worker(name="web-2:8", seen_at=ago(hours=1), started_at=ago(hours=2))
    make_worker(name="web-3:9", stopped_at=ago(minutes=1), started_at=ago(hours=2), seen_at=ago(minutes=1))

    listed = {line.split()[0]: line for line in run("workers").splitlines()}

    assert "alive" in listed["web-1:7"]
    assert "3 of 4" in listed["web-1:7"]
    assert "gone" in listed["web-2:8"]
    assert "web-3:9" not in listed
    assert {row["state"] for row in json.loads(run("workers", "--all", "--json"))} == {"alive", "gone", "stopped"}


def test_workers_tell_what_they_have_left_behind(run: Run) -> None:
    execution = make_execution()
    left = {"execution": str(execution.id), "workflow": "fulfil", "step": "", "since": ago(hours=2).isoformat()}
    make_worker(name="web-1:7", left_behind=[left])
    assert f"web-1:7 has left behind and still runs fulfil ({execution.id}), for 2" in run("workers")
    assert [row["left_behind"] for row in json.loads(run("workers", "--json"))] == [[left]]


def test_without_workers_it_says_how_to_start_one(run: Run) -> None:
    assert run("workers") == "No worker is there: start one with `manage.py runworkflows`.\n"


def test_stats_tell_counts_rates_and_backlogs(run: Run) -> None:
    make_execution(Status.COMPLETED, completed_at=ago(seconds=1))
    make_execution(Status.FAILED, workflow="invoice")
    make_execution(queue="bulk", wake_at=ago(minutes=2))

    text = run("stats")

    assert "COMPLETED" in text
    assert "completed/s" in text
    assert "p50" in text
    [bulk] = [line for line in text.splitlines() if line.startswith("bulk")]
    assert bulk.split()[1:4] == ["1", "2", "min"]
    assert json.loads(run("stats", "--workflow", "invoice", "--json"))["counts"] == [
        {"workflow": "invoice", "status": "failed", "count": 1, "at_least": False}
    ]
    assert "There are no executions yet" in run("stats", "--workflow", "terminal_order")


def test_an_event_is_published(run: Run) -> None:
    text = run("publish", "--id", "e-1", "stock.counted", '{"shelf": 7}', "--source", "cli")

    event = Event.objects.get(type=EventType.EVENT)
    assert (event.name, event.data, event.event_id, event.source) == ("stock.counted", {"shelf": 7}, "e-1", "cli")
    assert text == f"Published stock.counted ({event.pk}).\n"
    assert json.loads(run("publish", "stock.counted", "--id", "e-1", "--json"))["id"] == str(event.pk)
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("x", "{a}"), "The data of an event is JSON"),
        (("x", "--deliver-at", "soon"), "'soon' is no moment"),
        (("", "1"), "name"),
        (("x", "--id", "schedule:1"), "id"),
    ],
)
def test_an_event_that_cannot_be_published_says_why(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    make_event()
    with pytest.raises(CommandError, match=complaint):
        run("publish", *arguments)


def test_a_signal_that_nobody_waits_for_says_what_is_waited_for(run: Run) -> None:
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.SIGNAL, "approved")

    assert "It waits for approved now; aproved is kept until it asks for that." in run(
        "signal", execution.id, "aproved"
    )
    assert "It waits for" not in run("signal", execution.id, "approved")
