"""A holder that lost its claim cannot change anything of the execution, whatever it still wants to write."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from uuid import UUID

import pytest

from django_workflows.clock import monotonic
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Verdict
from django_workflows.engine.worker.keeper import Keeper
from django_workflows.engine.worker.shared_memory import SharedMemory
from django_workflows.models import Event, Execution, Signal
from tests.proof.interleaving import Session, interleave, two_sessions
from tests.proof.late_turns import LATE_TURNS, LateTurn, picture, successor, zombie
from tests.proof.late_writes import THEFTS, WRITES, everything, release, set_scene
from tests.proof.sampling import RUNS_ALL, seeded
from tests.proof.two_sessions import settle

pytestmark = pytest.mark.django_db(transaction=True)

STRIDE = 4
SAMPLE = 3


@pytest.mark.parametrize("theft", THEFTS)
def test_a_late_write_is_refused(theft: str) -> None:
    """CRS-02: results, failures, back-offs, messages, children, endings; what others hand in with them is stored."""
    for name in WRITES:
        scene, neighbour = set_scene(), set_scene()
        write = WRITES[name](scene)
        THEFTS[theft](scene)
        before = everything()
        refused, stored = store_all("default", [write, neighbour.write(state='{"seen": 2}')])
        assert (refused.verdict, stored.verdict) == (Verdict.FENCED, Verdict.STORED), name
        Execution.objects.filter(pk=neighbour.held.pk).update(state={"seen": 1}, crashes=0)
        assert without_times(everything()) == without_times(before), name


@pytest.mark.parametrize("write", WRITES)
def test_the_same_write_of_the_holder_is_stored(write: str) -> None:
    """Or the proof above could not fail: what it refuses would never have been stored."""
    scene = set_scene()
    before = everything()
    (receipt,) = store_all("default", [WRITES[write](scene)])
    assert receipt.verdict is Verdict.STORED
    assert without_times(everything()) != without_times(before)


def without_times(tables: dict[str, list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """The neighbour's write has touched its row."""
    return [[row | {"updated_at": None} for row in rows] for rows in tables.values()]


@pytest.mark.parametrize("theft", THEFTS)
def test_a_late_heartbeat_extends_nobody_s_lease(theft: str) -> None:
    """CRS-02: nor does news of the old holder's death take the execution from the new one."""
    scene = set_scene()
    THEFTS[theft](scene)
    Execution.objects.filter(pk=scene.held.pk, wake_at__isnull=False).exclude(claimed_by=scene.zombie).update(
        wake_at=scene.held.created_at
    )
    before = everything()
    keep_alive(scene.zombie)
    if theft not in {"the same worker claimed it again", "a cancel was typed as SQL"}:  # it is the holder, or may be
        assert everything() == before
        assert release(scene) == 0
        assert everything() == before


def keep_alive(worker: UUID) -> None:
    """What the keeper does for a worker that beats and holds something."""
    memory = SharedMemory(1)
    memory.slot(0).set("beat", monotonic())
    memory.slot(0).set("held", 1.0)
    read, write = os.pipe()
    os.write(write, worker.bytes + struct.pack("B", 2))
    os.close(write)
    Keeper(read, memory, memory.slot(0)).run()
    os.close(read)


# whole turns


@pytest.fixture
def sessions() -> Iterator[Mapping[str, Session]]:
    with two_sessions() as sessions:
        yield sessions


@seeded(STRIDE, sample=1)
@pytest.mark.parametrize("name", LATE_TURNS)
def test_a_turn_that_lost_its_claim_at_any_statement_leaves_no_trace(
    sessions: Mapping[str, Session], name: str, seed: int
) -> None:
    """CRS-02, CRS-04: the zombie stops before its n-th statement, another one has a turn, the zombie goes on."""
    undisturbed = fight(sessions, name, "")
    places = range(seed, sessions["A"].statements + 1, STRIDE)
    for place in islice(places, None if RUNS_ALL else SAMPLE):
        assert fight(sessions, name, "A" * place + "B" * 100) == undisturbed, f"stopped after {place} statements"


def fight(sessions: Mapping[str, Session], name: str, schedule: str) -> dict[str, Any]:
    """What has come of a turn and of another one that takes place as the schedule says."""
    for model in (Signal, Event, Execution):
        model.objects.all().delete()
    late: LateTurn = LATE_TURNS[name]()
    works = {"A": zombie(late), "B": successor(late)} if schedule else {"A": zombie(late), "B": lambda: None}
    interleave(sessions, schedule, works)
    assert [session.error for session in sessions.values()] == [None, None]
    settle()
    return picture(late)
