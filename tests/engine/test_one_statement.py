"""The commit in one statement leaves the same rows behind as the one in stages, and gives the same receipts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from django_workflows.engine.commit import one_statement
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import End, Ending, Write
from django_workflows.engine.history.journal import Entry
from django_workflows.models import Execution, Status
from tests.factories import make_execution

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _on_postgresql(db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("elsewhere all commits are in stages")


SEEN = 3  # messages that the turn had read
TOMORROW = datetime(2099, 1, 2, tzinfo=UTC)
NEXT_WEEK = datetime(2099, 1, 9, tzinfo=UTC)
TIMES = {"wake_at", "completed_at"}  # compared as: not at all, now, or exactly this one

ENDINGS = {
    "none": None,
    "complete": Ending(end=End.COMPLETE, output='"done"'),
    "fail": Ending(end=End.FAIL, error='{"type": "ValueError"}', reason="ValueError", current_step="charge"),
    "wait": Ending(end=End.SUSPEND, current_step="approved"),
    "wait with a deadline": Ending(end=End.SUSPEND, deadline=TOMORROW, current_step="approved"),
}
ROWS: dict[str, dict[str, Any]] = {
    "as it was": {},
    "with a message that nobody has read": {"inbox": SEEN + 1},
    "about to be paused": {"requested": "pause", "reason": "the week-end"},
    "about to be paused, with a message": {"requested": "pause", "inbox": SEEN + 1},
    "about to be cancelled": {"requested": "cancel"},
    "claimed by another": {"claim": 8},
    "paused by force": {"status": Status.PAUSED},
}
"""What has become of the row while its turn went on."""


def row(**values: Any) -> Execution:
    fields: dict[str, Any] = {
        "claim": 7,
        "inbox": SEEN,
        "claimed_by": uuid4(),
        "crashes": 2,
        "reason": "before",
    } | values
    return make_execution(fields.pop("status", Status.RUNNING), **fields)


def write_for(execution: Execution, ending: Ending | None) -> Write:
    entry = Entry(
        id=uuid4(),
        key="1",
        seq=1,
        name="charge",
        kind="step",
        status="succeeded",
        output="1",
        attempts=1,
        created_at=datetime.now(UTC) - timedelta(seconds=2),
        completed_at=datetime.now(UTC) - timedelta(seconds=1),
    )
    return Write(
        execution_id=execution.id,
        claim=7,
        generation=0,
        parent_id=None,
        deadline=NEXT_WEEK,
        had_crashes=False,
        state='{"phase": 2}' if ending else None,
        seen_inbox=SEEN,
        entries={entry.id: entry},
        ending=ending,
    )


def left_by(write: Write) -> tuple[Any, ...]:
    """The receipt, the row and the journal after a commit."""
    receipt = store_all("default", [write])[0]
    after = Execution.objects.get(pk=write.execution_id)
    fields = ("status", "requested", "reason", "output", "error", "state", "current_step", "crashes", "awaiting")
    times = tuple(_rough(getattr(after, name)) for name in sorted(TIMES))
    steps = [(step.key, step.status, step.output) for step in after.steps.all()]
    is_held = after.claimed_by is not None
    return (
        (receipt.verdict, receipt.inbox, receipt.requested),
        *(getattr(after, name) for name in fields),
        times,
        is_held,
        steps,
    )


def _rough(moment: datetime | None) -> datetime | str | None:
    return "now" if moment is not None and abs(moment - datetime.now(UTC)) < timedelta(minutes=1) else moment


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("become", ROWS.values(), ids=ROWS)
def test_one_statement_does_what_the_stages_do(
    monkeypatch: pytest.MonkeyPatch, become: dict[str, Any], ending: Ending | None
) -> None:
    at_once, in_stages = row(**become), row(**become)
    compactly = left_by(write_for(at_once, ending))
    monkeypatch.setattr(one_statement, "applies", lambda dialect, writes: False)
    assert left_by(write_for(in_stages, ending)) == compactly


@pytest.mark.parametrize("become", ROWS.values(), ids=ROWS)
def test_these_commits_are_one_statement(django_assert_num_queries: Any, become: dict[str, Any]) -> None:
    """And a second one where an operator's pause was met, which the history tells."""
    writes = [write_for(row(**become), ending) for ending in ENDINGS.values()]
    with django_assert_num_queries(2 if become.get("requested") == "pause" else 1):
        store_all("default", writes)
