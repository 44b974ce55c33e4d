"""The statements of docs/operating-by-sql.md, as they are printed, against real rows and a worker's round."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.verbs.apply import carry_out
from django_workflows.models import OPEN_STEPS, Event, EventType, Execution, Status, StepKind, StepResult, StepStatus
from tests.factories import ERROR, ago, ahead, make_execution, make_log, make_retry, make_step, make_wait, make_worker

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operating-by-sql.md").read_text()
EXAMPLE = "6f1c2a9b4d8e4f0aa1b2c3d4e5f60718"
_PARTS = re.compile(r"^## (?P<heading>.+?)$|^```sql\n(?P<statement>.+?)^```$", re.MULTILINE | re.DOTALL)


def read_recipes() -> dict[str, list[str]]:
    """The statements under each heading."""
    recipes: dict[str, list[str]] = {}
    heading = ""
    for part in _PARTS.finditer(PAGE):
        if part["heading"]:
            heading = part["heading"]
        else:
            recipes.setdefault(heading, []).append(part["statement"].strip())
    return recipes


RECIPES = read_recipes()


def type_in(heading: str, number: int = 0, execution: Execution | None = None) -> list[dict[str, Any]] | int:
    """Execute a statement of the page; the rows of a query, or how many rows were changed."""
    statement = RECIPES[heading][number]
    if execution is not None:
        assert EXAMPLE in statement
        statement = statement.replace(EXAMPLE, execution.id.hex)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description is None:
            return int(cursor.rowcount)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def ask(heading: str, number: int = 0, execution: Execution | None = None) -> list[dict[str, Any]]:
    rows = type_in(heading, number, execution)
    assert isinstance(rows, list)
    return rows


def statuses(heading: str, number: int = 0) -> list[str]:
    return [row["status"] for row in ask(heading, number)]


def work() -> int:
    dialect = dialect_of(connection)
    return len(transact("default", lambda cursor: carry_out(cursor, dialect)))


def reload(execution: Execution) -> Execution:
    return Execution.objects.get(pk=execution.pk)


def test_every_statement_of_the_page_can_be_executed() -> None:
    assert set(RECIPES) == {
        "Find an execution",
        "Count by status",
        "Why does it wait?",
        "List what is stuck",
        "Wake",
        "Pause",
        "Resume",
        "Cancel",
        "Retry",
        "Is it done yet?",
    }
    for heading, statements in RECIPES.items():
        for number in range(len(statements)):
            assert type_in(heading, number) in (0, [])


def test_no_statement_writes_the_status() -> None:
    """The engine's columns belong to the engine."""
    for statement in (statement for statements in RECIPES.values() for statement in statements):
        if statement.startswith("UPDATE"):
            assignments = statement.partition("SET ")[2].partition("WHERE")[0]
            written = set(re.findall(r"(\w+) = ", assignments))
            assert written <= {"wake_at", "requested", "reason", "updated_at"}
            assert "requested = ''" in assignments or "status" in statement.partition("WHERE")[2]


def test_executions_are_found_by_key_and_by_workflow() -> None:
    execution = make_execution(Status.PAUSED, key="order-42")
    make_execution(workflow="ship", key="order-42")
    [row] = ask("Find an execution")
    assert row["status"] == "paused"
    assert row["reason"] == execution.reason
    assert statuses("Find an execution", 1) == ["paused"]


def test_executions_are_counted_by_status() -> None:
    for status in (Status.PENDING, Status.WAITING, Status.WAITING):
        make_execution(status)
    make_execution(workflow="ship")
    assert [(row["workflow"], row["status"], row["executions"]) for row in ask("Count by status")] == [
        ("fulfil", "pending", 1),
        ("fulfil", "waiting", 2),
        ("ship", "pending", 1),
    ]


def test_why_an_execution_waits() -> None:
    execution = make_execution(Status.WAITING)
    make_step(execution, "reserve")
    make_wait(execution, StepKind.SIGNAL, "approved")
    make_retry(execution, "charge", attempts=3)
    make_step(execution, "charge", StepStatus.SUPERSEDED)
    rows = ask("Why does it wait?", 0, execution)
    assert [(row["kind"], row["name"], row["step"], row["attempts"]) for row in rows] == [
        ("signal", "approved", "scheduled", 0),
        ("step", "charge", "scheduled", 3),
    ]
    assert {row["status"] for row in rows} == {"waiting"}
    assert len(ask("Why does it wait?", 1, execution)) == 4


def test_one_without_open_steps_still_has_its_row() -> None:
    [row] = ask("Why does it wait?", 0, make_execution(Status.PAUSED))
    assert (row["status"], row["reason"], row["kind"]) == ("paused", "waiting for the supplier", None)


def test_what_happened_to_an_execution() -> None:
    execution = make_execution(Status.WAITING)
    make_log(execution, EventType.OPERATOR, "pause", {"by": "ada"})
    [row] = ask("Why does it wait?", 2, execution)
    assert (row["type"], row["name"], row["data"]) == ("operator", "pause", '{"by":"ada"}')


def test_what_is_stuck_is_listed() -> None:
    """OBS-09"""
    make_execution(wake_at=ahead(hours=1))
    make_execution(Status.COMPLETED)
    make_execution(wake_at=ago(seconds=20))
    make_execution(Status.RUNNING, wake_at=ago(minutes=5))
    assert statuses("List what is stuck") == ["running", "pending"]
    make_execution(wake_at=None)
    assert statuses("List what is stuck", 1) == ["pending"]


def test_who_is_there_is_listed() -> None:
    make_worker()
    make_worker(name="gone", stopped_at=ago(minutes=1))
    assert [row["name"] for row in ask("List what is stuck", 2)] == ["web-1:4711"]


@pytest.mark.parametrize("status", [Status.PENDING, Status.WAITING])
def test_waking(status: Status) -> None:
    execution = make_execution(status, wake_at=ahead(hours=1))
    assert type_in("Wake", 0, execution) == 1
    assert execution in Execution.objects.due()


@pytest.mark.parametrize("status", [Status.RUNNING, Status.PAUSED, Status.COMPLETED])
def test_what_cannot_be_woken_is_left_alone(status: Status) -> None:
    execution = make_execution(status)
    before = reload(execution).wake_at
    assert type_in("Wake", 0, execution) == 0
    assert reload(execution).wake_at == before


@pytest.mark.parametrize(
    ("heading", "before", "after"),
    [
        ("Pause", "pending", "paused"),
        ("Pause", "waiting", "paused"),
        ("Resume", "paused", "pending"),
        ("Cancel", "pending", "cancelled"),
        ("Cancel", "running", "cancelled"),
        ("Cancel", "waiting", "cancelled"),
        ("Cancel", "paused", "cancelled"),
        ("Retry", "failed", "pending"),
    ],
)
def test_a_verb_that_is_typed_is_carried_out_by_a_worker(heading: str, before: str, after: str) -> None:
    execution, other = make_execution(before), make_execution(before)
    assert type_in(heading, 0, execution) == 1
    assert [row["requested"] for row in ask("Is it done yet?")] == [heading.lower()]
    assert work() == 1
    assert (reload(execution).status, reload(execution).requested) == (after, "")
    assert reload(other).status == before
    assert ask("Is it done yet?") == []
    assert Event.objects.get(execution=execution, type="operator").name == heading.lower()


def test_a_typed_pause_is_left_to_the_holder_of_a_running_execution() -> None:
    execution = make_execution(Status.RUNNING)
    assert type_in("Pause", 0, execution) == 1
    assert work() == 0
    assert reload(execution).status == "running"


@pytest.mark.parametrize(
    ("heading", "status"),
    [(heading, status) for heading in ("Pause", "Resume", "Cancel", "Retry") for status in ("completed", "cancelled")],
)
def test_a_verb_that_does_not_apply_changes_nothing(heading: str, status: str) -> None:
    """PAU-09"""
    assert type_in(heading, 0, make_execution(status)) == 0


def test_a_cancel_takes_children_and_open_steps_with_it() -> None:
    """CHD-06"""
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.CHILD, "ship")
    type_in("Cancel", 0, execution)
    assert (work(), work(), work()) == (1, 1, 0)
    assert Execution.objects.cancelled().count() == 2
    assert not StepResult.objects.filter(status__in=OPEN_STEPS).exists()


def test_a_retry_goes_on_from_the_failed_step() -> None:
    """FRK-01"""
    execution = make_execution(Status.FAILED, error=ERROR | {"step": "2"})
    make_step(execution, "reserve")
    make_step(execution, "charge", StepStatus.FAILED)
    type_in("Retry", 0, execution)
    assert work() == 1
    assert [row["status"] for row in ask("Why does it wait?", 1, execution)] == ["succeeded", "superseded"]


def test_a_whole_workflow_is_paused_and_resumed() -> None:
    """PAU-08"""
    mine = [make_execution(), make_execution(Status.WAITING)]
    parked, other = make_execution(Status.PAUSED), make_execution(workflow="ship")
    assert type_in("Pause", 1) == 2
    assert work() == 2
    assert {reload(one).status for one in mine} == {"paused"}
    assert type_in("Resume", 1) == 2
    assert work() == 2
    assert {reload(one).status for one in mine} == {"pending"}
    assert (reload(parked).status, reload(other).status) == ("paused", "pending")


def test_what_failed_since_a_moment_is_retried() -> None:
    before = make_execution(Status.FAILED, completed_at=datetime(2026, 3, 1, 7, 59, tzinfo=UTC))
    after = make_execution(Status.FAILED, completed_at=datetime(2026, 3, 1, 8, 1, tzinfo=UTC))
    assert type_in("Retry", 1) == 1
    assert work() == 1
    assert (reload(before).status, reload(after).status) == ("failed", "pending")


def test_a_request_is_taken_back() -> None:
    execution = make_execution(requested="pause")
    assert type_in("Is it done yet?", 1, execution) == 1
    assert work() == 0
    cancelled = make_execution(requested="cancel")
    assert type_in("Is it done yet?", 1, cancelled) == 0
