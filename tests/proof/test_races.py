"""Two sessions act on one execution in every order of their statements: no wake-up is lost, and there is one winner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import pytest

from tests.proof.interleaving import Session, interleave, schedules, two_sessions
from tests.proof.sampling import RUNS_ALL, seeded
from tests.proof.two_sessions import ENCOUNTERS, settle

STRIDE = 40
SAMPLE = 2


@pytest.fixture
def sessions(transactional_db: None) -> Iterator[Mapping[str, Session]]:
    with two_sessions() as sessions:
        yield sessions


@seeded(STRIDE, sample=1)
@pytest.mark.parametrize("name", ENCOUNTERS)
def test_of_two_sessions(sessions: Mapping[str, Session], name: str, seed: int) -> None:
    """EVT-06, EVT-12, CAN-06, CHD-04, CHD-06, CHD-13: one share of the schedules."""
    of_a, of_b = lengths(sessions, name)
    for schedule in islice(schedules(of_a, of_b, seed, STRIDE), None if RUNS_ALL else SAMPLE):
        fight(sessions, name, schedule)


def lengths(sessions: Mapping[str, Session], name: str) -> list[int]:
    """How many statements each has when the other is quick."""
    fight(sessions, name, "")
    return [session.statements for session in sessions.values()]


def fight(sessions: Mapping[str, Session], name: str, schedule: str) -> None:
    encounter = ENCOUNTERS[name]()
    interleave(sessions, schedule, {"A": encounter.a, "B": encounter.b})
    settle()
    try:
        encounter.check(sessions)
    except AssertionError as error:
        raise AssertionError(f"Schedule {schedule!r}: {error}") from error
