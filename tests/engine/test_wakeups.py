from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from django_workflows.engine.database import notify

only_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has NOTIFY; elsewhere workers poll"
)


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds

    def move(self, duration: timedelta) -> None:
        self.seconds += duration.total_seconds()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    monkeypatch.setattr("django_workflows.clock.monotonic", standing)
    monkeypatch.setattr(notify, "_last_sent", {})
    return standing


class Heard(list[str]):
    """The queues of the wake-ups that this process hears."""

    def wake_up(self, queue: str, priority: int | None = None) -> None:
        self.append(queue if priority is None else f"{queue} {priority}")


@pytest.fixture
def subscribe() -> Iterator[Callable[[notify.WakeUp], None]]:
    subscribed: list[notify.WakeUp] = []

    def add(wake_up: notify.WakeUp) -> None:
        subscribed.append(wake_up)
        notify.subscribe(wake_up)

    yield add
    for wake_up in subscribed:
        notify.unsubscribe(wake_up)


def notified(queue: str) -> list[str]:
    """The statements that one wake-up sends."""
    with CaptureQueriesContext(connection) as captured:
        notify.notify(queue)
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.django_db
def test_this_process_hears_every_wake_up_at_once(subscribe: Callable[[notify.WakeUp], None]) -> None:
    heard = Heard()
    subscribe(heard.wake_up)
    notify.notify("bulk")
    notify.notify("bulk")
    assert heard == ["bulk", "bulk"]


@pytest.mark.django_db
def test_a_wake_up_that_fails_harms_neither_the_caller_nor_the_next(
    subscribe: Callable[[notify.WakeUp], None],
) -> None:
    def fail(queue: str, priority: int | None = None) -> None:
        raise RuntimeError(queue)

    heard = Heard()
    subscribe(fail)
    subscribe(heard.wake_up)
    notify.notify("bulk")
    assert heard == ["bulk"]


@pytest.mark.django_db
def test_nobody_hears_after_unsubscribing() -> None:
    heard = Heard()
    notify.subscribe(heard.wake_up)
    notify.unsubscribe(heard.wake_up)
    notify.notify("bulk")
    assert heard == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "postgresql", reason="the other databases have no NOTIFY")
def test_databases_without_notify_are_sent_nothing() -> None:
    """DBF-12: polling finds it."""
    assert notified("bulk") == []


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_queue_is_notified_once_per_few_milliseconds(clock: Clock) -> None:
    first = notified("bulk")
    assert len(first) == 1
    assert "pg_notify('django_workflows', 'bulk')" in first[0]
    assert notified("bulk") == []
    assert len(notified("default")) == 1
    clock.move(timedelta(milliseconds=6))
    assert len(notified("bulk")) == 1


@pytest.mark.parametrize(("queue", "priority"), [("bulk", None), ("bulk", 0), ("ä 'b' 7", 9), (notify.ANY_QUEUE, None)])
def test_a_payload_says_where_something_is(queue: str, priority: int | None) -> None:
    assert notify.read_payload(notify.payload_of(queue, priority)) == (queue, priority)


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_each_priority_is_notified_by_itself(subscribe: Callable[[notify.WakeUp], None]) -> None:
    """Or what is urgent would have to wait because something else was told of just before."""
    heard = Heard()
    subscribe(heard.wake_up)
    for priority in (1, 9, 9):
        notify.notify("bulk", priority=priority)
    assert heard == ["bulk 1", "bulk 9", "bulk 9"]
    assert {payload for _, payload in notify._last_sent} == {"bulk\n1", "bulk\n9"}


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_settings_can_turn_notify_off(settings: Settings) -> None:
    settings.WORKFLOWS = {"LISTEN": False}
    assert notified("bulk") == []


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_notify_is_never_part_of_a_transaction() -> None:
    with transaction.atomic():
        assert notified("bulk") == []


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_an_error_of_notify_never_reaches_the_caller() -> None:
    """DBF-12."""

    def fail(execute: object, sql: str, params: object, many: bool, context: object) -> None:
        raise DatabaseError("gone")

    with connection.execute_wrapper(fail):
        notify.notify("bulk")


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_thousands_of_queues_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_MAX_REMEMBERED", 3)
    for number in range(10):
        notify.notify(f"tenant-{number}")
    assert len(notify._last_sent) <= 3
