"""NOTIFY from one connection, heard on another. PostgreSQL only."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from django_workflows.engine.database import listen, notify
from django_workflows.engine.database.listen import Listener
from django_workflows.engine.database.notify import ANY_QUEUE, WakeUp

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has LISTEN; elsewhere workers poll"),
]

PATIENCE = 20.0


@pytest.fixture
def heard() -> queue.Queue[str]:
    return queue.Queue()


@pytest.fixture
def listener(heard: queue.Queue[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr(notify, "QUIET_SECONDS", 0.0)
    listener = Listener("default", put_into(heard))
    listener.start()
    yield listener
    listener.stop()
    assert not listener._thread.is_alive()


def put_into(heard: queue.Queue[str]) -> WakeUp:
    def wake_up(name: str, priority: int | None = None) -> None:
        heard.put(name if priority is None else f"{name} {priority}")

    return wake_up


def terminate_listeners() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
        )


def test_it_says_when_it_has_connected(listener: Listener, heard: queue.Queue[str]) -> None:
    """What was committed before may have been missed."""
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    assert listener.is_listening


def test_it_hears_the_queues_of_other_connections(listener: Listener, heard: queue.Queue[str]) -> None:
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    for name in ("bulk", "a 'quoted' näme", "bulk"):
        notify.notify(name)
        assert heard.get(timeout=PATIENCE) == name
    notify.notify("bulk", priority=3)
    assert heard.get(timeout=PATIENCE) == "bulk 3"


def test_it_connects_again_when_the_server_ends_the_connection(listener: Listener, heard: queue.Queue[str]) -> None:
    """DBF-05, DBF-10: and says so, as it may have missed some."""
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    terminate_listeners()
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    notify.notify("bulk")
    assert heard.get(timeout=PATIENCE) == "bulk"


def test_a_wake_up_that_fails_does_not_end_it(heard: queue.Queue[str], caplog: pytest.LogCaptureFixture) -> None:
    def fail_first(name: str, priority: int | None = None) -> None:
        heard.put(name)
        if name == ANY_QUEUE:
            raise RuntimeError("not yet")

    listener = Listener("default", fail_first)
    listener.start()
    try:
        assert heard.get(timeout=PATIENCE) == ANY_QUEUE
        notify.notify("bulk")
        assert heard.get(timeout=PATIENCE) == "bulk"
    finally:
        listener.stop()
    assert "A wake-up failed" in caplog.text


def test_it_probes_a_silent_connection(
    monkeypatch: pytest.MonkeyPatch, listener: Listener, heard: queue.Queue[str]
) -> None:
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    monkeypatch.setattr(listen, "PROBE_SECONDS", 0.001)
    for _ in range(3):
        notify.notify("bulk")
        assert heard.get(timeout=PATIENCE) == "bulk"


def test_stopping_is_prompt_and_leaves_no_connection(heard: queue.Queue[str]) -> None:
    listener = Listener("default", put_into(heard))
    listener.start()
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    listener.stop()
    assert not listener._thread.is_alive()
    assert not listener.is_listening


def test_stopping_what_was_never_started_does_no_harm(heard: queue.Queue[str]) -> None:
    Listener("default", put_into(heard)).stop()


def test_it_stops_while_the_database_is_away(heard: queue.Queue[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """DBF-06."""
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    listener = Listener("default", put_into(heard))
    listener.start()
    listener.stop()
    assert not listener._thread.is_alive()
    assert heard.empty()


def test_a_notify_of_a_rolled_back_transaction_is_never_heard(listener: Listener, heard: queue.Queue[str]) -> None:
    """EXE-06."""
    assert heard.get(timeout=PATIENCE) == ANY_QUEUE
    with transaction.atomic():
        notify.notify("bulk")
    notify.notify("default")
    assert heard.get(timeout=PATIENCE) == "default"
