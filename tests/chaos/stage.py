"""The server, the payment provider and the gangs of workers, and what can be done to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connections

from testproject.provider.faults import Faults
from testproject.provider.server import Provider
from tests.acceptance.processes import Command

SKEWS = (300.0, -300.0)
PROCESSES, THREADS = 2, 12
FAULTS = Faults(seed=1, fail=0.05, hang=0.01, drop=0.05, hang_seconds=4.0)


class Server:
    """The database, and for how long it has answered in all. Without a postmaster it stands elsewhere, and stays up."""

    def __init__(self, postmaster: Any = None) -> None:
        self._postmaster = postmaster
        self.is_ours = postmaster is not None
        self._lock = threading.Lock()
        self._up_since: float | None = time.monotonic()
        self._was_up = 0.0

    @property
    def is_up(self) -> bool:
        return self._up_since is not None

    def uptime(self) -> float:
        """Seconds in which it could be asked: a clock that stands while it is away."""
        with self._lock:
            return self._was_up + (0.0 if self._up_since is None else time.monotonic() - self._up_since)

    def stop(self) -> None:
        self._goes()
        self._postmaster.stop()

    def crash(self) -> None:
        """No checkpoint, no goodbye: it recovers from its log."""
        self._goes()
        os.kill(self._postmaster.get_pid(), signal.SIGQUIT)
        while self._postmaster.get_postmaster_info().is_running():
            time.sleep(0.02)

    def start(self) -> None:
        self._postmaster.start()
        with self._lock:
            self._up_since = self._up_since or time.monotonic()

    def _goes(self) -> None:
        with self._lock:
            self._was_up += 0.0 if self._up_since is None else time.monotonic() - self._up_since
            self._up_since = None


@dataclass(slots=True)
class Fleet:
    """One `runworkflows` with its processes. `stopped`: process ids that SIGSTOP holds, and until when."""

    command: Command
    skew: float
    stopped: dict[int, float] = field(default_factory=dict)

    @property
    def children(self) -> list[int]:
        """Those that go on; the keeper is one of them."""
        return [pid for pid in self.command.children if pid not in self.stopped]

    @property
    def is_alive(self) -> bool:
        return self.command.process.poll() is None


class Stage:
    """All processes of a play."""

    def __init__(self, server: Server, provider: Provider, folder: Path) -> None:
        self.server, self.provider, self.folder = server, provider, folder
        self.fleets: list[Fleet] = []
        self.retired: list[Fleet] = []

    def start_fleet(self, skew: float) -> Fleet:
        arguments = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
        environment = os.environ | {"CHAOS_SKEW": str(skew), "PYTHONUNBUFFERED": "1"}
        fleet = Fleet(Command(arguments, environment), skew)
        self.fleets.append(fleet)
        return fleet

    def retire(self, fleet: Fleet) -> None:
        """It was told to end, or killed: another one takes its place."""
        self.fleets.remove(fleet)
        self.retired.append(fleet)

    def send(self, pid: int, number: signal.Signals) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def go_on(self, *, all_of_them: bool = False) -> None:
        """Continue those whose time to stand still is over."""
        for fleet in self.fleets:
            for pid, until in list(fleet.stopped.items()):
                if all_of_them or time.monotonic() >= until:
                    del fleet.stopped[pid]
                    self.send(pid, signal.SIGCONT)

    def close(self) -> None:
        for fleet in [*self.fleets, *self.retired]:
            fleet.command.close()
            (self.folder / f"workers-{fleet.command.process.pid}.log").write_text(fleet.command.text)
        connections.close_all()


@contextmanager
def provider_in(folder: Path) -> Iterator[Provider]:
    """The provider, in threads of this process, with its ledger in a file."""
    for old in folder.glob("ledger.sqlite3*"):
        old.unlink()
    with Provider(folder / "ledger.sqlite3", faults=FAULTS) as provider:
        thread = threading.Thread(target=provider.serve_forever, daemon=True)
        thread.start()
        yield provider
        provider.shutdown()
        thread.join(5)


def migrate() -> None:
    """In a process of its own, which leaves no connection behind."""
    for command in ("migrate", "loaddata products"):
        arguments = [*command.split(), "--verbosity", "0", "--skip-checks"]
        subprocess.run([sys.executable, "manage.py", *arguments], check=True)
