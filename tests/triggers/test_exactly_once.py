"""Waits and triggers both get every event exactly once, whoever dies or meets whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import connection, connections

from django_workflows import Context, services, workflow
from django_workflows.client import send_event
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.commit import transaction
from django_workflows.engine.events import deliver, dispatch
from django_workflows.models import Event, Execution, Signal, Trigger
from django_workflows.testing import Workflows
from django_workflows.triggers import counting
from tests.triggers.common import inputs, listen

pytestmark = pytest.mark.django_db


@workflow
def once_started(ctx: Context, number: int) -> int:
    return number


@workflow
def once_waiting(ctx: Context) -> Any:
    message = ctx.wait_for_event("once")
    return message and message.data


class Killed(BaseException):
    """As if the process had died: nothing handles it."""


@pytest.fixture(autouse=True)
def _none_of_the_examples(db: None) -> Iterator[None]:
    Trigger.objects.all().delete()
    yield
    counting.backlog.take()


def killing_at(number: int, counted: list[str]) -> Callable[..., Any]:
    """An `execute_wrapper` that dies before the statement of this number."""

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        counted.append(sql)
        if len(counted) == number:
            raise Killed
        return execute(sql, params, many, context)

    return wrapper


def test_a_worker_that_is_killed_at_any_statement_leaves_nothing_half_done(workflows: Workflows) -> None:
    """CRS-16, for dispatching: the next worker does all of it, and nothing twice."""
    listen(once_started, "once")
    bad = listen(once_started, "*")
    Trigger.objects.filter(pk=bad.pk).update(workflow="gone")
    waiting = once_waiting.start_many([{}] * 3)
    workflows.run_until_idle()
    number = 0
    while True:
        number += 1
        event = send_event("once", {"number": number})
        counted: list[str] = []
        try:
            with connection.execute_wrapper(killing_at(number, counted)):
                services.dispatch("default")
        except Killed:
            if not counted[-1].startswith("RELEASE"):  # in place of the commit, which cannot fail here
                assert Execution.objects.filter(workflow="once_started").count() == number - 1
            services.dispatch("default")
        assert Event.objects.get(pk=event.pk).dispatched_at is not None
        if len(counted) < number:
            break
    assert number > 8
    assert [value["number"] for value in inputs(once_started)] == list(range(1, number + 1))
    assert Event.objects.filter(name="trigger.failed").count() == number
    assert Trigger.objects.get(workflow="once_started").trigger_count == number
    assert Signal.objects.count() == len(waiting)
    workflows.run_to_end()
    assert [execution.result(timeout=0) for execution in waiting] == [{"number": 1}] * 3


def test_a_crowd_of_workers_starts_each_once(transactional_db: None) -> None:
    """EVT-13: many events, three triggers, four workers at once."""
    for pattern in ("once", "*", "**"):
        listen(once_started, pattern)
    for number in range(40):
        send_event("once", {"number": number})

    def work() -> None:
        try:
            while Event.objects.filter(type="event", dispatched_at=None).exists():
                services.dispatch("default")
        finally:
            connections["default"].close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    if counting.backlog:
        services._count_triggers("default")

    assert Counter(value["number"] for value in inputs(once_started)) == dict.fromkeys(range(40), 3)
    assert set(Trigger.objects.values_list("trigger_count", flat=True)) == {40}


def peek(*, undispatched: bool = True) -> Peek:
    return cast(Peek, SimpleNamespace(undispatched=undispatched, now=datetime.now(tz=UTC)))


@pytest.fixture
def locked(workflows: Workflows, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An execution that waits, and whose row somebody else has locked until `free()`."""
    execution = once_waiting.start()
    workflows.run_until_idle()
    real, taken = transaction.lock, {execution.id}

    def lock(cursor: Any, dialect: Any, ids: Any) -> Any:
        rows, now = real(cursor, dialect, ids)
        return {id: row for id, row in rows.items() if id not in taken}, now

    monkeypatch.setattr(deliver, "lock", lock)
    return SimpleNamespace(execution=execution, free=taken.clear)


def test_a_locked_receiver_neither_makes_a_worker_spin_nor_delays_a_trigger(locked: Any, workflows: Workflows) -> None:
    listen(once_started, "once")
    chore = services.EventDispatch()
    event = send_event("once", {"number": 1})

    assert [chore("default", peek()) for _ in range(4)] == [True, True, False, False]
    assert inputs(once_started) == [{"number": 1}]
    assert Event.objects.get(pk=event.pk).dispatched_at is None

    locked.free()
    assert chore("default", peek())
    assert not chore("default", peek(undispatched=False))
    workflows.run_to_end()
    assert locked.execution.result(timeout=0) == {"number": 1}
    assert inputs(once_started) == [{"number": 1}]


def test_events_for_a_locked_receiver_hold_up_nobody_else(locked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BATCH", 10)
    for number in range(25):
        send_event("once", {"number": number})
    other = send_event("other", {"number": 99})

    assert dispatch.dispatch("default", limit=10).events == 1

    assert Event.objects.get(pk=other.pk).dispatched_at is not None
    assert not dispatch.dispatch("default", limit=10)


def test_an_event_that_many_wait_for_starts_its_triggers_in_the_first_round(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "MOST_DELIVERIES", 2)
    listen(once_started, "once")
    waiting = once_waiting.start_many([{}] * 5)
    workflows.run_until_idle()
    event = send_event("once", {"number": 1})

    rounds = [services.dispatch("default") for _ in range(4)]

    assert [(len(done.receivers), len(done.started), done.events) for done in rounds] == [
        (2, 1, 0),
        (2, 0, 0),
        (1, 0, 1),
        (0, 0, 0),
    ]
    event.refresh_from_db()
    assert event.triggered_at is not None
    workflows.run_to_end()
    assert {execution.result(timeout=0)["number"] for execution in waiting} == {1}


def test_a_trigger_that_somebody_has_locked_is_counted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = listen(once_started, "once")
    monkeypatch.setattr(counting, "FREE", counting.FREE.replace("WHERE", "WHERE false AND"))

    send_event("once", {"number": 1})
    services.dispatch("default")
    trigger.refresh_from_db()
    assert (len(inputs(once_started)), trigger.trigger_count) == (1, 0)

    monkeypatch.undo()
    services.EventDispatch()("default", peek(undispatched=False))
    trigger.refresh_from_db()
    assert trigger.trigger_count == 1
    assert not counting.backlog


def test_what_was_started_by_a_trigger_that_is_gone_is_not_counted_for_ever() -> None:
    trigger = listen(once_started, "once")
    counting.backlog.put(Counter({trigger.pk: 3}))
    Trigger.objects.all().delete()

    services.EventDispatch()("default", peek(undispatched=False))

    assert not counting.backlog
