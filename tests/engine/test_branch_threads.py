"""Branches of a `def` workflow in threads: who waits keeps its thread and goes on alone, and nobody is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from django_workflows.authoring.commands import Gather
from django_workflows.authoring.context import Context
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import End, Receipt, Verdict
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.thread_pool import Helpers, Pool
from tests.engine.test_turn import NOW, _claimed, _message

PATIENCE = 10


class StoresAtOnce:
    def note(self, turn: Turn) -> None: ...

    def flush(self, turn: Turn) -> None:
        if (write := turn.take_write()) is not None:
            turn.receive(write, Receipt(verdict=Verdict.STORED, inbox=write.seen_inbox))


def _runner(fn: Callable[[Context], Any], branch_threads: int) -> ThreadRunner:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(fn, {"name": "w"})
    return ThreadRunner(
        Loaded(claimed=_claimed()),
        definition,
        clock=DatabaseClock(NOW, monotonic()),
        committer=StoresAtOnce(),
        alias="default",
        helpers=Helpers(branch_threads),
    )


@pytest.mark.parametrize("first", ["the one that waits", "the one that works"])
def test_a_branch_that_waits_goes_on_alone_while_its_sibling_works(first: str) -> None:
    went_on, is_working = threading.Event(), threading.Event()

    def work() -> bool:
        is_working.set()
        return went_on.wait(PATIENCE)

    def waits(ctx: Context) -> None:
        ctx.wait_for_signal("go")
        ctx.do("go on", went_on.set)

    def works(ctx: Context) -> bool:
        return ctx.do("work", work)

    branches = (waits, works) if first == "the one that waits" else (works, waits)
    runner = _runner(lambda ctx: ctx.gather(*branches), branch_threads=2)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    assert is_working.wait(PATIENCE)
    runner.turn.mailbox.feed(1, [_message(1)], [])
    assert went_on.wait(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("branch_threads", [0, 1, 2, 5])
def test_all_branches_begin_before_the_turn_is_parked(branch_threads: int) -> None:
    begun: list[int] = []

    def branch(index: int) -> Callable[[Context], None]:
        def wait(ctx: Context) -> None:
            begun.append(index)
            ctx.wait_for_signal("never")

        return wait

    ending = _runner(lambda ctx: ctx.gather(*map(branch, range(5))), branch_threads).run()
    assert ending is not None
    assert ending.end is End.SUSPEND
    assert sorted(begun) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("branch_threads", [0, 1, 2, 5])
def test_no_more_branches_are_in_progress_than_may_be(branch_threads: int) -> None:
    begun: list[int] = []

    def wait(item: int, ctx: Context) -> None:
        begun.append(item)
        ctx.wait_for_signal("never")

    def flow(ctx: Context) -> None:
        ctx._perform(Gather("map", [partial(wait, item) for item in range(5)], 3))

    ending = _runner(flow, branch_threads).run()
    assert ending is not None
    assert ending.end is End.SUSPEND
    assert len(begun) == 3


def test_the_loser_of_a_race_that_waits_for_branches_of_its_own_gives_its_threads_back() -> None:
    is_nested = threading.Event()

    def nested(ctx: Context) -> None:
        def wait(inner: Context) -> None:
            is_nested.set()
            inner.wait_for_signal("never")

        ctx.gather(wait, wait)

    def wins(ctx: Context) -> bool:
        return ctx.do("win", is_nested.wait, PATIENCE)

    runner = _runner(lambda ctx: ctx.race(nested, wins).index, branch_threads=8)
    ending = runner.run()
    assert ending is not None
    assert ending.output == "1"
    branches: Any = runner._threads.helpers
    assert _soon(lambda: branches._branches.unused == 8)


def test_a_branch_that_catches_everything_gives_its_thread_back_after_the_turn() -> None:
    """Its turn is parked and over; a thread that went on calling would keep the processor for ever."""

    def stubborn(ctx: Context) -> None:
        while True:
            try:
                ctx.wait_for_signal("never")
            except BaseException:
                continue

    runner = _runner(lambda ctx: ctx.gather(stubborn, lambda c: c.sleep("1 day")), branch_threads=8)
    assert runner.run() is not None
    branches: Any = runner._threads.helpers
    assert _soon(lambda: branches._branches.unused == 8)


def test_the_last_free_thread_is_given_once() -> None:
    pool, gate, taken = Pool(1, "one"), threading.Event(), []
    barrier = threading.Barrier(8)

    def hold() -> None:
        gate.wait(PATIENCE)

    def ask() -> None:
        barrier.wait(PATIENCE)
        taken.append(pool.try_submit(hold))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    gate.set()
    assert sum(taken) == 1
    assert _soon(lambda: pool.unused == 1)


def _soon(condition: Callable[[], bool]) -> bool:
    until, pause = monotonic() + PATIENCE, threading.Event()
    while not condition() and monotonic() < until:
        pause.wait(0.005)
    return condition()
