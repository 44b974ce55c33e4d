"""Who hangs is found out: whoever is at work must show itself, and whoever waits for the database need not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from django_workflows.clock import monotonic
from django_workflows.engine.database.pulse import Pulse, working
from django_workflows.engine.database.transactions import single, transact
from django_workflows.engine.worker import chores
from django_workflows.engine.worker.chores import Attendant
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.loop_thread import LoopThread

LATER = 1_000.0


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    """Of this thread."""
    mine = Pulse("the test")
    mine.adopt()
    yield mine
    Pulse("nobody").adopt()


def silence(pulse: Pulse) -> float:
    return pulse.silence(monotonic() + LATER)


def test_a_thread_at_work_is_silent_until_it_shows_itself(pulse: Pulse) -> None:
    assert silence(pulse) == 0.0
    pulse.work()
    assert silence(pulse) >= LATER
    assert pulse.silence(monotonic()) < LATER
    pulse.rest()
    assert silence(pulse) == 0.0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [single, transact])
def test_waiting_for_the_database_is_not_hanging(pulse: Pulse, way: Callable[..., Any]) -> None:
    """Nor is a long group commit; the code of users within it is."""
    pulse.work()

    def ask(cursor: Any) -> tuple[float, float]:
        with working():
            return silence(pulse), way("default", lambda cursor: silence(pulse))

    assert way("default", lambda cursor: silence(pulse)) == 0.0
    assert silence(pulse) >= LATER
    at_work, within = way("default", ask)
    assert at_work >= LATER
    assert within == 0.0
    assert way("default", lambda cursor: silence(pulse)) == 0.0


@pytest.mark.django_db(transaction=True)
def test_a_failure_of_the_database_leaves_nobody_at_rest(pulse: Pulse) -> None:
    pulse.work()

    def fail(cursor: Any) -> None:
        raise KeyError("nobody has thought of this")

    with pytest.raises(KeyError):
        transact("default", fail)
    assert silence(pulse) >= LATER


def test_an_event_loop_that_is_blocked_is_silent_and_one_that_is_free_answers() -> None:
    loop = LoopThread(None, None, None, lambda error: None)  # type: ignore[arg-type]  # it needs nobody here
    blocked, free, answered = threading.Event(), threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        free.wait(60)

    async def answer() -> None:
        answered.set()

    loop.ask_for_sign()
    assert silence(loop.pulse) == 0.0  # it has not begun
    loop.submit([block])
    assert blocked.wait(60)
    loop.ask_for_sign()
    assert silence(loop.pulse) >= LATER
    free.set()
    loop.submit([answer])
    assert answered.wait(60)
    assert silence(loop.pulse) == 0.0


def test_an_attendant_whose_chore_hangs_is_silent_where_users_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    began, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def hang(alias: str, peek: Any) -> bool:
        with working():
            began.set()
            goes_on.wait(60)
        return False

    core = Core("default", ())
    attendant = Attendant(core, [hang])
    monkeypatch.setattr(core.commit_queue, "ring", done.set)
    attendant.start()
    attendant.look(uuid4())  # type: ignore[arg-type]  # nobody looks into it
    assert began.wait(60)
    assert not attendant.is_idle
    assert silence(attendant.pulse) >= LATER
    goes_on.set()
    assert done.wait(60)
    assert silence(attendant.pulse) == 0.0
    attendant.stop(60)


def test_a_chore_that_fails_holds_up_no_other_and_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "FIRST_PAUSE", LATER)
    rounds: list[str] = []

    def fail(alias: str, peek: Any) -> bool:
        rounds.append("failed")
        raise KeyError("what is stored makes no sense")

    def work(alias: str, peek: Any) -> bool:
        rounds.append("worked")
        return True

    core = Core("default", ())
    attendant = Attendant(core, [fail, work])
    done = threading.Semaphore(0)
    told = attendant._tell

    def tell(moved: Sequence[bool]) -> None:
        told(moved)
        done.release()

    monkeypatch.setattr(attendant, "_tell", tell)
    attendant.start()
    for _ in range(2):
        attendant.look(uuid4())  # type: ignore[arg-type]  # nobody looks into it
        assert done.acquire(timeout=60)
    attendant.stop(60)
    assert rounds == ["failed", "worked", "worked"]
