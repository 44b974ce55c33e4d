"""What two sessions may do to one execution at the same time, and what must have come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import F

from django_workflows import TransitionError, client, clock, operations
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.engine.claims.claims import release_all
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.events import dispatch as dispatching
from django_workflows.engine.inline.driver import InlineDriver
from django_workflows.models import FINISHED, Execution, Signal, Status
from django_workflows.testing import Workflows
from tests.factories import now
from tests.proof import workflows
from tests.proof.interleaving import Session, Work

Sessions = Mapping[str, Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter:
    """What the sessions do, and what is looked at when both have ended and all that was due has been done."""

    a: Work
    b: Work
    check: Callable[[Sessions], None]


ENCOUNTERS: dict[str, Callable[[], Encounter]] = {}


def encounter(prepare: Callable[[], Encounter]) -> Callable[[], Encounter]:
    """Register a duel under its name in words."""
    ENCOUNTERS[prepare.__name__.replace("_", " ")] = prepare
    return prepare


# what sessions do


def turn(id: UUID) -> Work:
    """Claim the execution, and go on until it ends or parks."""
    return lambda: InlineDriver().turn(id)


def started(workflow: WorkflowDefinition[..., Any], *args: Any) -> UUID:
    return workflow.start(*args).id


def parked(workflow: WorkflowDefinition[..., Any], *args: Any) -> UUID:
    """An execution that waits, and that somebody has woken in vain."""
    id = started(workflow, *args)
    InlineDriver().turn(id)
    assert status(id) == Status.WAITING
    Execution.objects.filter(pk=id).update(wake_at=now())
    return id


def settle() -> None:
    """Do all that is due, and no more; then undo what was skipped of time."""
    with Workflows() as harness:
        harness.run_until_idle()


def status(id: UUID) -> str:
    return Execution.objects.get(pk=id).status


def refused(session: Session) -> bool:
    """Whether a verb or a signal came too late; any other error is one."""
    if session.error is not None and not isinstance(session.error, TransitionError):
        raise session.error
    return session.error is not None


def ends_with(id: UUID, output: Any) -> Callable[[Sessions], None]:
    """Both succeed, and the execution completes."""

    def check(sessions: Sessions) -> None:
        assert not any(refused(session) for session in sessions.values())
        execution = Execution.objects.get(pk=id)
        assert (execution.status, execution.output) == (Status.COMPLETED, output)

    return check


# somebody sends while the receiver parks


@encounter
def a_receiver_parks_while_a_signal_is_sent() -> Encounter:
    id = started(workflows.proof_receiver)
    return Encounter(a=turn(id), b=lambda: client.signal(id, "go", "hello"), check=ends_with(id, "hello"))


@encounter
def a_receiver_looks_again_while_a_signal_is_sent() -> Encounter:
    id = parked(workflows.proof_receiver)
    return Encounter(a=turn(id), b=lambda: client.signal(id, "go", "hello"), check=ends_with(id, "hello"))


@encounter
def a_receiver_parks_while_it_starts_over_and_a_signal_is_sent() -> Encounter:
    id = started(workflows.proof_renewing)
    return Encounter(a=turn(id), b=lambda: client.signal(id, "go", "hello"), check=ends_with(id, "hello"))


@encounter
def two_signals_are_sent_to_a_waiting_receiver() -> Encounter:
    """EVT-09: each gets a number, the first of them is received."""
    id = parked(workflows.proof_receiver)

    def check(sessions: Sessions) -> None:
        first = Signal.objects.filter(execution_id=id).order_by("number")
        assert [signal.number for signal in first] == [1, 2]
        ends_with(id, first[0].data)(sessions)

    return Encounter(a=lambda: client.signal(id, "go", "a"), b=lambda: client.signal(id, "go", "b"), check=check)


_numbers = count()  # an event is for one duel


def publish(number: int) -> None:
    client.send_event("proof.happened", {"number": number, "word": "hello"})


def dispatch() -> Any:
    return dispatching.dispatch("default")


@encounter
def a_subscriber_parks_while_an_event_is_published() -> Encounter:
    """EVT-02: it looks back, so it must not be missed."""
    number = next(_numbers)
    id = started(workflows.proof_subscriber, number)

    def publish_and_dispatch() -> None:
        publish(number)
        dispatch()

    return Encounter(a=turn(id), b=publish_and_dispatch, check=ends_with(id, "hello"))


@encounter
def two_workers_dispatch_one_event() -> Encounter:
    """EVT-13."""
    number = next(_numbers)
    id = parked(workflows.proof_subscriber, number)
    publish(number)

    def check(sessions: Sessions) -> None:
        assert Signal.objects.filter(execution_id=id).count() == 1
        ends_with(id, "hello")(sessions)

    return Encounter(a=dispatch, b=dispatch, check=check)


# the deadline of a wait


@encounter
def a_wait_times_out_while_a_signal_is_sent_in_time() -> Encounter:
    """EVT-06: there is one winner; the message is either received or left unread."""
    id = parked(workflows.proof_receiver, 3600.0)
    in_time = now()

    def time_out() -> None:
        clock.skip(timedelta(hours=2))
        Execution.objects.filter(pk=id).update(wake_at=now())
        InlineDriver().turn(id)

    def send() -> None:
        with transaction.atomic():
            Execution.objects.filter(pk=id).update(inbox=F("inbox") + 1)
            Execution.objects.filter(pk=id, status=Status.WAITING).update(wake_at=now())
            Signal.objects.create(execution_id=id, number=1, name="go", data="hello", created_at=in_time)

    def check(sessions: Sessions) -> None:
        assert not any(refused(session) for session in sessions.values())
        execution, signal = Execution.objects.get(pk=id), Signal.objects.get(execution_id=id)
        assert execution.status == Status.COMPLETED
        assert execution.output == ("timeout" if signal.consumed_at is None else "hello")

    return Encounter(a=time_out, b=send, check=check)


# children


def woken_parent(count: int) -> tuple[UUID, list[UUID]]:
    """A parent that waits for children which have not begun, and that somebody has woken in vain."""
    id = parked(workflows.proof_parent, count)
    return id, list(Execution.objects.filter(parent=id).values_list("pk", flat=True))


@encounter
def a_parent_parks_while_its_child_finishes() -> Encounter:
    """CHD-13."""
    id, (child,) = woken_parent(1)
    return Encounter(a=turn(id), b=turn(child), check=ends_with(id, [0]))


@encounter
def two_children_finish() -> Encounter:
    """CHD-04: the last one wakes the parent."""
    id, (first, second) = woken_parent(2)
    InlineDriver().turn(id)
    return Encounter(a=turn(first), b=turn(second), check=ends_with(id, [0, 1]))


@encounter
def a_child_finishes_while_its_parent_is_cancelled() -> Encounter:
    """CHD-06."""
    id, (child,) = woken_parent(1)

    def check(sessions: Sessions) -> None:
        assert not refused(sessions["B"])
        assert status(id) == Status.CANCELLED
        assert status(child) in FINISHED

    return Encounter(a=turn(child), b=lambda: operations.cancel(id), check=check)


@encounter
def a_child_finishes_while_its_parent_is_paused() -> Encounter:
    id, (child,) = woken_parent(1)

    def check(sessions: Sessions) -> None:
        assert not refused(sessions["B"])
        assert (status(id), status(child)) == (Status.PAUSED, Status.COMPLETED)
        go_on(id)
        ends_with(id, [0])(sessions)

    return Encounter(a=turn(child), b=lambda: operations.pause(id), check=check)


@encounter
def a_parent_starts_children_while_it_is_cancelled() -> Encounter:
    """CHD-06: none goes on, not even one that was just being started."""
    id = started(workflows.proof_founder)

    def check(sessions: Sessions) -> None:
        assert not refused(sessions["B"])
        assert status(id) == Status.CANCELLED
        assert not Execution.objects.filter(parent=id).unfinished().exists()

    return Encounter(a=turn(id), b=lambda: operations.cancel(id), check=check)


# operators


def go_on(id: UUID) -> None:
    operations.resume(id)
    settle()


@encounter
def a_receiver_parks_while_it_is_paused() -> Encounter:
    """PAU-05: a signal that comes while it is paused is received after that."""
    id = started(workflows.proof_receiver)

    def check(sessions: Sessions) -> None:
        assert not refused(sessions["B"])
        assert status(id) == Status.PAUSED
        client.signal(id, "go", "hello")
        settle()
        assert status(id) == Status.PAUSED
        go_on(id)
        ends_with(id, "hello")(sessions)

    return Encounter(a=turn(id), b=lambda: operations.pause(id), check=check)


@encounter
def a_waiting_receiver_is_paused_while_a_signal_is_sent() -> Encounter:
    """PAU-05."""
    id = parked(workflows.proof_receiver)

    def check(sessions: Sessions) -> None:
        assert status(id) == Status.PAUSED
        go_on(id)
        ends_with(id, "hello")(sessions)

    return Encounter(a=lambda: operations.pause(id), b=lambda: client.signal(id, "go", "hello"), check=check)


@encounter
def a_paused_receiver_is_resumed_while_a_signal_is_sent() -> Encounter:
    id = parked(workflows.proof_receiver)
    operations.pause(id)
    return Encounter(
        a=lambda: operations.resume(id), b=lambda: client.signal(id, "go", "hello"), check=ends_with(id, "hello")
    )


@encounter
def a_receiver_parks_while_it_is_cancelled() -> Encounter:
    """CAN-02."""
    id = started(workflows.proof_receiver)

    def check(sessions: Sessions) -> None:
        assert not refused(sessions["B"])
        assert status(id) == Status.CANCELLED

    return Encounter(a=turn(id), b=lambda: operations.cancel(id), check=check)


def ends_by(id: UUID, end: str) -> Callable[[Sessions], None]:
    """CAN-06: there is one end, and the operator knows which."""

    def check(sessions: Sessions) -> None:
        assert status(id) == (end if refused(sessions["B"]) else Status.CANCELLED)

    return check


@encounter
def an_execution_completes_while_it_is_cancelled() -> Encounter:
    id = started(workflows.proof_leaf, 1)
    return Encounter(a=turn(id), b=lambda: operations.cancel(id), check=ends_by(id, Status.COMPLETED))


@encounter
def an_execution_fails_while_it_is_cancelled() -> Encounter:
    id = started(workflows.proof_failing)
    return Encounter(a=turn(id), b=lambda: operations.cancel(id), check=ends_by(id, Status.FAILED))


@encounter
def an_execution_is_cancelled_twice() -> Encounter:
    id = parked(workflows.proof_receiver)

    def check(sessions: Sessions) -> None:
        assert sorted(refused(session) for session in sessions.values()) == [False, True]
        assert status(id) == Status.CANCELLED

    cancel = partial(operations.cancel, id)
    return Encounter(a=cancel, b=cancel, check=check)


@encounter
def a_failed_execution_is_retried_twice() -> Encounter:
    id = started(workflows.proof_failing)
    InlineDriver().turn(id)

    def check(sessions: Sessions) -> None:
        assert sorted(refused(session) for session in sessions.values()) == [False, True]
        assert Execution.objects.get(pk=id).claim == 3  # the first turn, the retry, the second turn

    retry = partial(operations.retry, id)
    return Encounter(a=retry, b=retry, check=check)


@encounter
def an_execution_completes_while_it_is_paused() -> Encounter:
    """A pause that comes while it runs is for a stop that it never makes."""
    id = started(workflows.proof_leaf, 1)

    def check(sessions: Sessions) -> None:
        if not refused(sessions["B"]) and status(id) == Status.PAUSED:
            go_on(id)
        ends_with(id, 1)({"A": sessions["A"]})

    return Encounter(a=turn(id), b=lambda: operations.pause(id), check=check)


@encounter
def an_execution_completes_while_a_signal_is_sent() -> Encounter:
    """EVT-12: the sender knows whether it came too late; what was accepted is kept."""
    id = started(workflows.proof_leaf, 1)

    def check(sessions: Sessions) -> None:
        ends_with(id, 1)({"A": sessions["A"]})
        assert Signal.objects.filter(execution_id=id).count() == (not refused(sessions["B"]))

    return Encounter(a=turn(id), b=lambda: client.signal(id, "go", "hello"), check=check)


# workers


@encounter
def two_workers_claim_one_execution() -> Encounter:
    """STP-06: one gets it, so each body is called once."""
    label = f"adding {Group.objects.count()}"
    id = started(workflows.proof_adding, label)

    def check(sessions: Sessions) -> None:
        ends_with(id, [label, label])(sessions)
        assert sorted(bool(session.answer) for session in sessions.values()) == [False, True]
        assert Group.objects.filter(name__contains=label).count() == 2

    return Encounter(a=turn(id), b=turn(id), check=check)


@encounter
def a_dead_worker_s_execution_is_released_while_a_signal_is_sent() -> Encounter:
    id = parked(workflows.proof_receiver)
    dead = uuid4()
    Execution.objects.filter(pk=id).update(status=Status.RUNNING, claimed_by=dead, wake_at=now() + timedelta(hours=1))

    def release() -> int:
        return transact("default", lambda cursor: release_all(cursor, dialect_of(connection), [dead], crashed=True))

    def check(sessions: Sessions) -> None:
        if Execution.objects.filter(claimed_by=dead).exists():
            release()  # the row was locked; the keeper tries again
            settle()
        ends_with(id, "hello")(sessions)

    return Encounter(a=release, b=lambda: client.signal(id, "go", "hello"), check=check)


@encounter
def two_start_one_key() -> Encounter:
    """EXE-02: one execution, which both are given."""
    keyed = workflows.proof_leaf.using(key=f"key {Execution.objects.count()}")

    def check(sessions: Sessions) -> None:
        first, second = (session.answer.id for session in sessions.values())
        assert first == second
        ends_with(first, 1)(sessions)

    return Encounter(a=lambda: keyed.start(1), b=lambda: keyed.start(1), check=check)
