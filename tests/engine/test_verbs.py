"""What the operator's verbs do to rows, and how workers carry out what was requested by SQL."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction

from django_workflows import signals
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.verbs import apply as verbs
from django_workflows.engine.verbs.apply import Change, VerbRequest, carry_out
from django_workflows.exceptions import ExecutionNotFound, KeyConflict, TransitionError
from django_workflows.models import OPEN_STEPS, Event, EventType, Execution, Status, StepKind, StepResult, StepStatus
from tests.factories import ERROR, ago, ahead, make_execution, make_step, make_wait, now

pytestmark = pytest.mark.django_db

only_with_row_locks = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks the whole database")


def apply(execution: Execution, verb: str, reason: str = "", *, by: str = "ada") -> list[Change]:
    dialect = dialect_of(connection)
    changes = transact(
        "default",
        lambda cursor: verbs.apply(cursor, dialect, execution.id, VerbRequest(verb=verb, reason=reason, by=by)),
    )
    execution.refresh_from_db()
    return changes


def request(verb: str, *executions: Execution, **columns: Any) -> None:
    ids = [execution.pk for execution in executions]
    Execution.objects.filter(pk__in=ids).update(requested=verb, **columns)


def work(limit: int = 100) -> list[Change]:
    dialect = dialect_of(connection)
    return transact("default", lambda cursor: carry_out(cursor, dialect, limit))


def work_off() -> list[Change]:
    changes = []
    while done := work():
        changes += done
    return changes


def reload(execution: Execution) -> Execution:
    return Execution.objects.get(pk=execution.pk)


def logged(execution: Execution) -> list[tuple[str, Any]]:
    rows = Event.objects.filter(execution=execution, type=EventType.OPERATOR).order_by("created_at")
    return [(row.name, row.data) for row in rows]


def fail(*, step: str | None = None, **columns: Any) -> Execution:
    error = ERROR if step is None else ERROR | {"step": step}
    return make_execution(Status.FAILED, error=error, **columns)


def live(execution: Execution) -> dict[str, str]:
    """What a replay would load."""
    rows = StepResult.objects.filter(execution=execution, superseded=0).exclude(status=StepStatus.FORGOTTEN)
    return dict(rows.order_by("seq").values_list("key", "status"))


@contextmanager
def locked(execution: Execution) -> Iterator[None]:
    """Another session holds the row."""
    is_locked, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Execution.objects.select_for_update().get(pk=execution.pk)
            is_locked.set()
            may_go.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_locked.wait(30)
    try:
        yield
    finally:
        may_go.set()
        thread.join()


# pause and resume


def test_pausing_parks_what_waits() -> None:
    execution = make_execution(Status.WAITING, wake_at=ahead(hours=1), awaiting=2)
    [change] = apply(execution, "pause", "stock is being counted")

    assert (change.before, change.after) == ("waiting", "paused")
    assert (execution.status, execution.wake_at, execution.awaiting) == ("paused", None, 0)
    assert execution.reason == "stock is being counted"
    assert execution.claim == 1


def test_pausing_asks_the_holder_of_a_running_one() -> None:
    """PAU-01: the step in flight is stored by the worker that has it."""
    execution = make_execution(Status.RUNNING)
    before = reload(execution)
    [change] = apply(execution, "pause", "stock")

    assert (execution.status, execution.requested, execution.reason) == ("running", "pause", "stock")
    assert (execution.claim, execution.claimed_by, execution.wake_at) == (1, before.claimed_by, before.wake_at)
    assert change.after == "running"
    assert work() == [], "the holder parks it"


def test_resuming_wakes_it_and_forgives_its_crashes_but_one() -> None:
    """PAU-04: a sleep that has elapsed meanwhile is over at once, since the replay looks at its deadline."""
    execution = make_execution(Status.PAUSED, crashes=5)
    wait = make_wait(execution, StepKind.SLEEP, deadline=ahead(seconds=2))
    [change] = apply(execution, "resume")

    assert (execution.status, execution.requested, execution.reason, execution.crashes) == ("pending", "", "", 1)
    assert execution in Execution.objects.due()
    assert (change.woken, change.queues) == ((execution.id,), ("default",))
    assert StepResult.objects.get().deadline == wait.deadline


def test_a_delayed_start_keeps_its_moment() -> None:
    """EXE-09: pausing it must not make it start early."""
    moment = ahead(hours=3)
    execution = make_execution(wake_at=moment)
    apply(execution, "pause")
    assert execution.wake_at is None
    apply(execution, "resume")
    assert execution.wake_at == moment


def test_each_verb_leaves_a_row_in_the_history() -> None:
    execution = make_execution(Status.WAITING)
    apply(execution, "pause", "stock")
    apply(execution, "resume", "counted", by="bob")
    apply(execution, "cancel", "ordered twice")
    assert logged(execution) == [
        ("pause", {"by": "ada", "reason": "stock", "from": "waiting", "to": "paused"}),
        ("resume", {"by": "bob", "reason": "counted", "from": "paused", "to": "pending", "former_reason": "stock"}),
        ("cancel", {"by": "ada", "reason": "ordered twice", "from": "pending", "to": "cancelled"}),
    ]


# cancel


@pytest.mark.parametrize("status", [Status.PENDING, Status.WAITING, Status.PAUSED])
def test_cancelling_ends_at_once_what_does_not_run(status: Status) -> None:
    """CAN-01, CAN-02: its timer has no later effect."""
    execution = make_execution(status, wake_at=None if status == Status.PAUSED else ahead(hours=1), current_step="ship")
    step = make_wait(execution, StepKind.SLEEP, deadline=ahead(hours=1))
    done = make_step(execution, "charge")
    [change] = apply(execution, "cancel", "ordered twice")

    assert (execution.status, execution.wake_at, execution.claimed_by) == ("cancelled", None, None)
    assert (execution.reason, execution.current_step) == ("ordered twice", "")
    assert execution.completed_at is not None
    assert change.after == "cancelled"
    step.refresh_from_db()
    assert step.status == StepStatus.SKIPPED
    assert step.completed_at is not None
    assert StepResult.objects.get(pk=done.pk).status == StepStatus.SUCCEEDED


def test_cancelling_takes_a_running_one_away_from_its_worker() -> None:
    """CAN-04: every late result is refused; a worker ends it."""
    execution = make_execution(Status.RUNNING, claim=7)
    make_step(execution, "charge", StepStatus.RUNNING)
    apply(execution, "cancel", "ordered twice")

    assert (execution.status, execution.requested, execution.claim) == ("pending", "cancel", 8)
    assert execution.claimed_by is None
    assert execution in Execution.objects.due()

    [change] = work()
    execution.refresh_from_db()
    assert (change.id, change.after) == (execution.id, "cancelled")
    assert (execution.status, execution.requested, execution.wake_at) == ("cancelled", "", None)
    assert (execution.reason, execution.crashes) == ("ordered twice", 0)
    assert not StepResult.objects.filter(status__in=OPEN_STEPS).exists()
    assert [(name, data["from"], data["to"]) for name, data in logged(execution)] == [
        ("cancel", "running", "pending"),
        ("cancel", "pending", "cancelled"),
    ]


def test_nothing_but_another_cancel_gets_between_a_cancel_and_its_end() -> None:
    """CAN-08: the second one only makes it end now."""
    execution = make_execution(Status.RUNNING)
    apply(execution, "cancel")
    with pytest.raises(TransitionError, match="its cancellation is under way"):
        apply(execution, "pause")
    apply(execution, "cancel")
    assert execution.status == "cancelled"


def test_a_cancelled_child_tells_the_parent_that_waits_for_it() -> None:
    """CHD-09: the parent finds a cancelled child in its journal."""
    parent = make_execution(Status.WAITING, awaiting=1, queue="bulk")
    child = make_execution(Status.WAITING, parent=parent)
    [change] = apply(child, "cancel")

    parent.refresh_from_db()
    assert (parent.awaiting, parent.inbox) == (0, 1)
    assert parent in Execution.objects.due()
    assert change.woken == (parent.id,)
    assert "bulk" in change.queues


def test_a_parent_is_woken_by_the_last_child_it_awaits() -> None:
    parent = make_execution(Status.WAITING, awaiting=3)
    children = [make_execution(Status.WAITING, parent=parent) for _ in range(3)]
    apply(children[0], "cancel")
    assert parent not in Execution.objects.due()
    request("cancel", *children[1:])
    assert len(work()) == 2
    assert parent in Execution.objects.due()


def test_all_descendants_of_a_cancelled_execution_end() -> None:
    """CHD-06: three levels, some sleeping, some mid-step, some not started."""
    root = make_execution(Status.WAITING, awaiting=3)
    sleeping, running, fresh = (make_execution(status, parent=root) for status in ("waiting", "running", "pending"))
    grandchildren = [make_execution(status, parent=running) for status in ("running", "waiting", "paused")]
    finished = make_execution(Status.COMPLETED, parent=root)
    apply(root, "cancel")
    assert Execution.objects.filter(requested="cancel").count() == 3

    changes = work_off()
    assert {change.id for change in changes} == {one.id for one in (sleeping, running, fresh, *grandchildren)}
    assert not Execution.objects.unfinished().exists()
    assert not Execution.objects.exclude(requested="").exists()
    assert reload(finished).status == "completed"
    assert reload(sleeping).reason == "Its parent was cancelled."
    assert reload(running).claim == 2


def test_abandoned_children_go_on() -> None:
    root = make_execution(Status.WAITING)
    child = make_execution(Status.WAITING, parent=root, parent_close="abandon")
    apply(root, "cancel")
    assert work() == []
    assert reload(child).status == "waiting"


def test_many_children_are_asked_in_one_statement() -> None:
    root = make_execution(Status.WAITING)
    Execution.objects.bulk_create(
        Execution(
            workflow="invoice", parent=root, created_at=root.created_at, updated_at=root.created_at, wake_at=now()
        )
        for _ in range(250)
    )
    apply(root, "cancel")
    assert [len(work()), len(work()), len(work()), len(work())] == [100, 100, 50, 0]
    assert Execution.objects.cancelled().count() == 251


# what verbs do not apply to


def test_an_unknown_execution_is_not_found() -> None:
    """EXE-12"""
    dialect = dialect_of(connection)
    with pytest.raises(ExecutionNotFound):
        transact("default", lambda cursor: verbs.apply(cursor, dialect, uuid4(), VerbRequest(verb="cancel")))


# retry


def test_a_retry_goes_on_from_the_failed_step() -> None:
    """FRK-01: steps 1 and 2 are kept, 3 is done again."""
    execution = fail(step="3", claim=4, crashes=1, current_step="charge", reason="declined")
    for name in ("reserve", "price"):
        make_step(execution, name)
    failed = make_step(execution, "charge", StepStatus.FAILED)
    make_step(execution, "apologise")
    [change] = apply(execution, "retry", "card renewed")

    assert (execution.status, execution.claim, execution.crashes) == ("pending", 5, 0)
    assert (execution.error, execution.output, execution.completed_at) == (None, None, None)
    assert (execution.reason, execution.current_step) == ("card renewed", "")
    assert execution in Execution.objects.due()
    assert live(execution) == {"1": "succeeded", "2": "succeeded"}
    failed.refresh_from_db()
    assert (failed.status, failed.superseded, failed.error) == ("superseded", 5, ERROR)
    assert (change.before, change.after, change.woken) == ("failed", "pending", (execution.id,))


def test_a_second_failure_is_superseded_beside_the_first() -> None:
    execution = fail(step="1")
    make_step(execution, "charge", StepStatus.FAILED)
    apply(execution, "retry")
    Execution.objects.update(status="failed", completed_at=now(), wake_at=None, error=ERROR | {"step": "1"})
    make_step(execution, "charge", StepStatus.FAILED, key="1", seq=1, claim=3)
    apply(execution, "retry")
    assert sorted(StepResult.objects.values_list("superseded", flat=True)) == [2, 3]


def test_when_the_workflow_s_own_code_failed_every_result_is_kept() -> None:
    execution = fail()
    make_step(execution)
    make_wait(execution, StepKind.SLEEP, deadline=ahead(hours=1))
    apply(execution, "retry")
    assert live(execution) == {"1": "succeeded", "2": "scheduled"}


def test_branches_that_succeeded_are_kept_and_those_that_failed_are_done_again() -> None:
    execution = fail(step="1.0.2")
    for seq, (key, status) in enumerate(
        {
            "1.0.1": "succeeded",
            "1.1.1": "failed",  # its branch went on
            "1.1.2": "succeeded",
            "1.2.1": "succeeded",
            "1.2.2": "failed",  # the end of its branch
            "1.0.2": "failed",
            "2": "succeeded",
        }.items()
    ):
        make_step(execution, key=key, seq=seq, status=status)
    apply(execution, "retry")
    assert live(execution) == {"1.0.1": "succeeded", "1.1.1": "failed", "1.1.2": "succeeded", "1.2.1": "succeeded"}


def test_a_loop_that_starts_over_loses_its_forgotten_iterations_too() -> None:
    """Their keys are to be used again."""
    execution = fail(step="1")
    make_step(execution, "charge", StepStatus.FAILED, seq=1)
    make_step(execution, "", "running", kind=StepKind.LOOP, key="2", seq=2)
    for key in ("2#1.1", "2#1.2", "2#2.1"):
        make_step(execution, key=key, status=StepStatus.FORGOTTEN)
    other = make_step(execution, key="1#1.1", status=StepStatus.FORGOTTEN)
    apply(execution, "retry")
    assert live(execution) == {}
    assert list(StepResult.objects.filter(superseded=0)) == [other]


def test_a_failure_in_an_iteration_keeps_the_loop() -> None:
    execution = fail(step="1#17.2")
    make_step(execution, "", "running", kind=StepKind.LOOP, key="1", seq=1, attempts=17)
    make_step(execution, key="1#16.1", seq=2, status=StepStatus.FORGOTTEN)
    make_step(execution, key="1#17.1", seq=3)
    make_step(execution, key="1#17.2", seq=4, status=StepStatus.FAILED)
    apply(execution, "retry")
    assert live(execution) == {"1": "running", "1#17.1": "succeeded"}
    assert StepResult.objects.filter(status=StepStatus.FORGOTTEN).count() == 1


def make_family(*statuses: str, map_key: str = "1") -> tuple[Execution, list[Execution]]:
    """A parent that failed of the first of its children that failed, and the children of one map."""
    first = next(index for index, status in enumerate(statuses) if status != "completed")
    parent = fail(step=f"{map_key}.{first}")
    children = []
    for index, status in enumerate(statuses):
        child = make_execution(status, parent=parent, workflow="invoice")
        outcome = StepStatus.SUCCEEDED if status == "completed" else StepStatus.FAILED
        make_step(
            parent, "invoice", outcome, kind=StepKind.CHILD, key=f"{map_key}.{index}", seq=index + 1, child_id=child.id
        )
        children.append(child)
    return parent, children


def test_failed_children_are_retried_and_awaited_again() -> None:
    """CHD-12: the parent waits for the same children; those that completed are not started again."""
    parent, (done, failed, also_failed) = make_family("completed", "failed", "failed")
    make_step(failed, "charge", StepStatus.FAILED)
    Execution.objects.filter(pk=failed.pk).update(error=ERROR | {"step": "1"})
    changes = apply(parent, "retry", "provider is back")

    assert changes[0].id == parent.id
    assert {change.id for change in changes} == {parent.id, failed.id, also_failed.id}
    assert {reload(child).status for child in (failed, also_failed)} == {"pending"}
    assert live(parent) == {"1.0": "succeeded", "1.1": "scheduled", "1.2": "scheduled"}
    assert live(failed) == {}
    again = StepResult.objects.get(execution=parent, key="1.1", superseded=0)
    assert (again.child_id, again.error, again.completed_at) == (failed.id, None, None)
    assert again.name == "invoice"
    assert logged(failed)[0][1]["reason"] == "provider is back"
    assert reload(done).status == "completed"


def test_children_of_children_are_retried_too() -> None:
    grandchild = fail()
    child = fail(step="1")
    make_step(child, kind=StepKind.CHILD, status=StepStatus.FAILED, child_id=grandchild.id)
    parent = fail(step="1")
    make_step(parent, kind=StepKind.CHILD, status=StepStatus.FAILED, child_id=child.id)
    apply(parent, "retry")
    assert {reload(one).status for one in (parent, child, grandchild)} == {"pending"}


def test_in_place_of_a_cancelled_child_a_new_one_is_started() -> None:
    parent, _ = make_family("cancelled")
    apply(parent, "retry")
    assert live(parent) == {}


def test_a_child_that_was_retried_by_itself_is_awaited() -> None:
    parent, [child] = make_family("failed")
    apply(child, "retry")
    assert [change.id for change in apply(parent, "retry")] == [parent.id]
    assert live(parent) == {"1.0": "scheduled"}
    assert reload(child).claim == 2


def test_a_deadline_that_has_passed_counts_anew() -> None:
    created = ago(hours=2)
    execution = fail(created_at=created, deadline=created + timedelta(hours=1))
    before = now()
    apply(execution, "retry")
    assert execution.deadline is not None
    assert before + timedelta(hours=1) <= execution.deadline <= now() + timedelta(hours=1)


def test_a_deadline_to_come_stays() -> None:
    deadline = ahead(hours=1)
    execution = fail(deadline=deadline)
    apply(execution, "retry")
    assert execution.deadline == deadline


def test_a_key_that_another_holds_now_refuses_the_retry() -> None:
    execution = fail(key="order-42")
    holder = make_execution(Status.WAITING, key="order-42")
    with pytest.raises(KeyConflict) as raised:
        apply(execution, "retry")
    assert raised.value.execution_id == holder.id
    assert reload(execution).status == "failed"
    assert not Event.objects.exists()


def test_a_key_that_is_free_is_taken_again() -> None:
    execution = fail(key="order-42")
    make_execution(Status.COMPLETED, key="order-42")
    make_execution(Status.WAITING, key="order-42", key_released=True)
    make_execution(Status.WAITING, key="order-42", workflow="ship")
    apply(execution, "retry")
    assert execution.status == "pending"


def test_a_child_whose_key_is_held_refuses_the_whole_retry() -> None:
    parent, [child] = make_family("failed")
    Execution.objects.filter(pk=child.pk).update(key="k")
    holder = make_execution(Status.WAITING, workflow="invoice", key="k")
    with pytest.raises(KeyConflict, match=str(holder.id)):
        apply(parent, "retry")
    assert reload(parent).status == "failed"
    assert live(parent) == {"1.0": "failed"}


def test_what_was_rolled_back_cannot_be_retried() -> None:
    execution = make_execution(Status.FAILED, error=ERROR | {"rolled_back": True})
    with pytest.raises(TransitionError, match="was rolled back"):
        apply(execution, "retry")
    assert reload(execution).status == "failed"


@pytest.mark.parametrize("error", [None, "{no json", '"text"', '{"step": 7}', '{"step": "9"}'])
def test_an_error_that_names_no_step_supersedes_nothing(error: str | None) -> None:
    """SER-10: not even one that cannot be read."""
    execution = make_execution(Status.FAILED)
    make_step(execution)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_workflows_execution SET error = %s", [error])
    apply(execution, "retry")
    assert execution.status == "pending"
    assert live(execution) == {"1": "succeeded"}


# what was requested by SQL


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("pause", "pending", "paused"),
        ("pause", "waiting", "paused"),
        ("resume", "paused", "pending"),
        ("cancel", "pending", "cancelled"),
        ("cancel", "running", "cancelled"),
        ("cancel", "waiting", "cancelled"),
        ("cancel", "paused", "cancelled"),
        ("retry", "failed", "pending"),
    ],
)
def test_a_requested_verb_is_carried_out(verb: str, before: str, after: str) -> None:
    execution = make_execution(before)
    request(verb, execution, reason="typed")
    [change] = work()

    assert (change.id, change.verb, change.before, change.after) == (execution.id, verb, before, after)
    execution.refresh_from_db()
    assert (execution.status, execution.requested) == (after, "")
    assert execution.claim == {"running": 2, "failed": 2}.get(before, execution.claim)
    [(name, data)] = logged(execution)
    told = {"by": "", "reason": "typed", "from": before, "to": after} | ({"claim": 2} if verb == "retry" else {})
    assert (name, data) == (verb, told)
    assert execution.reason == ("" if verb == "resume" else "typed")
    assert work() == []


@pytest.mark.parametrize(
    ("verb", "status"),
    [("resume", "running"), ("retry", "waiting"), ("cancel", "completed"), ("pause", "paused"), ("kill", "pending")],
)
def test_a_request_that_does_not_apply_is_cleared_and_explained(
    verb: str, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    execution = make_execution(status)
    request(verb, execution)
    assert work() == []

    after = reload(execution)
    assert (after.status, after.requested, after.claim) == (status, "", execution.claim)
    event = Event.objects.get(execution=execution)
    assert (event.type, event.name) == (EventType.ERROR, verb)
    assert f"Cannot {verb} an execution that is {status}" in event.data["error"]["message"]
    assert f"Cannot {verb}" in caplog.text


def test_a_retry_that_was_refused_is_explained() -> None:
    execution = fail(key="k")
    holder = make_execution(Status.WAITING, key="k")
    request("retry", execution)
    assert work() == []
    assert reload(execution).requested == ""
    assert str(holder.id) in Event.objects.get().data["error"]["message"]


def test_a_pause_whose_holder_has_died_is_carried_out() -> None:
    execution = make_execution(Status.RUNNING, wake_at=ago(seconds=1), requested="pause")
    [change] = work()
    execution.refresh_from_db()
    assert (change.before, change.after) == ("running", "paused")
    assert (execution.status, execution.claim, execution.claimed_by) == ("paused", 2, None)


def test_parent_and_child_that_were_both_requested_are_done_once() -> None:
    parent, [child] = make_family("failed")
    request("retry", parent, child)
    work_off()
    assert (reload(parent).claim, reload(child).claim) == (2, 2)
    assert {reload(parent).status, reload(child).status} == {"pending"}
    assert not Event.objects.filter(type=EventType.ERROR).exists()


def test_a_child_whose_parent_is_gone_is_cancelled_all_the_same() -> None:
    child = make_execution(Status.WAITING, parent_id=uuid4())
    request("cancel", child)
    assert len(work()) == 1


def test_rounds_are_bounded() -> None:
    request("pause", *(make_execution() for _ in range(5)))
    assert [len(work(2)), len(work(2)), len(work(2)), len(work(2))] == [2, 2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_receivers_in_a_thread_of_their_own() -> None:
    """CRS-21: after the commit, once, and the pump does not wait for them."""
    told: queue.Queue[tuple[Any, str, bool]] = queue.Queue()
    mine = threading.get_ident()

    def receiver(sender: Any, execution_id: Any, workflow: str, **kwargs: Any) -> None:
        ended = Execution.objects.get(pk=execution_id).is_finished
        told.put((execution_id, workflow, ended and threading.get_ident() != mine))

    execution = make_execution(Status.WAITING)
    request("cancel", execution)
    signals.execution_cancelled.connect(receiver)
    try:
        verbs.announce("default", work(), apart=True)
        assert told.get(timeout=20) == (execution.id, "fulfil", True)
    finally:
        signals.execution_cancelled.disconnect(receiver)
    assert told.empty()


@only_with_row_locks
@pytest.mark.django_db(transaction=True)
class TestLockedRows:
    """A worker never waits for somebody's long transaction; what is locked waits for the next round."""

    def test_a_locked_row_does_not_hold_up_the_others(self) -> None:
        busy, free = make_execution(), make_execution()
        request("pause", busy, free)
        with locked(busy):
            assert [change.id for change in work()] == [free.id]
        assert [change.id for change in work()] == [busy.id]

    def test_a_row_waits_for_its_locked_parent(self) -> None:
        parent = make_execution(Status.WAITING, awaiting=1)
        child, other = make_execution(Status.WAITING, parent=parent), make_execution(Status.WAITING)
        request("cancel", child, other)
        with locked(parent):
            assert [change.id for change in work()] == [other.id]
        assert [change.id for change in work()] == [child.id]
        assert parent in Execution.objects.due()

    def test_a_cancel_waits_until_all_children_know(self) -> None:
        """CHD-06: none may be left alone because it was busy at the wrong moment."""
        root = make_execution(Status.WAITING)
        busy, free = make_execution(Status.WAITING, parent=root), make_execution(Status.WAITING, parent=root)
        request("cancel", root)
        with locked(busy):
            assert work() == []
            assert [change.id for change in work()] == [free.id]
            assert reload(root).status == "waiting"
            assert reload(root).requested == "cancel"
        work_off()
        assert not Execution.objects.unfinished().exists()

    def test_a_retry_waits_for_its_locked_child(self) -> None:
        parent, [child] = make_family("failed")
        request("retry", parent)
        with locked(child):
            assert work() == []
            assert (reload(parent).status, reload(parent).requested) == ("failed", "retry")
        work()
        assert {reload(parent).status, reload(child).status} == {"pending"}

    def test_a_retry_does_not_wait_for_a_start_with_its_key(self) -> None:
        execution = fail(key="order-42")
        request("retry", execution)
        started, may_go = threading.Event(), threading.Event()

        def start() -> None:
            with transaction.atomic():
                make_execution(key="order-42")
                started.set()
                may_go.wait(30)
            connections.close_all()

        thread = threading.Thread(target=start)
        thread.start()
        assert started.wait(30)
        assert work() == []
        assert reload(execution).requested == "retry"
        may_go.set()
        thread.join()
        assert work() == []
        assert reload(execution).requested == "", "refused, since the key is taken now"
