"""Forks worker processes that meet with accidents. A program that holds the nursery, and the side that speaks with it.

Django is loaded once, by a process that has no threads and no connections, as the supervisor does it; a life then
begins within milliseconds.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from django_workflows.engine.database import outages
from django_workflows.engine.worker import claimer, polling, pump
from django_workflows.engine.worker.process import WorkerOptions, WorkerProcess
from django_workflows.engine.worker.shared_memory import Identity, SharedMemory
from django_workflows.services import CHORES
from tests.proof.database_faults import Accidents, Death
from tests.proof.tapping import tap_everything

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import django; django.setup(); from tests.proof import nursery; nursery.main()"

LOG = "workers.log"
ACCIDENTS = "accidents.log"

OPTIONS = WorkerOptions(
    queues=(),
    threads=4,
    async_slots=10,
    branch_threads=4,
    grace=1.0,
    chores=CHORES,
)


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process from its birth until it has nothing to do, or dies. `dies_at`: number and moment (`Death`)."""

    folder: str
    worker: UUID = msgspec.field(default_factory=uuid4)
    dies_at: tuple[int, str] | None = None
    seed: int = 0
    rate: float = 0.0  # of accidents
    most: int = 0  # of them in a row (`Accidents`)
    is_alone: bool = False
    idle: float = 0.1  # it has nothing to do when nothing falls due within so many seconds
    seconds: float = 60.0  # after which it tells where its threads stand, and ends


class Nursery:
    """Speaks with a nursery that works on the database of this URL."""

    def __init__(self, database_url: str) -> None:
        environment = {"DJANGO_SETTINGS_MODULE": "tests.proof.settings", "DATABASE_URL": database_url}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def live(self, *lives: Life) -> list[int]:
        """Let these lives be lived side by side; their exit statuses."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        orders.write(msgspec.json.encode(lives) + b"\n")
        orders.flush()
        line = answers.readline()
        assert line, "The nursery is gone."
        return msgspec.json.decode(line, type=list[int])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def said(folder: Path) -> str:
    """What the lives of a folder have said."""
    log = folder / LOG
    return log.read_text() if log.exists() else ""


def accidents(folder: Path) -> Iterator[str]:
    """The names of the accidents that they met with."""
    log = folder / ACCIDENTS
    yield from log.read_text().splitlines() if log.exists() else ()


# the program


def main() -> None:
    """Fork for each line of orders, and answer when all of its lives are over."""
    logging.getLogger("django_workflows").setLevel(logging.WARNING)
    pump.IDLE_SECONDS = 0.05  # another life begins soon enough
    outages.FIRST_PAUSE = outages.LONGEST_PAUSE = 0.01  # the database is not away
    claimer.ORPHANS_SECONDS = polling.DISCOVER_SECONDS = 0.2  # what a lost answer has left undone is found soon
    for line in sys.stdin.buffer:
        pids = [_fork(life) for life in msgspec.json.decode(line, type=list[Life])]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.buffer.write(msgspec.json.encode(statuses) + b"\n")
        sys.stdout.buffer.flush()


def _fork(life: Life) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        log = os.open(Path(life.folder) / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = _live(life)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _live(life: Life) -> int:
    faulthandler.dump_traceback_later(life.seconds, exit=True)
    os.environ["SAMPLE_FOLDER"] = life.folder
    if life.dies_at is not None:
        tap_everything(Death(*life.dies_at))
    if life.rate:
        log = (Path(life.folder) / ACCIDENTS).open("a", buffering=1)
        tap_everything(Accidents(life.seed, life.rate, lambda name: log.write(f"{name}\n"), most=life.most))
    identity = Identity(life.worker, 0, life.is_alone)
    options = replace(OPTIONS, until_idle=life.idle)
    return WorkerProcess(identity, options, SharedMemory(1).slot(0)).run()
