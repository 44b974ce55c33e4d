"""What CockroachDB is told, executed by PostgreSQL: its statements are right, and wait for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from pytest_django import Settings

from django_workflows import Context, client, clock, workflow
from django_workflows.engine.claims import claims, probes
from django_workflows.engine.claims.claims import QUARANTINE_AFTER, Peek
from django_workflows.engine.commit import transaction as committing
from django_workflows.engine.database.dialects import Dialect
from django_workflows.engine.database.transactions import single
from django_workflows.engine.worker import pump
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.models import Event, Execution, Status
from django_workflows.services import CHORES
from tests.engine.pumps import make_working_pump
from tests.factories import ago, ahead, make_event, make_execution, make_trigger
from tests.proof import emulation
from tests.proof.emulation import first, hiding, shuffled, spoken

pytestmark = pytest.mark.django_db(transaction=True)

POSTGRESQL, COCKROACHDB = Dialect("postgresql"), Dialect("cockroachdb")

# Plain reads of what this transaction has locked itself.
OF_LOCKED_ROWS = ("GROUP BY parent_id",)


@pytest.fixture(autouse=True)
def _on_postgresql(db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("it emulates CockroachDB on PostgreSQL")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, settings: Settings, names: None) -> Iterator[Callable[[], None]]:
    """Let a worker's pump work in this thread until nothing is due, with what it says to CockroachDB."""
    monkeypatch.setattr(pump, "IDLE_SECONDS", 0.05)
    settings.WORKFLOWS = {"POLL_INTERVAL": 0.02}

    def drain(*, alone: bool = False) -> None:
        engine = make_working_pump(capabilities_of(["default"], alone=alone), chores=CHORES)
        engine.run(until_idle=0.0)

    with spoken():
        yield drain
    clock.reset()


@contextmanager
def a_stranger(*executions: Execution) -> Iterator[None]:
    """Somebody's transaction is open that has signalled these executions, started another and published an event."""
    done, may_end = threading.Event(), threading.Event()

    def act() -> None:
        with transaction.atomic():
            for execution in executions:
                client.signal(execution, "go")
            make_execution(workflow="held", priority=9, wake_at=ahead(hours=9))
            make_event("held")
            done.set()
            may_end.wait(30)
        connections.close_all()

    thread = threading.Thread(target=act)
    thread.start()
    assert done.wait(30)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


@contextmanager
def impatient() -> Iterator[None]:
    """Whoever waits for a lock fails."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
        yield
        cursor.execute("RESET lock_timeout")


class Listener:
    """Notes what would wait for a stranger: reads that neither pass over locked rows nor have a high priority."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.statements: list[str] = []
        self._reads_past = False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = " ".join(str(sql).split())
        self._reads_past = text == emulation.READ_PAST or (
            self._reads_past and context["connection"].in_atomic_block and not text.startswith("SAVEPOINT")
        )
        self.statements.append(text)
        if self._would_wait(text):
            self.waiting.append(text)
        return execute(sql, params, many, context)

    def _would_wait(self, text: str) -> bool:
        if self._reads_past or "django_workflows_" not in text or any(word in text for word in OF_LOCKED_ROWS):
            return False
        if text.startswith(("SELECT", "WITH")) and not any(verb in text for verb in ("INSERT INTO", "UPDATE dj")):
            return text.count("FROM django_workflows_") > text.count(emulation.PASSING_OVER)
        joins = "FROM r WHERE mine" in text and "= ANY(" not in text
        return joins or " IN (SELECT" in text


# the look


def see(dialect: Dialect, queues: list[str], **options: bool) -> Peek:
    return single("default", lambda cursor: claims.peek(cursor, dialect, queues, **options))


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("complete", [False, True])
def test_a_look_sees_the_same_however_it_is_asked_for(alone: bool, complete: bool) -> None:
    make_execution(queue="bulk", priority=3, wake_at=ago(hours=1))
    make_execution(queue="default", priority=9, wake_at=ago(hours=2), crashes=2)
    make_execution(Status.WAITING, wake_at=ahead(hours=1))
    make_execution(Status.WAITING, priority=9, wake_at=ahead(hours=2), crashes=3)
    make_execution(queue="other", priority=9, wake_at=ago(hours=1))
    make_execution(Status.WAITING, requested="cancel", wake_at=ago(hours=3))
    make_event(dispatched_at=None, deliver_at=ago(minutes=1))
    make_trigger("every hour", type="schedule", next_at=ahead(hours=1))
    ours = see(COCKROACHDB, ["bulk", "default"], alone=alone, complete=complete)
    theirs = see(POSTGRESQL, ["bulk", "default"], alone=alone)
    assert ours.ready() == theirs.ready()
    assert sorted(ours.later) == sorted(theirs.later)
    for name in ("requested", "undispatched", "suspects", "next_schedule", "unplanned"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_a_look_at_nothing_sees_nothing() -> None:
    seen = see(COCKROACHDB, ["default"])
    assert (seen.due, seen.later, seen.requested, seen.undispatched, seen.suspects) == ({}, [], False, False, 0)


def test_a_look_passes_over_what_a_stranger_holds_and_a_complete_one_does_not() -> None:
    held = make_execution(priority=9)
    make_execution(priority=1)
    with a_stranger(held), impatient():
        assert see(COCKROACHDB, ["default"]).ready() == [("default", 1)]
        assert see(COCKROACHDB, ["default"], complete=True).ready() == [("default", 9), ("default", 1)]


@pytest.mark.parametrize("dialect", [POSTGRESQL, COCKROACHDB], ids=lambda dialect: dialect.vendor)
@pytest.mark.parametrize("seed", range(3))
def test_the_highest_priority_is_first_in_whichever_order_the_rows_come(dialect: Dialect, seed: int) -> None:
    for priority in range(10):
        make_execution(priority=priority)
        make_execution(queue="bulk", priority=priority)
    with shuffled(seed):
        ready = see(dialect, ["bulk", "default"]).ready()
    assert ready == [(queue, priority) for queue in ("bulk", "default") for priority in range(9, -1, -1)]


# a worker beside an open transaction


def give_back(number: int) -> int:
    return number


def test_a_worker_waits_for_no_stranger(work: Callable[[], None]) -> None:
    """One user's long transaction, which has started, signalled and published, holds up nobody else's execution."""

    @workflow(name="grown")
    def grown(ctx: Context) -> int:
        return ctx.do(give_back, 1)

    @workflow(name="busy")
    def busy(ctx: Context) -> int:
        ctx.do(give_back, 1)
        ctx.sleep("1 hour")
        return ctx.run(grown) + ctx.run(grown)

    @workflow(name="waiting")
    def waiting(ctx: Context) -> None:
        ctx.wait_for_signal("go")

    @workflow(name="hearing")
    def hearing(ctx: Context) -> None:
        ctx.wait_for_event("heard")

    held, others = waiting.start(), [busy.start() for _ in range(3)]
    heard, stopped = hearing.start(), waiting.start()
    work()
    client.send_event("heard")
    stopped.cancel()
    clock.skip(timedelta(hours=2))
    listener = Listener()
    with a_stranger(Execution.objects.get(pk=held.id)), impatient(), connection.execute_wrapper(listener):
        work()
        statuses = dict(Execution.objects.values_list("id", "status"))
        assert {statuses[execution.id] for execution in [*others, heard]} == {"completed"}
        assert statuses[stopped.id] == "cancelled"
        assert statuses[held.id] == "waiting"
    assert listener.waiting == []
    work()
    assert Execution.objects.get(pk=held.id).status == "completed"
    assert not Event.objects.filter(type="event", name="held", dispatched_at=None).exists()


def test_the_end_of_a_drain_has_seen_what_is_hidden_from_looks(work: Callable[[], None]) -> None:
    """Nothing seems to be due as long as looks pass over fresh rows; the last one passes over nothing."""

    @workflow(name="fresh")
    def fresh(ctx: Context) -> int:
        return ctx.do(give_back, 1)

    execution = fresh.start()
    with hiding(first(12)):
        work()
    assert Execution.objects.get(pk=execution.id).status == "completed"


def test_a_quarantine_is_stored_although_the_claimed_row_is_hidden(work: Callable[..., None]) -> None:
    """The row was claimed a moment ago: the first two looks at it are in vain."""

    @workflow(name="poison")
    def poison(ctx: Context) -> None: ...

    execution = poison.start()
    Execution.objects.filter(pk=execution.id).update(crashes=QUARANTINE_AFTER)
    looks = iter([True, True])
    locks = False

    def is_hidden() -> bool:
        return locks and next(looks, False)

    real = committing.lock

    def lock(*args: Any) -> Any:
        nonlocal locks
        locks = True
        try:
            return real(*args)
        finally:
            locks = False

    with pytest.MonkeyPatch.context() as patch, hiding(is_hidden):
        patch.setattr(committing, "lock", lock)
        work(alone=True)
    stored = Execution.objects.get(pk=execution.id)
    assert (stored.status, stored.claim) == ("paused", 1)
    assert "Quarantined" in stored.reason


def test_the_rows_of_a_claim_are_found_before_they_are_changed(work: Callable[[], None]) -> None:
    """A join in an UPDATE would be a scan of the table, as long as that is small."""

    @workflow(name="claimed")
    def claimed(ctx: Context) -> None: ...

    claimed.start()
    listener = Listener()
    with connection.execute_wrapper(listener):
        work()
    updates = [text for text in listener.statements if "UPDATE django_workflows_execution" in text]
    assert updates
    assert all("id = ANY(" in text for text in updates), updates


# the plan of a look

LOOK = next(index for index in Execution._meta.indexes if index.name == "workflows_execution_look")

# What is due, sleeps, is held, and cannot be seen, in five priorities.
FILL = """
INSERT INTO django_workflows_execution (
    id, workflow, version, queue, priority, wake_at, status, requested, created_at, updated_at, generation, reason,
    current_step, key_released, parent_close, claim, inbox, awaiting, crashes
)
SELECT gen_random_uuid(), 'fulfil', 1, 'default', n % 5, statement_timestamp() + (n - 20000) * interval '1 second',
    CASE WHEN n % 3 = 0 THEN 'running' ELSE 'waiting' END, CASE WHEN n % 7 = 0 THEN 'pause' ELSE '' END,
    statement_timestamp(), statement_timestamp(), 0, '', '', false, 'cancel', 0, 0, 0, 0
FROM generate_series(1, 100000) AS n
"""


@pytest.fixture
def crowded() -> Iterator[None]:
    """A hundred thousand executions, and the index that only CockroachDB has."""
    with spoken(), connection.schema_editor() as editor:
        editor.add_index(Execution, LOOK)
    try:
        with connection.cursor() as cursor:
            cursor.execute(FILL)
            cursor.execute("ANALYZE django_workflows_execution")
        yield
    finally:
        with spoken(), connection.schema_editor() as editor:
            editor.remove_index(Execution, LOOK)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("complete", [False, True])
def test_each_probe_of_a_look_reads_one_entry_of_its_index(crowded: None, complete: bool) -> None:
    said: list[tuple[str, Any]] = []

    def hear(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        said.append((str(sql), params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hear):
        see(COCKROACHDB, ["default", "empty"], complete=complete)
    [(sql, params)] = said
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        plan = cursor.fetchone()[0][0]["Plan"]
    places = [node for node in nodes(plan) if node.get("Index Name") == LOOK.name]
    assert len(places) == 40
    assert all(node["Actual Rows"] <= 1 and not node.get("Rows Removed by Filter") for node in places)


def test_the_condition_of_the_index_is_that_of_the_look() -> None:
    """CockroachDB does not use a partial index whose condition it would have to prove."""
    with spoken(), connection.schema_editor(collect_sql=True) as editor:
        text = str(LOOK.create_sql(Execution, editor))
    condition = text.partition(" WHERE ")[2].strip("()").replace('"', "")
    assert sorted(condition.split(" AND ")) == sorted(probes.IN_SIGHT.split(" AND "))


def test_no_other_database_has_that_index() -> None:
    with connection.cursor() as cursor:
        assert LOOK.name not in connection.introspection.get_constraints(cursor, Execution._meta.db_table)
