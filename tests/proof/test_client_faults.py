"""What applications and operators ask for takes place once, whatever the database answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import DatabaseError, InterfaceError, connection

from django_workflows import TransitionError, client, operations
from django_workflows.models import Event, EventType, Execution, Signal, Status
from tests.factories import make_execution
from tests.proof.database_faults import Accidents
from tests.proof.sampling import RUNS_ALL, seeded
from tests.proof.tapping import tapped
from tests.proof.workflows import proof_kid

pytestmark = pytest.mark.django_db(transaction=True)

RATE = 0.3
CALLS = 20 if RUNS_ALL else 8
SEEDS = 40

T = TypeVar("T")


@contextmanager
def accidents(seed: int) -> Iterator[None]:
    """A share of this thread's statements and commits fails."""
    met: list[str] = []
    with tapped(connection, Accidents(seed, RATE, met.append)):
        yield
    connection.close()  # the last accident may have broken it
    if not met:
        pytest.skip("With this seed no accident happens to so few statements.")


def attempt(act: Callable[[], T]) -> T | None:
    """What it answers; None when nobody knows whether it took place."""
    try:
        return act()
    except (DatabaseError, InterfaceError):
        return None


def insist(act: Callable[[], T]) -> T:
    """Repeat it, as callers with a key may, until it answers."""
    while (answer := attempt(act)) is None:
        pass
    return answer


def payloads(rows: Iterable[Any]) -> list[Any]:
    """What each of them carries."""
    return [row.data for row in rows]


def test_accidents_happen() -> None:
    """Or all of these would be skipped."""
    met: list[str] = []
    with tapped(connection, Accidents(0, RATE, met.append)), connection.cursor() as cursor:
        for _ in range(100):
            attempt(partial(cursor.execute, "SELECT 1"))
    assert len(met) > 10


@seeded(SEEDS, sample=1)
def test_a_start_that_was_acknowledged_took_place(seed: int) -> None:
    """DBF-04: and one that was not has left one execution at most."""
    with accidents(seed):
        handles = [attempt(partial(proof_kid.start, number)) for number in range(CALLS)]
    stored = Execution.objects.in_bulk()
    assert {handle.id for handle in handles if handle is not None} <= stored.keys()
    assert len({str(execution.input) for execution in stored.values()}) == len(stored)


@seeded(SEEDS, sample=1)
def test_a_start_with_a_key_takes_place_once(seed: int) -> None:
    """DBF-04, EXE-02: every repetition is answered with the same execution."""
    ids: dict[str, set[UUID]] = {}
    with accidents(seed):
        for number in range(CALLS):
            key = f"import {number // 2}"
            wanted = proof_kid.using(idempotency_key=key) if number % 4 < 2 else proof_kid.using(key=key)
            ids.setdefault(key, set()).add(insist(partial(wanted.start, 7)).id)
    assert [len(found) for found in ids.values()] == [1] * (CALLS // 2)
    assert set(Execution.objects.values_list("id", flat=True)) == set.union(*ids.values())


@seeded(SEEDS, sample=1)
def test_a_bulk_start_with_keys_takes_place_once(seed: int) -> None:
    """DBF-04."""
    inputs = [{"number": number} for number in range(CALLS)]
    start_all = partial(client.start_many, proof_kid, inputs, idempotency_key=lambda input: str(input["number"]))
    with accidents(seed):
        first, second = insist(start_all), insist(start_all)
    assert [handle.id for handle in first] == [handle.id for handle in second]
    assert Execution.objects.count() == CALLS


@seeded(SEEDS, sample=1)
def test_a_signal_is_stored_once_and_in_order(seed: int) -> None:
    """DBF-04, EVT-08, EVT-09."""
    execution = make_execution(Status.WAITING)
    with accidents(seed):
        for number in range(CALLS):
            insist(partial(client.signal, execution, "go", number, message_id=str(number)))
        loose = [n for n in range(CALLS) if attempt(partial(client.signal, execution, "loose", n))]
    assert payloads(Signal.objects.filter(name="go").order_by("number")) == list(range(CALLS))
    stored = payloads(Signal.objects.filter(name="loose").order_by("number"))
    assert stored == sorted(set(stored))
    assert set(loose) <= set(stored)
    execution.refresh_from_db()
    assert execution.inbox >= Signal.objects.count()
    assert execution.wake_at is not None


@seeded(SEEDS, sample=1)
def test_an_event_is_stored_once(seed: int) -> None:
    """DBF-04, EVT-08."""
    with accidents(seed):
        for number in range(CALLS):
            insist(partial(client.send_event, "proof.happened", number, id=str(number)))
        loose = [n for n in range(CALLS) if attempt(partial(client.send_event, "proof.loose", n))]
    assert sorted(payloads(Event.objects.filter(name="proof.happened"))) == list(range(CALLS))
    stored = payloads(Event.objects.filter(name="proof.loose"))
    assert len(set(stored)) == len(stored)
    assert set(loose) <= set(stored)


VERBS = {
    "pause": (Status.WAITING, Status.PAUSED),
    "resume": (Status.PAUSED, Status.PENDING),
    "cancel": (Status.WAITING, Status.CANCELLED),
    "retry": (Status.FAILED, Status.PENDING),
}


@seeded(SEEDS, sample=1)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_carried_out_and_logged_once(verb: str, seed: int) -> None:
    """DBF-04: when nobody knew whether it was, a repetition finds it done."""
    before, after = VERBS[verb]
    executions = [make_execution(before) for _ in range(CALLS // 2 if RUNS_ALL else 2)]
    act: Callable[..., Any] = getattr(operations, verb)

    def acknowledged(execution: Execution) -> bool:
        try:
            act(execution)
        except TransitionError:
            assert Execution.objects.get(pk=execution.pk).status == after
        return True

    with accidents(seed):
        for execution in executions:
            insist(partial(acknowledged, execution))
    assert set(Execution.objects.values_list("status", flat=True)) == {after}
    logged = Event.objects.filter(type=EventType.OPERATOR, name=verb).values_list("execution_id", flat=True)
    assert sorted(map(str, logged)) == sorted(str(execution.pk) for execution in executions)
