"""Choices that the pages tell and that no other test is about."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from django_workflows import Context, ExecutionCancelled, ExecutionNotFound, step, workflow
from django_workflows.client import result
from django_workflows.engine.claims.claims import ClaimLimit, claim
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.models import Event, Execution, Signal, Status, StepResult
from django_workflows.testing import Workflows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


@step
def twice_as_much(number: int) -> int:
    return 2 * number


def rows_of(execution: Any) -> int:
    """How many rows there are of an execution, beside its own."""
    kinds = StepResult.objects, Signal.objects, Event.objects
    return sum(rows.filter(execution_id=execution.id).count() for rows in kinds)


def test_deleting_a_finished_execution_deletes_all_of_it(workflows: Workflows) -> None:
    """DEL-01, EXE-04: and frees its idempotency key."""

    @workflow
    def answer(ctx: Context) -> int:
        ctx.do(twice_as_much, 21)
        return int(ctx.wait_for_signal("go").data)  # type: ignore[union-attr]  # there is no timeout

    once = answer.using(idempotency_key="42")
    execution = once.start()
    execution.pause("look")
    execution.resume()
    execution.signal("go", 1)
    assert workflows.result(execution) == 1
    assert rows_of(execution) >= 4

    Execution.objects.finished().delete()

    assert rows_of(execution) == 0
    with pytest.raises(ExecutionNotFound):
        result(execution, timeout=0)
    assert once.start().id != execution.id


def test_nothing_is_written_for_an_execution_that_was_deleted_meanwhile(workflows: Workflows) -> None:
    """DEL-02, DEL-04: the turn that has it finds no row, and ends."""
    begun = []

    @step
    def vanish() -> str:
        Execution.objects.all().delete()
        return "late"

    @step
    def go_on() -> None:
        begun.append(1)

    @workflow
    def doomed(ctx: Context) -> None:
        ctx.do(vanish)
        ctx.do(go_on)

    execution = doomed.start()
    workflows.run_until_idle()
    assert not Execution.objects.exists()
    assert rows_of(execution) == 0
    assert begun == []


@pytest.mark.parametrize(("tag", "other"), [("acme", "other"), (7, "7"), (True, "True"), (1.5, 2)])
def test_executions_are_found_by_their_tags(workflows: Workflows, tag: Any, other: Any) -> None:
    """OBS-06: a number is not its text."""

    @workflow
    def tagged(ctx: Context) -> None: ...

    wanted = tagged.using(tags={"tenant": tag, "region": "eu"}).start()
    tagged.using(tags={"tenant": other}).start()
    tagged.start()
    assert [found.id for found in Execution.objects.with_tag("tenant", tag)] == [wanted.id]


@pytest.mark.parametrize(("policy", "status"), [("cancel", Status.CANCELLED), ("abandon", Status.WAITING)])
def test_children_follow_their_parent_or_not(workflows: Workflows, policy: Any, status: Status) -> None:
    """CAN-09: cancel() asks, result() tells; what becomes of children was said when they were started."""

    @workflow
    def child(ctx: Context) -> None:
        ctx.wait_for_signal("never")

    @workflow
    def parent(ctx: Context) -> None:
        ctx.run(child.using(parent_close=policy))

    execution = parent.start()
    workflows.run_until_idle()
    execution.cancel("enough")
    with pytest.raises(ExecutionCancelled, match="enough"):
        workflows.result(execution)
    assert Execution.objects.for_workflow(child).get().status == status


def test_who_has_been_due_for_longest_is_taken_first(workflows: Workflows) -> None:
    """QUE-01: one after the other. The moments differ; SQLite's clock cannot tell those of one millisecond apart."""

    @workflow
    def orderly(ctx: Context) -> None: ...

    delays = [3, 1, 2, 5, 4]
    started = {delay: orderly.using(delay=delay).start().id for delay in delays}
    workflows.skip("1 minute")
    dialect, one = dialect_of(connection), ClaimLimit((("orderly", 1),), 1)

    def take() -> list[UUID]:
        with connection.cursor() as cursor:
            taken = claim(cursor, dialect, ("default", 0), one, worker=uuid4(), lease=30)
        return [claimed.id for claimed in taken]

    assert [take() for _ in range(6)] == [*([started[delay]] for delay in sorted(delays)), []]
