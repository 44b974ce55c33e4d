"""Many look at the same schedules at once, and die in the midst: each moment has one execution all the same."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from django_workflows import Context, clock, workflow
from django_workflows.authoring.registry import registry
from django_workflows.engine.worker.workflow_rows import publish
from django_workflows.models import Execution, Trigger, Workflow
from django_workflows.triggers import manual, registering, syncing
from django_workflows.triggers.scheduling import fire_due

THREADS = 6

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def raced(ctx: Context) -> None: ...


@pytest.fixture(autouse=True)
def clean(transactional_db: None) -> Iterator[None]:
    Trigger.objects.all().delete()
    yield
    clock.reset()


def schedule(text: str = "every second", **config: Any) -> Trigger:
    return registering.create("raced", "schedule", text, {"overlap": "allow", **config})


def at_once(work: Callable[[], Any]) -> list[Any]:
    """Each thread does it, all beginning together, on a connection of its own."""
    barrier = threading.Barrier(THREADS)

    def one(_: int) -> Any:
        try:
            barrier.wait()
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def keys() -> list[str]:
    return sorted(str(key) for key in Execution.objects.values_list("idempotency_key", flat=True))


def test_many_who_look_at_once_start_each_moment_once() -> None:
    """SCH-01."""
    triggers = [schedule(text, catch_up_all=1000) for text in ("every second", "every 2 seconds")]
    now = clock.database_now()
    Trigger.objects.update(scheduled_until=now - timedelta(seconds=60), next_at=now - timedelta(seconds=60))

    def look() -> int:
        return sum(len(fire_due("default").started) for _ in range(10))

    total = sum(at_once(look))

    assert total == Execution.objects.count() == len(set(keys()))
    assert 90 <= total <= 96
    assert sum(Trigger.objects.values_list("trigger_count", flat=True)) == total
    assert {trigger.pk for trigger in triggers} == set(Execution.objects.values_list("trigger_id", flat=True))


def test_a_backfill_beside_the_schedule_and_another_backfill_starts_nothing_twice() -> None:
    """SCH-08."""
    trigger = schedule("every minute", catch_up_all=1000)
    now = clock.database_now()
    start = now - timedelta(minutes=20)
    Trigger.objects.update(scheduled_until=start, next_at=start)
    turns = itertools.count()

    def work() -> int:
        if next(turns) % 2:
            return manual.backfill(trigger, start, now).started
        return sum(len(fire_due("default").started) for _ in range(3))

    total = sum(at_once(work))

    assert total == len(keys()) == len(set(keys()))
    assert total in {20, 21}


def test_many_workers_that_start_with_the_same_schedules_make_one_row_each() -> None:
    """SCH-10: and what the operator has paused stays paused."""
    paused = Trigger.objects.filter(workflow="bill_customers")
    publish("default", only_missing=True)
    syncing.sync("default", only_missing=True)
    registering.disable(paused.get(), "holiday")
    Trigger.objects.exclude(pk=paused.get().pk).delete()

    at_once(lambda: syncing.sync("default", only_missing=True))

    wanted = sum(len(found.options.triggers) for found in registry.workflows())
    assert Trigger.objects.filter(retired_at=None).count() == wanted
    assert (paused.get().enabled, paused.get().note) == (False, "holiday")


class Killed(BaseException):
    """The worker dies here."""


class Saboteur:
    """Raises before, or after, one of the statements."""

    def __init__(self, at: int, error: BaseException, *, after: bool) -> None:
        self.seen, self._at, self._error, self._after = 0, at, error, after

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        if self.seen == self._at and not self._after:
            raise self._error
        result = execute(sql, params, many, context)
        if self.seen == self._at and self._after:
            raise self._error
        return result


def fire_with(saboteur: Saboteur) -> None:
    with connection.execute_wrapper(saboteur):
        fire_due("default")


def make_due(trigger: Trigger) -> None:
    """One moment is due, an execution is under way, and nothing else has been."""
    Execution.objects.all().delete()
    manual.fire(trigger)
    now = clock.database_now()
    values: dict[str, Any] = {"next_at": now, "scheduled_until": now - timedelta(hours=1), "trigger_count": 0}
    Trigger.objects.filter(pk=trigger.pk).update(**values)


def started() -> list[Execution]:
    return list(Execution.objects.filter(idempotency_key__startswith="schedule:"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_dies_at_any_statement_leaves_nothing_and_repeats_nothing(after: bool) -> None:
    """SCH-01: killed before or after each statement of a round."""
    Workflow.objects.get_or_create(name="raced")
    trigger = schedule("every hour", overlap="cancel_other")
    for at in itertools.count(1):
        make_due(trigger)
        saboteur = Saboteur(at, Killed(), after=after)
        try:
            fire_with(saboteur)
        except Killed:
            connection.close()  # as its process would
            assert len(started()) == Execution.objects.filter(status="cancelled").count()  # all of it, or nothing
            fire_due("default")
        fire_due("default")
        assert len(started()) == 1
        assert Execution.objects.filter(status="cancelled").count() == 1
        trigger.refresh_from_db()
        assert trigger.trigger_count == 1
        if saboteur.seen < at:
            assert at > 5
            return


def test_a_conflict_at_any_statement_is_tried_again() -> None:
    """SCH-01: 40001, as CockroachDB has it."""
    trigger = schedule("every hour")
    for at in itertools.count(1):
        make_due(trigger)
        error = OperationalError("restart transaction")
        error.sqlstate = "40001"  # type: ignore[attr-defined]  # as a driver's error has it
        saboteur = Saboteur(at, error, after=False)
        fire_with(saboteur)
        assert len(started()) == 1
        trigger.refresh_from_db()
        assert trigger.trigger_count == 1
        if saboteur.seen < at:
            return
