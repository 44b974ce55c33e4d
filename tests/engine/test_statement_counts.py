"""What each path costs: at most so many statements and commits, for one execution that is alone.

Under load a group commit, a claim and a load serve dozens of executions at once; `make bench` tells the shares. The
table is shown in docs/benchmarks.md, and this file holds it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from django_workflows import Context, client, clock, conf, workflow
from django_workflows.engine.claims import claims
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import single
from django_workflows.engine.worker import pump
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.engine.worker.keeper import Keeper
from django_workflows.engine.worker.shared_memory import SharedMemory
from django_workflows.models import Execution
from tests.engine.pumps import make_working_pump

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"

# What comes by the clock, or with a worker's begin and end, and not by the execution: looking for work, wake-ups.
BY_THE_CLOCK = re.compile(
    r"\s*(WITH place|WITH unknown|SELECT queue|SELECT DISTINCT workflow|SELECT workflow, version"
    r"|SELECT count\(\*\), COALESCE|SELECT pg_|SET |SELECT \(?statement_timestamp|SELECT strftime|BEGIN|SAVEPOINT"
    r"|RELEASE|UPDATE django_workflows_execution SET\s+status = 'pending', claim = claim)"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Statements, and commits of what they wrote."""

    statements: int
    commits: int

    def __str__(self) -> str:
        return f"{self.statements} / {self.commits}"


# path: on PostgreSQL, on SQLite (and, for statements, CockroachDB)
COSTS: dict[str, tuple[Cost, Cost]] = {
    "`start()`": (Cost(1, 1), Cost(1, 1)),
    "`start_many()` of 1,000": (Cost(2, 1), Cost(2, 1)),
    "`signal()`": (Cost(1, 1), Cost(2, 1)),
    "`send_event()`": (Cost(1, 1), Cost(1, 1)),
    "a turn of one step: claim, step and completion": (Cost(2, 2), Cost(4, 2)),
    "each further sequential step": (Cost(1, 1), Cost(2, 1)),
    "a sleep that begins: claim and parking": (Cost(2, 2), Cost(4, 2)),
    "a sleep that ends: claim, journal, completion": (Cost(3, 2), Cost(5, 2)),
    "a wait for a signal that begins": (Cost(2, 2), Cost(4, 2)),
    "a signal that is received: claim, journal and inbox, completion": (Cost(3, 2), Cost(6, 2)),
    "a child that is started, its parent parked": (Cost(6, 2), Cost(6, 2)),
    "a child that completes, its parent woken": (Cost(4, 2), Cost(4, 2)),
    "a parent that goes on: claim, journal, inbox, outcomes, completion": (Cost(5, 2), Cost(7, 2)),
    "heartbeat of a worker, whatever it holds": (Cost(1, 1), Cost(1, 1)),
    "a look for work": (Cost(1, 0), Cost(1, 0)),
}


class Meter:
    """Counts what this thread's connection does."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.commits = 0
        self._has_counted = False  # a statement of the transaction that is open

    @property
    def cost(self) -> Cost:
        return Cost(len(self.statements), self.commits)

    def hear(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not BY_THE_CLOCK.match(sql):
            self.statements.append(" ".join(sql.split())[:160])
            self._has_counted = True
            self.commits += not context["connection"].in_atomic_block and not sql.lstrip().startswith("SELECT")
        return execute(sql, params, many, context)

    def hear_commit(self) -> None:
        """A commit of nothing but what is done by the clock, or at the end of a worker, is none of a path."""
        self.commits += self._has_counted
        self._has_counted = False


@contextmanager
def metered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """Counts until its end; a statement outside a transaction is one."""
    meter = Meter()
    commit = BaseDatabaseWrapper.commit

    def counted(self: BaseDatabaseWrapper) -> None:
        if self is connection._connections[connection._alias]:  # type: ignore[attr-defined]  # a proxy
            meter.hear_commit()
        commit(self)

    with monkeypatch.context() as patch, connection.execute_wrapper(meter.hear):
        patch.setattr(BaseDatabaseWrapper, "commit", counted)
        yield meter


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, settings: Settings, names: None) -> Iterator[Callable[[], Meter]]:
    """Let a worker's pump work in this thread until nothing is due; what that cost."""
    monkeypatch.setattr(pump, "IDLE_SECONDS", 0.01)
    settings.WORKFLOWS = {"POLL_INTERVAL": 0.02}

    def drain() -> Meter:
        engine = make_working_pump(capabilities_of(["default"]))
        with metered(monkeypatch) as meter:
            engine.run(until_idle=0.0)
        return meter

    yield drain
    clock.reset()


def assert_cost(path: str, meter: Meter, *, less: Cost = Cost(0, 0), divided_by: int = 1) -> None:
    limit = COSTS[path][connection.vendor != "postgresql"]
    cost = Cost(
        (meter.cost.statements - less.statements) // divided_by, (meter.cost.commits - less.commits) // divided_by
    )
    told = "\n".join(meter.statements)
    assert cost.statements <= limit.statements, f"{path}: {cost}, not {limit}\n{told}"
    assert cost.commits <= limit.commits, f"{path}: {cost}, not {limit}\n{told}"


def give_back(number: int) -> int:
    return number


def test_the_doors(monkeypatch: pytest.MonkeyPatch, names: None) -> None:
    @workflow(name="counted")
    def counted(ctx: Context) -> None: ...

    def costs(path: str, call: Callable[[], Any]) -> Any:
        with metered(monkeypatch) as meter:
            result = call()
        assert_cost(path, meter)
        return result

    execution = costs("`start()`", counted.start)
    costs("`start_many()` of 1,000", lambda: client.start_many(counted, [{}] * 1000))
    costs("`signal()`", lambda: client.signal(execution, "go"))
    costs("`send_event()`", lambda: client.send_event("order.paid", {}))


def test_a_step_shares_its_commit_with_the_completion_and_each_further_one_has_its_own(
    work: Callable[[], Meter],
) -> None:
    @workflow(name="counted")
    def counted(ctx: Context, steps: int) -> None:
        for number in range(steps):
            ctx.do(give_back, number)

    counted.start(1)
    one = work()
    assert_cost("a turn of one step: claim, step and completion", one)
    counted.start(10)
    assert_cost("each further sequential step", work(), less=one.cost, divided_by=9)


def test_a_sleep_is_parked_in_one_commit_and_ends_in_another(work: Callable[[], Meter]) -> None:
    @workflow(name="counted")
    def counted(ctx: Context) -> None:
        ctx.sleep("1 hour")

    execution = counted.start()
    assert_cost("a sleep that begins: claim and parking", work())
    assert Execution.objects.get(pk=execution.id).status == "waiting"
    clock.skip(timedelta(hours=2))
    assert_cost("a sleep that ends: claim, journal, completion", work())
    assert Execution.objects.get(pk=execution.id).status == "completed"


def test_a_signal_is_received_in_one_turn(work: Callable[[], Meter]) -> None:
    @workflow(name="counted")
    def counted(ctx: Context) -> None:
        ctx.wait_for_signal("go")

    execution = counted.start()
    assert_cost("a wait for a signal that begins", work())
    execution.signal("go")
    assert_cost("a signal that is received: claim, journal and inbox, completion", work())
    assert Execution.objects.get(pk=execution.id).status == "completed"


def test_a_child_and_its_parent_take_three_turns(work: Callable[[], Meter], monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow(name="grown")
    def grown(ctx: Context) -> None: ...

    @workflow(name="counted")
    def counted(ctx: Context) -> None:
        ctx.run(grown.using(delay="1 hour"))

    execution = counted.start()
    assert_cost("a child that is started, its parent parked", work())
    clock.skip(timedelta(hours=2))
    both = work()
    assert Execution.objects.get(pk=execution.id).status == "completed"
    child, parent = (
        COSTS[path][connection.vendor != "postgresql"]
        for path in (
            "a child that completes, its parent woken",
            "a parent that goes on: claim, journal, inbox, outcomes, completion",
        )
    )
    assert both.cost.statements <= child.statements + parent.statements, "\n".join(both.statements)
    assert both.cost.commits <= child.commits + parent.commits, "\n".join(both.statements)


def test_a_heartbeat_is_one_statement_whatever_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SharedMemory(2)
    memory.slot(0).set("beat", clock.monotonic())
    memory.slot(0).set("held", 500.0)
    read, write = os.pipe()
    os.write(write, uuid4().bytes + bytes([2]))
    os.close(write)
    with metered(monkeypatch) as meter:
        keeper = Keeper(read, memory, memory.slot(1))
        monkeypatch.setattr("django_workflows.engine.worker.keeper.connections.close_all", lambda: None)
        keeper.run()
    os.close(read)
    assert meter.statements
    assert_cost("heartbeat of a worker, whatever it holds", meter)


def test_a_look_for_work_is_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = dialect_of(connection)
    heard: list[str] = []

    def hear(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        heard.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hear):
        single(conf.database(), lambda cursor: claims.peek(cursor, dialect, ["default", "bulk"]))
    assert len(heard) == COSTS["a look for work"][0].statements


def test_the_page_shows_this_table() -> None:
    page = PAGE.read_text()
    missing = [
        line
        for path, (postgresql, sqlite) in COSTS.items()
        if (line := f"| {path} | {postgresql} | {sqlite} |") not in page
    ]
    assert not missing, "\n".join(missing)
