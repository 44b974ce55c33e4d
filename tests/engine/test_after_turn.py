"""What becomes of an execution at the end of a turn is decided once: both ways to commit do what `after_turn` says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import connection

from django_workflows.engine.commit import one_statement
from django_workflows.engine.commit.after_turn import Met, after_turn, forecast
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import End, Ending, Receipt, Verdict, Write
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.models import FINISHED, Execution, Requested, Status
from tests.factories import make_execution

SEEN = 3  # messages that the turn had read
TOMORROW, NEXT_WEEK = datetime(2099, 1, 2, tzinfo=UTC), datetime(2099, 1, 9, tzinfo=UTC)
REQUESTED = [value for value in Requested.values if value != Requested.RETRY]  # nobody asks that of an unfinished one


class Case(NamedTuple):
    """One combination: how the turn ends, and what its commit meets."""

    ending: Ending
    status: Status
    requested: str
    inbox: int
    finished: int  # of the awaited children


def endings() -> Iterator[tuple[Ending, int]]:
    """Each end of a turn with what may go with it, and how many awaited children have finished."""
    for end, (reason, deadline) in product(End, (("", None), ("because", TOMORROW))):
        yield Ending(end=end, reason=reason, deadline=deadline, current_step="charge"), 0
    for needed, finished, only in product((1, 2), (0, 1, 2), (True, False)):
        yield Ending(end=End.SUSPEND, children=(uuid4(), uuid4()), needed=needed, only_children=only), finished


CASES = [
    Case(ending, status, requested, inbox, finished)
    for (ending, finished), status, requested, inbox in product(endings(), Status, REQUESTED, (SEEN, SEEN + 1))
]


def row_for(case: Case) -> Execution:
    values: dict[str, Any] = {"requested": case.requested, "inbox": case.inbox, "claim": 7, "reason": "before"}
    if case.status == Status.RUNNING:
        values["claimed_by"] = uuid4()
    execution = make_execution(case.status, **values)
    for _ in range(case.finished):
        make_execution(Status.COMPLETED, parent_id=execution.id)
    return execution


def write_for(execution: Execution, ending: Ending) -> Write:
    finished = tuple(Execution.objects.filter(parent_id=execution.id).values_list("id", flat=True))
    children = (*finished, *ending.children)[: len(ending.children)]
    return Write(
        execution_id=execution.id,
        claim=7,
        generation=0,
        parent_id=None,
        deadline=NEXT_WEEK,
        seen_inbox=SEEN,
        had_crashes=False,
        ending=Ending(
            end=ending.end,
            reason=ending.reason,
            deadline=ending.deadline,
            children=children,
            needed=ending.needed,
            only_children=ending.only_children,
            current_step=ending.current_step,
        ),
    )


def columns_of(execution: Execution) -> tuple[Any, ...]:
    return (
        execution.status,
        _roughly(execution.wake_at),
        execution.awaiting,
        execution.requested,
        execution.reason,
        execution.completed_at is not None,
    )


def expected(write: Write, case: Case) -> tuple[Any, ...]:
    assert write.ending is not None
    now = datetime.now(UTC)
    met = Met(inbox=case.inbox, requested=case.requested, finished=case.finished)
    after = after_turn(write, write.ending, met, now)
    reason = "before" if after.reason is None else after.reason
    finished = after.status in FINISHED
    return (after.status, _roughly(after.wake_at), after.awaiting, after.requested, reason, finished)


def _roughly(moment: datetime | None) -> datetime | str | None:
    return "now" if moment is not None and abs(moment - datetime.now(UTC)) < timedelta(minutes=5) else moment


def is_fenced(case: Case) -> bool:
    return case.status != Status.RUNNING or case.requested == Requested.CANCEL


def check(cases: list[Case], pairs: list[tuple[Execution, Write]], before: dict[UUID, tuple[Any, ...]]) -> None:
    receipts = store_all("default", [write for _, write in pairs])
    after = Execution.objects.in_bulk([execution.id for execution, _ in pairs])
    for case, (execution, write), receipt in zip(cases, pairs, receipts, strict=True):
        found = columns_of(after[execution.id])
        if receipt.verdict is Verdict.FENCED:
            assert is_fenced(case), case
            assert found == before[execution.id], case
        elif receipt.before:  # taken for the answer to a commit that was lost
            assert found == before[execution.id], case
        else:
            assert receipt.verdict is Verdict.STORED
            assert not is_fenced(case), case
            assert found == expected(write, case), case
            if not case.finished:  # no child has finished since the turn looked: what a pump expects is what comes
                assert _roughly(forecast(write, receipt, datetime.now(UTC))) == found[1], case


def prepared(cases: list[Case]) -> tuple[list[tuple[Execution, Write]], dict[UUID, tuple[Any, ...]]]:
    pairs = [(row := row_for(case), write_for(row, case.ending)) for case in cases]
    rows = Execution.objects.in_bulk([execution.id for execution, _ in pairs])
    return pairs, {id: columns_of(row) for id, row in rows.items()}


@pytest.mark.django_db
@pytest.mark.parametrize("end", End)
def test_the_transaction_stores_what_was_decided(monkeypatch: pytest.MonkeyPatch, end: End) -> None:
    monkeypatch.setattr(one_statement, "applies", lambda dialect, writes: False)
    cases = [case for case in CASES if case.ending.end is end]
    pairs, before = prepared(cases)
    check(cases, pairs, before)


@pytest.mark.django_db
def test_the_one_statement_stores_what_was_decided() -> None:
    dialect = dialect_of(connection)
    if dialect.vendor != "postgresql":
        pytest.skip("elsewhere all commits are transactions")
    cases = [case for case in CASES if case.ending.end in one_statement.ENDS and not case.ending.children]
    pairs, before = prepared(cases)
    assert one_statement.applies(dialect, [write for _, write in pairs])
    check(cases, pairs, before)


def test_a_turn_without_an_ending_makes_nothing_due() -> None:
    write = Write(
        execution_id=uuid4(),
        claim=1,
        generation=0,
        parent_id=None,
        deadline=None,
        seen_inbox=0,
        had_crashes=False,
    )
    assert forecast(write, Receipt(verdict=Verdict.STORED, inbox=5), datetime.now(UTC)) is None
