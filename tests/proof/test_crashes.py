"""A worker dies before and after every statement and commit of an execution's life, and nothing is lost or doubled."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest

from tests.proof.conftest import NewTrial
from tests.proof.database_faults import MOMENTS
from tests.proof.sampling import RUNS_ALL, seeded

STRIDE = 50
FIRST_LIFE = 400  # statements; it takes more of them, but these belong to every life
RECOVERY = 40
SAMPLE = 1  # death of one share


@seeded(STRIDE, sample=1)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_may_die_at_every_statement(new_trial: NewTrial, moment: str, seed: int) -> None:
    """CRS-16, STP-02, STP-06, EVT-10: every 50th statement from this one on, until a worker lives to the end."""
    numbers = count(1 + seed, STRIDE)
    for number in numbers if RUNS_ALL else Random().sample(range(1 + seed, FIRST_LIFE, STRIDE), SAMPLE):
        trial = new_trial()
        died = trial.live(trial.life(dies_at=(number, moment)))
        trial.finish()
        trial.check()
        if not died:
            return


@seeded(40, sample=1)
def test_workers_may_die_while_they_recover(new_trial: NewTrial, seed: int) -> None:
    """CRS-17: ten deaths one after the other. What looks like a poison by then is resumed by an operator."""
    random, trial = Random(seed), new_trial()
    trial.live(trial.life(dies_at=(random.randint(1, FIRST_LIFE), random.choice(MOMENTS))))
    for _ in range(9):
        trial.resume_quarantined()
        trial.live(trial.life(dies_at=(random.randint(1, RECOVERY), random.choice(MOMENTS)), is_alone=trial.is_suspect))
    trial.finish()
    trial.check()


@seeded(40, sample=1)
def test_two_workers_may_die_at_once(new_trial: NewTrial, seed: int) -> None:
    """CRS-16, STP-06: side by side they share the family of executions."""
    random, trial = Random(seed), new_trial()
    for _ in range(2):
        fates = [(random.randint(1, FIRST_LIFE // 2), random.choice(MOMENTS)) for _ in range(2)]
        trial.live(*(trial.life(dies_at=fate) for fate in fates))
    trial.finish()
    trial.check()
