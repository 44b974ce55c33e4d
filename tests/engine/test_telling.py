"""What an execution's row keeps for a while only is told in its history: by workers, keepers and operators."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from django_workflows.clock import database_now
from django_workflows.engine.claims.claims import release_all
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import End, Ending, Write
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.inspection import timeline
from django_workflows.inspection.feed import feed
from django_workflows.inspection.spans import spans
from django_workflows.models import Event, EventType, Execution, Requested, Status
from tests.factories import ERROR, make_execution, make_log, make_step, make_worker

pytestmark = pytest.mark.django_db


def suspended(execution: Execution, ending: Ending) -> Write:
    """The last write of a turn of this running execution."""
    return Write(
        execution_id=execution.id,
        claim=execution.claim,
        generation=0,
        parent_id=None,
        deadline=None,
        seen_inbox=0,
        had_crashes=False,
        ending=ending,
    )


def test_the_death_of_a_worker_is_told_with_its_name_by_each_execution_that_it_held() -> None:
    worker = make_worker(name="web-7:12")
    held = [make_execution(Status.RUNNING, claimed_by=worker.id) for _ in range(2)]
    free = make_execution(Status.RUNNING)

    transact("default", lambda cursor: release_all(cursor, dialect_of(connection), [worker.id], crashed=True))

    for execution in held:
        [item] = [item for item in timeline(execution) if item.name == "lost"]
        assert item.title == "Its worker died with it"
        assert item.data == {"worker": "web-7:12", "crashes": 1}
    assert not Event.objects.filter(execution=free).exists()


def test_a_worker_that_ends_in_order_is_no_death() -> None:
    worker = uuid4()
    execution = make_execution(Status.RUNNING, claimed_by=worker)

    transact("default", lambda cursor: release_all(cursor, dialect_of(connection), [worker], crashed=False))

    assert not Event.objects.filter(execution=execution).exists()


@pytest.mark.parametrize("ending", [Ending(end=End.SUSPEND), Ending(end=End.PAUSE, reason="Quarantined")])
def test_a_pause_that_a_turn_meets_is_told_whoever_asked_for_it(ending: Ending) -> None:
    """By SQL too: nobody has written a row for the request."""
    asked = Requested.PAUSE if ending.end is End.SUSPEND else Requested.NOTHING
    execution = make_execution(Status.RUNNING, requested=asked)

    store_all("default", [suspended(execution, ending)])

    execution.refresh_from_db()
    assert execution.status == Status.PAUSED
    [item] = [item for item in timeline(execution) if item.name == "paused"]
    assert item.data == ({"reason": "Quarantined"} if ending.reason else {})


def test_the_feed_tells_an_end_once_whether_it_reads_it_before_or_after_the_retry() -> None:
    execution = make_execution(Status.FAILED, reason="declined")
    before = feed()
    [end] = [item for item in before.items if item.name == "failed"]

    execution.retry()

    assert [item.name for item in feed(before.cursor).items] == ["retry"]
    [again] = [item for item in feed().items if item.name == "failed"]
    assert again.id == end.id


def test_the_feed_tells_a_second_failure_as_another_one() -> None:
    execution = make_execution(Status.FAILED)
    first = feed()
    execution.retry()
    Execution.objects.filter(pk=execution.pk).update(
        status=Status.FAILED, completed_at=database_now(), error=ERROR, wake_at=None
    )

    assert "failed" in [item.name for item in feed(first.cursor).items]
    ends = [item.id for item in feed().items if item.name == "failed"]
    assert len(set(ends)) == 2


def test_a_failure_whose_error_cannot_be_read_is_kept_as_it_is() -> None:
    execution = make_execution(Status.FAILED)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_workflows_execution SET error = 'no JSON'")

    execution.retry()

    [end] = [item for item in timeline(execution) if item.name == "failed"]
    assert end.data["error"] == "no JSON"


def test_each_attempt_is_a_bar_in_the_drawing_of_its_step() -> None:
    execution = make_execution(Status.RUNNING)
    at = execution.created_at
    row = make_step(execution, "charge", attempts=3, started_at=at + timedelta(seconds=5), worker="web-1:3")
    for number, lost in ((1, False), (2, True)):
        begun = at + timedelta(seconds=number)
        data = {"row": str(row.id), "step": row.key, "attempt": number, "started_at": begun.isoformat()}
        data |= {"lost": True} if lost else {"error": ERROR}
        make_log(execution, EventType.ERROR, "charge", data, created_at=begun + timedelta(milliseconds=500))

    bars = [span for span in spans(execution)[0] if span.kind == "attempt"]

    assert [(span.attempts, span.status, span.parent) for span in bars] == [
        (1, "failed", str(row.id)),
        (2, "lost", str(row.id)),
        (3, "succeeded", str(row.id)),
    ]
    assert [span.start - at for span in bars] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=5)]
