"""A worker that is idle moves what is due at once: what it knows itself it does not have to look for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from django_workflows import Context, conf, workflow
from django_workflows.clock import database_now, monotonic
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.commit.values import Ending
from django_workflows.engine.database import notify
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker import polling, pump
from django_workflows.engine.worker.capabilities import capabilities_of
from django_workflows.engine.worker.pump import Pump
from django_workflows.models import Execution
from tests.engine.pumps import make_working_pump

pytestmark = pytest.mark.django_db(transaction=True)

RARELY = 1.2  # seconds


class Observer:
    """Does something after the first look."""

    def __init__(self, act: Callable[[], Any] = lambda: None) -> None:
        self._act = act

    def looked(self, peek: Peek) -> None:
        act, self._act = self._act, lambda: None
        act()

    def ended(self, turn: Turn, ending: Ending) -> None: ...


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch, settings: Settings, names: None) -> None:
    """A worker looks rarely just because time has passed."""
    monkeypatch.setattr(pump, "IDLE_SECONDS", RARELY / 2)
    settings.WORKFLOWS = {"POLL_INTERVAL": RARELY}


@pytest.fixture
def worker() -> Iterator[Callable[[Observer], Pump]]:
    made: list[Pump] = []

    def make(observer: Observer) -> Pump:
        engine = make_working_pump(capabilities_of(["default"]), reporter=observer)
        made.append(engine)
        notify.subscribe(engine.core.wake_up)
        return engine

    yield make
    for engine in made:
        notify.unsubscribe(engine.core.wake_up)


def test_a_sleep_that_begins_while_nothing_is_due_ends_in_time(
    patient: None, worker: Callable[[Observer], Pump]
) -> None:
    """TMR-01: the worker that has parked it knows when it is due."""

    @workflow(name="nap")
    def nap(ctx: Context) -> None:
        for _ in range(4):
            ctx.sleep(0.05)

    nap.start()
    worker(Observer()).run(until_idle=0.0)
    execution = Execution.objects.get()
    assert execution.completed_at is not None
    assert execution.completed_at - execution.created_at < timedelta(seconds=RARELY)


def test_what_a_wake_up_names_is_claimed_without_a_look(patient: None, worker: Callable[[Observer], Pump]) -> None:
    @workflow(name="named", priority=7)
    def named(ctx: Context) -> None: ...

    said: list[str] = []

    def hear(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if "WITH place" in sql or "WITH due" in sql:
            said.append("look" if "WITH place" in sql else "claim")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hear):
        worker(Observer(named.start)).run(until_idle=0.0)
    assert Execution.objects.get().status == "completed"
    assert said[:3] == ["look", "claim", "look"]


def test_a_wake_up_that_was_wrong_leads_to_a_look(
    patient: None, worker: Callable[[Observer], Pump], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was there; somewhere else there is."""

    @workflow(name="urgent", priority=7)
    def urgent(ctx: Context) -> None: ...

    def mislead() -> None:
        with monkeypatch.context() as silence:
            silence.setattr(engine.core, "wake_up", lambda *told: None)
            silence.setattr(notify, "_in_process", ())
            urgent.start()
        engine.core.wake_up("default", 3)

    engine = worker(Observer(mislead))
    engine.run(until_idle=0.0)
    assert Execution.objects.get().status == "completed"


def test_one_wake_up_after_the_other_does_not_put_off_the_look_that_follows() -> None:
    """A NOTIFY may have been held back, because another came just before."""
    watcher = polling.Polling(("default",), conf.database())
    watcher._look_at = monotonic() + RARELY
    watcher.wake_up("default", 3)
    first = watcher._again_at[0]
    time.sleep(0.002)
    assert watcher.wake_up("default", 5)
    assert watcher.look_at == 0.0
    assert watcher.take_told() == [("default", 5), ("default", 3)]
    assert watcher.look_at == first
    assert not watcher.wake_up("another", 5)


def test_a_higher_priority_that_is_told_of_is_next_whatever_is_left_of_a_backlog(
    monkeypatch: pytest.MonkeyPatch, names: None
) -> None:
    """It need not wait for the next look, which comes only so often while claims find work."""
    done: list[str] = []

    def low_body() -> None:
        done.append("low")
        if len(done) == 3:
            high.using(priority=9).start()
            engine.core.wake_up("default", 9)

    @workflow(name="low")
    def low(ctx: Context) -> None:
        ctx.do(low_body)

    @workflow(name="high")
    def high(ctx: Context) -> None:
        ctx.do(done.append, "high")

    monkeypatch.setattr(pump, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(polling, "PEEK_SECONDS", 60.0)
    monkeypatch.setattr(polling, "AGAIN_SECONDS", (60.0, 61.0))
    monkeypatch.setattr(pump, "CLAIM_SECONDS", 0.0)
    for _ in range(12):
        low.start()
    engine = make_working_pump(capabilities_of(["default"]), reporter=Observer(), threads=1)
    engine.run(until_idle=0.0)
    assert len(done) == 13
    assert done.index("high") <= 4, done


def nothing_due() -> Peek:
    return Peek(
        due={},
        later=[],
        requested=False,
        undispatched=False,
        suspects=0,
        next_schedule=None,
        unplanned=False,
        now=database_now(),
    )


def test_however_many_wake_ups_come_everything_is_looked_at_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they do not tell of, a timer with a higher priority, is not put off by them."""
    now = 100.0
    monkeypatch.setattr(polling, "monotonic", lambda: now)
    watcher = polling.Polling(("default",), "default")
    watcher.plan(nothing_due(), now)
    watcher.wake_up("default", 0)
    first = now
    for _ in range(20):
        now += 0.001
        watcher.wake_up("default", 0)
        assert watcher.take_told() == [("default", 0)]
        assert watcher.see_at == pytest.approx(first + polling.AGAIN_SECONDS[0])
