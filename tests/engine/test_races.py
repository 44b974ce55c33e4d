"""Races in threads: only who wins has consumed its message, whichever thread was faster."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from django_workflows.authoring.context import Context
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import End, Write
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.thread_pool import Helpers
from tests.engine.test_branch_threads import StoresAtOnce
from tests.engine.test_turn import NOW, _claimed, _message

TRIALS = range(400)
PATIENCE = 10
HELPERS = Helpers(16)

Flow = Callable[[Context], Any]


@pytest.fixture(autouse=True)
def _hasty_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def _runner(flow: Flow, names: str) -> ThreadRunner:
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(flow, {"name": "w"})
    return ThreadRunner(
        Loaded(claimed=_claimed(), inbox=[_message(number, name) for number, name in enumerate(names, 1)]),
        definition,
        clock=DatabaseClock(NOW, monotonic()),
        committer=StoresAtOnce(),
        alias="default",
        helpers=HELPERS,
    )


def _output(runner: ThreadRunner) -> Any:
    ending = runner.run()
    assert ending is not None
    assert ending.end is End.COMPLETE, ending
    return msgspec.json.decode(ending.output or "null")


def _wait(name: str, delay: int = 0) -> Flow:
    def branch(ctx: Context) -> str:
        sum(range(delay))
        message = ctx.wait_for_signal(name)
        sum(range(delay))
        return message.name if message else ""

    return branch


def _rest(ctx: Context, names: str) -> str:
    """Of these signals, those that are still there."""
    return "".join(message.name for name in names if (message := ctx.wait_for_signal(name, timeout=0)))


@pytest.mark.parametrize("size", [2, 4])
def test_what_the_losers_waited_for_stays(size: int) -> None:
    """EVT-25: all of it is there at once, and nobody decides which thread comes first."""
    names = "abcd"[:size]
    for seed in TRIALS:
        chance = random.Random(seed)

        def flow(ctx: Context, chance: random.Random = chance) -> list[str]:
            winner = ctx.race(*[_wait(name, chance.randrange(200)) for name in names])
            return [winner.value, _rest(ctx, names)]

        won, rest = _output(_runner(flow, names))
        assert sorted(won + rest) == list(names), seed


def test_what_the_losers_of_nested_races_waited_for_stays() -> None:
    """The inner race is decided, and the outer one by it, before another branch gets its message."""
    for seed in TRIALS:
        chance = random.Random(seed)

        def flow(ctx: Context, chance: random.Random = chance) -> list[str]:
            inner = [_wait(name, chance.randrange(100)) for name in "ab"]
            winner = ctx.race(lambda c: c.race(*inner).value, _wait("c", chance.randrange(200)))
            return [winner.value, _rest(ctx, "abc")]

        won, rest = _output(_runner(flow, "abc"))
        assert sorted(won + rest) == list("abc"), seed


def test_a_step_that_ends_meanwhile_makes_nobody_lose_what_it_has_got() -> None:
    """Who has its message comes to its next call before another branch wins."""
    for seed in TRIALS:
        chance = random.Random(seed)

        def flow(ctx: Context, chance: random.Random = chance) -> list[Any]:
            long = chance.randrange(300)
            winner = ctx.race(_wait("a", chance.randrange(100)), lambda c: c.do("work", sum, range(long)) and "")
            return [winner.index, _rest(ctx, "a")]

        index, rest = _output(_runner(flow, "a"))
        assert rest == ("" if index == 0 else "a"), seed


def test_what_is_decided_is_stored_with_what_decided_it() -> None:
    """A crash between the two would let the other branch win in the replay, and both messages would be gone."""
    for seed in TRIALS[:100]:
        chance = random.Random(seed)

        def flow(ctx: Context, chance: random.Random = chance) -> None:
            ctx.race(_wait("a", chance.randrange(200)), _wait("b", chance.randrange(200)))

        runner = _runner(flow, "ab")
        stored: list[Write] = []
        is_over = threading.Event()

        def store(turn: Turn = runner.turn, stored: list[Write] = stored, is_over: threading.Event = is_over) -> None:
            while not is_over.is_set():
                if (write := turn.take_write()) is not None:
                    stored.append(write)

        pump = threading.Thread(target=store)
        pump.start()
        runner.run()
        is_over.set()
        pump.join(PATIENCE)
        for write in stored:
            decides = any(entry.kind == "race" for entry in write.entries.values())
            assert bool(write.consumed) == decides, seed
