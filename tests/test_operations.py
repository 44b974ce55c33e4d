"""The operator's verbs as code, admin and API call them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import DatabaseError, connection, connections, transaction
from django.dispatch import Signal
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from django_workflows import operations, signals
from django_workflows.engine.database import notify, transactions
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.verbs import apply
from django_workflows.exceptions import ExecutionNotFound, KeyConflict, PayloadError, TransitionError, WorkflowsError
from django_workflows.models import Event, EventType, Execution, Status, StepKind
from django_workflows.models import ports as models_ports
from tests.factories import ERROR, ahead, make_execution, make_step

pytestmark = pytest.mark.django_db

VERBS: dict[str, Callable[..., None]] = {
    "pause": operations.pause,
    "resume": operations.resume,
    "cancel": operations.cancel,
    "retry": operations.retry,
}

# (status, what is requested, verb): the status afterwards, and what is left for a worker to do
APPLIES = {
    ("pending", "", "pause"): ("paused", ""),
    ("pending", "pause", "pause"): ("paused", ""),
    ("waiting", "", "pause"): ("paused", ""),
    ("waiting", "pause", "pause"): ("paused", ""),
    ("running", "", "pause"): ("running", "pause"),
    ("running", "pause", "pause"): ("running", "pause"),
    ("paused", "resume", "pause"): ("paused", ""),
    ("pending", "pause", "resume"): ("pending", ""),
    ("waiting", "pause", "resume"): ("waiting", ""),
    ("running", "pause", "resume"): ("running", ""),
    ("paused", "", "resume"): ("pending", ""),
    ("paused", "resume", "resume"): ("pending", ""),
    **{
        (status, requested, "cancel"): ("cancelled", "")
        for status in ("pending", "waiting", "paused")
        for requested in ("", "pause", "resume", "cancel")
        if (status, requested) not in {("paused", "pause"), ("pending", "resume"), ("waiting", "resume")}
    },
    ("running", "", "cancel"): ("pending", "cancel"),
    ("running", "pause", "cancel"): ("pending", "cancel"),
    ("running", "cancel", "cancel"): ("pending", "cancel"),
    ("failed", "", "retry"): ("pending", ""),
    ("failed", "retry", "retry"): ("pending", ""),
}
# What can be requested in a status, and is carried out by a worker.
REQUESTED = {
    "pending": ["", "pause", "cancel"],
    "running": ["", "pause", "cancel"],
    "waiting": ["", "pause", "cancel"],
    "paused": ["", "resume", "cancel"],
    "failed": ["", "retry"],
}
ALL = [
    (status.value, requested, verb) for status in Status for requested in REQUESTED.get(status, [""]) for verb in VERBS
]


def stored(execution: Execution) -> dict[str, Any]:
    return dict(Execution.objects.filter(pk=execution.pk).values().get())


@pytest.mark.parametrize(("status", "requested", "verb"), sorted(APPLIES))
def test_what_each_verb_makes_of_each_status(status: str, requested: str, verb: str) -> None:
    """PAU-09"""
    execution = make_execution(status, requested=requested)
    assert verb in execution.allowed_verbs
    VERBS[verb](execution, "because", by="ada")
    assert (execution.status, execution.requested) == APPLIES[status, requested, verb]


@pytest.mark.parametrize(("status", "requested", "verb"), [case for case in ALL if case not in APPLIES])
def test_a_verb_that_does_not_apply_says_so_and_changes_nothing(status: str, requested: str, verb: str) -> None:
    """PAU-09, FRK-09: the state machine is closed."""
    execution = make_execution(status, requested=requested)
    before = stored(execution)
    with pytest.raises(TransitionError, match=f"Cannot {verb} an execution that is {status}") as raised:
        VERBS[verb](execution)
    assert raised.value.allowed == sorted(execution.allowed_verbs)
    assert verb not in execution.allowed_verbs
    assert stored(execution) == before
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("status", "requested", "verb"), [case for case in sorted(APPLIES) if case[1] == case[2] != "resume"]
)
def test_who_asks_again_leaves_the_first_reason_and_a_row_in_the_history(
    status: str, requested: str, verb: str
) -> None:
    execution = make_execution(status, requested=requested, reason="ordered twice")

    VERBS[verb](execution, "too late", by="bob")

    assert execution.reason == "ordered twice"
    [event] = Event.objects.filter(execution=execution, type=EventType.OPERATOR)
    assert (event.data["reason"], event.data["by"]) == ("too late", "bob")
    assert "former_reason" not in event.data


def test_a_second_cancel_leaves_the_first_reason() -> None:
    """CAN-04: the worker's late end does too."""
    execution = make_execution("running")
    operations.cancel(execution, "ordered twice", by="ada")
    operations.cancel(execution, "too late", by="bob")

    assert (execution.status, execution.reason) == ("cancelled", "ordered twice")
    reasons = [event.data["reason"] for event in Event.objects.filter(name="cancel").order_by("created_at")]
    assert reasons == ["ordered twice", "too late"]


@pytest.mark.parametrize("status", ["running", "waiting", "pending"])
def test_a_pause_that_is_only_requested_is_taken_back(status: str) -> None:
    execution = make_execution(status, requested="pause", reason="lunch")
    before = stored(execution)

    operations.resume(execution, "eaten", by="ada")

    unchanged = {"status", "claim", "claimed_by", "wake_at", "crashes", "awaiting"}
    assert {name: stored(execution)[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert (execution.requested, execution.reason) == ("", "")
    [event] = Event.objects.filter(name="resume")
    expected = {"by": "ada", "reason": "eaten", "from": status, "to": status, "former_reason": "lunch"}
    assert event.data == expected


def test_many_get_the_reason_that_is_theirs() -> None:
    asked, fresh = make_execution("waiting", requested="cancel", reason="first"), make_execution("waiting")

    operations.bulk([asked, fresh], "cancel", "second")

    assert {reload.reason for reload in Execution.objects.filter(pk=asked.pk)} == {"first"}
    assert {reload.reason for reload in Execution.objects.filter(pk=fresh.pk)} == {"second"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("id", [UUID(int=7), str(UUID(int=7)), "missing", "", None, 7])
def test_an_unknown_execution_is_an_error_at_once(verb: str, id: Any) -> None:
    """EXE-12"""
    with pytest.raises(ExecutionNotFound):
        VERBS[verb](id)


@pytest.mark.parametrize("form", [lambda e: e, lambda e: e.id, lambda e: str(e.id), lambda e: e.id.hex])
def test_an_execution_is_given_as_such_or_by_id(form: Callable[[Execution], Any]) -> None:
    execution = make_execution(Status.WAITING)
    operations.pause(form(execution), "stock")
    assert stored(execution)["reason"] == "stock"


def test_the_instance_shows_what_became_of_it() -> None:
    execution = make_execution(Status.WAITING, wake_at=ahead(hours=1), input={"order_id": 7})
    operations.cancel(execution, "ordered twice")
    assert (execution.status, execution.wake_at, execution.reason) == ("cancelled", None, "ordered twice")
    assert execution.completed_at is not None
    assert {name: getattr(execution, name) for name in stored(execution)} == stored(execution)


def test_executions_have_the_verbs_as_methods() -> None:
    assert models_ports.operations is operations.door
    execution = make_execution(Status.WAITING)
    assert execution.pause("stock", by="ada").resume().cancel("ordered twice").status == "cancelled"


def test_a_user_is_named_in_the_history() -> None:
    user = User.objects.create_user("grace")
    operations.pause(make_execution(), by=user)
    operations.pause(make_execution(), by="cron")
    operations.pause(make_execution())
    assert Counter(event.data["by"] for event in Event.objects.all()) == {"grace": 1, "cron": 1, "": 1}


@pytest.mark.parametrize("reason", ["a\0b", "\ud800", "x" * 2_000_000])
def test_a_reason_that_no_database_can_store_is_refused(reason: str) -> None:
    """SER-08"""
    execution = make_execution()
    with pytest.raises(PayloadError):
        operations.pause(execution, reason)
    assert stored(execution)["status"] == "pending"


def test_a_verb_costs_few_statements(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    execution = make_execution(Status.WAITING)
    with django_assert_max_num_queries(7):
        operations.pause(execution)


# transactions


def test_a_verb_is_part_of_the_caller_s_transaction() -> None:
    """DBF-18"""
    execution = make_execution(Status.WAITING)
    with transaction.atomic():
        operations.cancel(execution)
        transaction.set_rollback(True)
    assert stored(execution)["status"] == "waiting"
    assert not Event.objects.exists()


def test_a_refused_verb_leaves_the_caller_s_transaction_usable() -> None:
    parent = make_execution(Status.FAILED, error=ERROR | {"step": "1"})
    child = make_execution(Status.FAILED, parent=parent, workflow="ship", key="k")
    make_step(parent, "ship", "failed", kind=StepKind.CHILD, child_id=child.id)
    make_execution(workflow="ship", key="k")
    with transaction.atomic():
        with pytest.raises(KeyConflict):
            operations.retry(parent)
        assert stored(parent)["status"] == "failed"
        operations.pause(make_execution(key="another"))
    assert Event.objects.count() == 1


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    queues: list[str] = []
    monkeypatch.setattr(notify, "_in_process", (lambda queue, priority: queues.append(queue),))
    return queues


def test_workers_are_woken_after_the_commit(
    woken: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    execution = make_execution(Status.PAUSED, queue="bulk")
    with django_capture_on_commit_callbacks(execute=True):
        operations.resume(execution)
        assert woken == []
    assert woken == ["bulk"]


@contextmanager
def receiving(signal: Signal) -> Iterator[list[Any]]:
    received: list[Any] = []

    def receiver(sender: Any, execution_id: Any, workflow: str, **kwargs: Any) -> None:
        received.append((sender, execution_id, workflow))

    signal.connect(receiver)
    try:
        yield received
    finally:
        signal.disconnect(receiver)


@pytest.mark.parametrize(
    ("status", "verb", "signal", "count"),
    [
        ("waiting", "cancel", signals.execution_cancelled, 1),
        ("running", "cancel", signals.execution_cancelled, 0),
        ("waiting", "pause", signals.execution_paused, 1),
        ("running", "pause", signals.execution_paused, 0),
    ],
)
def test_django_s_signals_are_sent_after_the_commit(
    status: str,
    verb: str,
    signal: Signal,
    count: int,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """CRS-21: for what has really ended or been parked."""
    execution = make_execution(status)
    with receiving(signal) as received, django_capture_on_commit_callbacks(execute=True):
        VERBS[verb](execution)
        assert received == []
    assert received == [(Execution, execution.id, "fulfil")] * count


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_of_two_at_the_same_instant_one_has_its_way(verb: str) -> None:
    """FRK-10, CAN-06"""
    statuses = {"retry": Status.FAILED, "cancel": Status.WAITING}
    for _ in range(10):
        execution = make_execution(statuses[verb])
        barrier = threading.Barrier(2)
        outcomes: list[str] = []

        def act(execution: Execution = execution, barrier: Any = barrier, outcomes: list[str] = outcomes) -> None:
            connections["default"].ensure_connection()
            barrier.wait(30)
            try:
                VERBS[verb](execution.id)
                outcomes.append("done")
            except TransitionError:
                outcomes.append("refused")
            finally:
                connections.close_all()

        threads = [threading.Thread(target=act) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done", "refused"]
        assert Event.objects.filter(execution=execution, type=EventType.OPERATOR).count() == 1
        assert stored(execution)["claim"] == (2 if verb == "retry" else 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("fault", [AmbiguousCommit, ConnectionLost])
def test_a_lost_answer_is_settled_by_reading_back(
    fault: type[Exception], applied: bool, monkeypatch: pytest.MonkeyPatch, woken: list[str]
) -> None:
    """DBF-04: whether the commit took place or not, the verb is done once."""
    real, calls = transactions.transact, []

    def unlucky(alias: str, work: Callable[[Any], Any]) -> Any:
        calls.append(alias)
        if len(calls) > 1:
            return real(alias, work)
        if applied:
            real(alias, work)
        woken.clear()
        raise fault("the connection is gone")

    monkeypatch.setattr(operations, "transact", unlucky)
    execution = make_execution(Status.PAUSED)
    operations.resume(execution)
    assert execution.status == "pending"
    assert Event.objects.count() == 1
    assert woken == ["default"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_stays_lost_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(alias: str, work: Callable[[Any], Any]) -> Any:
        raise ConnectionLost("the connection is gone") from DatabaseError("the server is down")

    monkeypatch.setattr(operations, "transact", unlucky)
    with pytest.raises(DatabaseError, match="the server is down"):
        operations.pause(make_execution())


def test_eager_carries_out_what_is_left_to_workers(settings: Any) -> None:
    """Children end with their parent though no worker is there."""
    settings.WORKFLOWS = {"EAGER": True}
    root = make_execution(Status.WAITING)
    child = make_execution(Status.WAITING, parent=root)
    grandchild = make_execution(Status.RUNNING, parent=child)
    running = make_execution(Status.RUNNING)
    operations.cancel(root)
    operations.cancel(running)
    assert {stored(one)["status"] for one in (root, child, grandchild, running)} == {"cancelled"}


# many at once


def test_many_are_cancelled_and_no_others() -> None:
    """CAN-13, in batches."""
    chosen = [make_execution(Status.WAITING, workflow="invoice") for _ in range(25)]
    others = [make_execution(Status.WAITING) for _ in range(3)]
    result = operations.bulk(Execution.objects.for_workflow("invoice"), "cancel", "wrong month", by="ada", batch=10)
    assert sorted(result.changed) == sorted(execution.id for execution in chosen)
    assert result.errors == {}
    assert Execution.objects.cancelled().filter(reason="wrong month").count() == 25
    assert {stored(one)["status"] for one in others} == {"waiting"}
    assert Event.objects.filter(name="cancel").count() == 25


def test_ten_thousand_are_cancelled_in_few_statements(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """CAN-13"""
    row = make_execution(Status.WAITING)
    Execution.objects.bulk_create(
        Execution(status="waiting", workflow="invoice", created_at=row.created_at, updated_at=row.created_at)
        for _ in range(1_000)
    )
    with django_assert_max_num_queries(120):
        result = operations.bulk(Execution.objects.for_workflow("invoice"), "cancel")
    assert len(result.changed) == 1_000


def test_errors_are_reported_by_execution_and_keep_nobody_back() -> None:
    """DEL-09's rule for verbs."""
    good, finished, missing = make_execution(Status.FAILED), make_execution(Status.COMPLETED), uuid4()
    held = make_execution(Status.FAILED, key="k")
    make_execution(key="k")
    result = operations.bulk([finished.id, str(good.id), missing, held, good], "retry")
    assert result.changed == [good.id]
    assert {id: type(error) for id, error in result.errors.items()} == {
        finished.id: TransitionError,
        missing: ExecutionNotFound,
        held.id: KeyConflict,
    }
    assert stored(good)["status"] == "pending"
    assert all(isinstance(error, WorkflowsError) for error in result.errors.values())


@pytest.mark.parametrize("batch", [1, 100])
def test_children_that_their_parent_has_retried_count_as_retried(batch: int) -> None:
    parent = make_execution(Status.FAILED, error=ERROR | {"step": "1"})
    child = make_execution(Status.FAILED, parent=parent)
    make_step(parent, "ship", "failed", kind=StepKind.CHILD, child_id=child.id)
    result = operations.bulk([parent, child], "retry", batch=batch)
    assert sorted(result.changed) == sorted([parent.id, child.id])
    assert result.errors == {}
    assert (stored(parent)["claim"], stored(child)["claim"]) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_each_batch_commits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    executions = [make_execution() for _ in range(4)]
    real, calls = apply.apply_to, []

    def fail_at_second(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(apply, "apply_to", fail_at_second)
    with pytest.raises(KeyboardInterrupt):
        operations.bulk(executions, "pause", batch=2)
    assert Execution.objects.paused().count() == 2


# permission


def test_verbs_need_a_permission() -> None:
    permission = Permission.objects.get(codename="control_execution")
    allowed, other = User.objects.create_user("ada"), User.objects.create_user("bob")
    allowed.user_permissions.add(permission)
    execution = make_execution()
    for verb in (*VERBS, "signal"):
        assert operations.may(allowed, verb)
        assert operations.may(allowed, verb, execution)
        assert operations.may(User(is_superuser=True, is_active=True), verb, execution)
        assert not operations.may(other, verb, execution)
        assert not operations.may(AnonymousUser(), verb, execution)
        assert not operations.may(User(is_superuser=True, is_active=False), verb, execution)


def test_a_permission_for_one_execution_is_enough() -> None:
    mine, other = make_execution(), make_execution()

    class Owner(User):
        class Meta:
            proxy = True
            app_label = "auth"

        def has_perm(self, perm: str, obj: Any = None) -> bool:
            return perm == "django_workflows.control_execution" and obj == mine

    user = Owner(username="ada")
    assert operations.may(user, "cancel", mine)
    assert not operations.may(user, "cancel", other)
    assert not operations.may(user, "cancel")


def test_the_database_of_the_engine_is_used() -> None:
    """DBF-08: whatever a router says."""
    assert connection.alias == "default"
    execution = make_execution()
    execution._state.db = "elsewhere"
    operations.pause(execution)
    assert execution._state.db == "default"
