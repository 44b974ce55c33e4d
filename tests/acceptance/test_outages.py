"""The database goes away and comes back: workers wait for it, and forget nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import connection

from django_workflows.client import start_many
from django_workflows.models import Execution
from testproject import database_url as urls
from tests import postgres
from tests.acceptance.conftest import Reach
from tests.acceptance.invariants import check_invariants, check_ledger
from tests.acceptance.processes import Commands, eventually, kill
from tests.sample.faults import sample_query_at_gate
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_child, sample_line, sample_line_async, sample_mixed

on_postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite has one lock for all who write")

AWAY, BACK = "The database cannot be used", "The database answers again"


class Server:
    """A PostgreSQL of this module's own, which tests stop and start."""

    def __init__(self, postmaster: Any) -> None:
        self._postmaster = postmaster

    @property
    def url(self) -> str:
        return str(self._postmaster.get_uri())

    def stop(self) -> None:
        connection.close()
        self._postmaster.stop()

    def crash(self) -> None:
        """No checkpoint, no goodbye: it recovers from its log."""
        connection.close()
        os.kill(self._postmaster.get_pid(), signal.SIGQUIT)
        eventually(lambda: not self._postmaster.get_postmaster_info().is_running())

    def start(self) -> None:
        self._postmaster.start()


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with postgres.server({"max_connections": "100", "fsync": "off"}) as postmaster:
        yield Server(postmaster)


@pytest.fixture
def server(own_server: Server, transactional_db: None) -> Iterator[Server]:
    """Its database stands in for the test's own."""
    own_server.start()
    connection.close()
    with mock.patch.dict(connection.settings_dict, urls.to_settings(own_server.url)):
        call_command("migrate", verbosity=0)
        yield own_server
        connection.close()


@pytest.fixture
def runworkflows(request: pytest.FixtureRequest, runworkflows: Commands) -> Commands:
    """On the server that goes away, in tests that ask for it."""
    if "server" in request.fixturenames:
        runworkflows.use_database(request.getfixturevalue("server").url)
    return runworkflows


def stop(server: Server) -> None:
    server.stop()


def crash(server: Server) -> None:
    server.crash()


@on_postgres
@pytest.mark.parametrize("end", [stop, crash])
@pytest.mark.parametrize("workflow", [sample_line, sample_line_async], ids=["def", "async def"])
def test_an_outage_is_waited_out_and_no_body_is_called_again(
    server: Server,
    runworkflows: Commands,
    reach: Reach,
    ledger: Ledger,
    workflow: Any,
    end: Callable[[Server], None],
) -> None:
    """DBF-05, DBF-06: a step ends while the server is down; its result is stored when it is back."""
    command = runworkflows.up(LEASE=30)
    execution = workflow.start("line", gated=1)
    waiting = sample_line.using(delay=1).start("later")
    eventually(partial(ledger.was_reached, "line-1"))
    end(server)
    ledger.open("line-1")
    eventually(lambda: AWAY in command.text)
    server.start()

    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    reach(waiting)
    assert (Execution.objects.get(pk=execution.id).crashes, len(command.workers)) == (0, 1)
    assert [call.attempt for call in ledger.calls("line-1")] == [1]
    assert command.text.count(AWAY) == 1
    assert command.text.count(BACK) <= 1
    assert "Traceback" not in command.text
    assert len(command.lines) < 12
    check_ledger(ledger)


@on_postgres
def test_an_outage_longer_than_the_lease_calls_no_body_again_either(
    server: Server, runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """CRS-20: nobody took it meanwhile, so its holder goes on."""
    command = runworkflows.up(LEASE=1)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    held_until = Execution.objects.values_list("wake_at", flat=True).get(pk=execution.id)
    server.stop()
    stopped_at = time.monotonic()
    eventually(lambda: AWAY in command.text and time.monotonic() > stopped_at + 2)
    server.start()
    eventually(Execution.objects.filter(pk=execution.id, wake_at__gt=held_until).exists)
    ledger.open("line-1")
    assert reach(execution).crashes == 0
    assert [call.attempt for call in ledger.calls("line-1")] == [1]


@on_postgres
def test_a_worker_that_dies_in_an_outage_has_a_successor_that_waits(
    server: Server, runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """DBF-06: no crash loop while there is nothing to connect to."""
    command = runworkflows.up(LEASE=30)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    (worker,) = command.workers
    server.stop()
    kill(worker)
    eventually(lambda: AWAY in command.text)
    ledger.open("line-1")
    server.start()
    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    assert command.text.count("died") == 1
    assert "Traceback" not in command.text


@on_postgres
def test_workers_may_be_started_before_their_database(server: Server, runworkflows: Commands, reach: Reach) -> None:
    """DBF-06: nobody has to start them in the right order, or again."""
    execution = sample_child.start(1)
    server.stop()
    command = runworkflows()
    eventually(lambda: AWAY in command.text, or_tell=lambda: command.text)
    server.start()
    reach(execution)
    assert command.text.count(AWAY) == 1
    assert "Traceback" not in command.text


@on_postgres
def test_a_worker_can_be_stopped_while_the_database_is_away(
    server: Server, runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """What it held is free when its lease ends."""
    command = runworkflows.up(LEASE=1, GRACE=1)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    server.stop()
    eventually(lambda: AWAY in command.text)
    asked_at = time.monotonic()
    command.send(signal.SIGTERM)
    command.wait()
    assert time.monotonic() - asked_at < 20
    assert "Traceback" not in command.text

    server.start()
    ledger.open("line-1")
    runworkflows.up()
    reach(execution)


# connections that are cut


def cut_connections() -> int:
    """Have the server end every connection to this database but ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


@on_postgres
def test_connections_cut_in_the_middle_of_a_step_are_renewed(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """DBF-05: the pump's, the keeper's, the listener's, and that of the step, whose next query fails."""
    command = runworkflows.up(LEASE=30)
    plain, querying = sample_line.start("line", gated=1), sample_query_at_gate.start("query")
    eventually(lambda: ledger.was_reached("line-1") and ledger.was_reached("query"))
    assert cut_connections() >= 3
    ledger.open("line-1")
    ledger.open("query")
    reach(plain)
    reach(querying)
    assert len(ledger.calls("line-1")) == 1
    assert [call.attempt for call in ledger.calls("query")] == [1, 2]
    reach(sample_child.start(1))
    assert "died" not in command.text
    assert "Traceback" not in command.text
    check_invariants(ledger)


@on_postgres
def test_connections_cut_again_and_again_lose_nothing(runworkflows: Commands, ledger: Ledger) -> None:
    """DBF-10: under load, ten times a second; bodies that use no database are not called again."""
    command = runworkflows.up(LEASE=30)
    start_many(sample_mixed, [{"number": number} for number in range(300)])
    cuts = 0
    while Execution.objects.unfinished().exists() and cuts < 400:
        cut_connections()
        cuts += 1
        time.sleep(0.1)
    eventually(lambda: not Execution.objects.unfinished().exists(), or_tell=lambda: command.text)
    assert not Execution.objects.exclude(status="completed").exists()
    assert "Traceback" not in command.text
    assert max(ledger.calls_by_key().values()) == 1
    check_invariants(ledger)


def only_read(reads: bool) -> None:
    """Have the server refuse writes to this database, or take them again, in all sessions but ours."""
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if reads else 'off'}")
    cut_connections()


@on_postgres
def test_a_database_that_only_reads_is_no_database_that_answers_again(
    server: Server, runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    """After a failover: the worker says once that it cannot go on, and once that it can."""
    command = runworkflows.up(LEASE=30)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    only_read(True)
    ledger.open("line-1")
    eventually(lambda: AWAY in command.text)
    since = time.monotonic()
    eventually(lambda: time.monotonic() > since + 4)
    assert command.text.count(BACK) == 0
    only_read(False)

    assert reach(execution).result() == ["line-0", "line-1", "line-2"]
    eventually(lambda: BACK in command.text, or_tell=lambda: command.text)
    assert (command.text.count(AWAY), command.text.count(BACK)) == (1, 1)
    assert [call.attempt for call in ledger.calls("line-1")] == [1]


# SQLite's lock


@on_sqlite
@pytest.mark.parametrize("lease", [30, 1])
def test_a_long_write_of_somebody_else_is_waited_out(
    runworkflows: Commands, reach: Reach, ledger: Ledger, lease: int
) -> None:
    """DBF-14, CRS-20: nothing can be stored and no lease extended while another process holds the lock."""
    command = runworkflows.up(LEASE=lease)
    execution = sample_line.start("line", gated=1)
    eventually(partial(ledger.was_reached, "line-1"))
    other = sqlite3.connect(Path(connection.settings_dict["NAME"]), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.open("line-1")
    locked_at = time.monotonic()
    eventually(lambda: time.monotonic() > locked_at + 2.5)
    other.execute("COMMIT")
    other.close()
    row = reach(execution)
    assert row.crashes == 0
    assert max(ledger.calls_by_key().values()) == 1
    assert "is locked" not in command.text
    assert "Traceback" not in command.text
    check_invariants(ledger)
