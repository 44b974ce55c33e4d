"""The processes of the demo: started together, started again when they die, stopped together."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEATHS, SECONDS = 5, 60.0  # who dies this often within this time will not do better next time
IMPATIENCE = 3.0
SET_PARENT_DEATH_SIGNAL = 1  # linux/prctl.h


class KeepsDying(Exception):
    """A process has died too often to be started again."""


@dataclass(kw_only=True)
class Child:
    """One process, in a session of its own: Ctrl-C reaches the demo alone, which then stops the others in order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    patience: float  # seconds that it gets to end by itself
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )

    def revive(self) -> str | None:
        """Start it again when it has died; returns what happened. Raises `KeepsDying`."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        self.deaths.append(time.monotonic())
        if len(self.deaths) == DEATHS and self.deaths[-1] - self.deaths[0] < SECONDS:
            raise KeepsDying(
                f"{self.name} died {DEATHS} times, status {status}. Its last words in {self.log}:\n{self.tail()}"
            )
        self.start()
        return f"{self.name} died (status {status}), started again; see {self.log}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def end_with_parent() -> None:
    """Ask Linux to end this process should the demo be killed and cannot do it."""
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


class Interrupts:
    """Ctrl-C and its like. The first is a KeyboardInterrupt; those that follow are counted and interrupt nothing."""

    def __init__(self) -> None:
        self.count, self.is_stopping = 0, False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self)

    def __call__(self, number: int, frame: object) -> None:
        self.count += 1
        if not self.is_stopping:
            self.is_stopping = True
            raise KeyboardInterrupt


def never() -> bool:
    return False


def stop(children: Sequence[Child], is_urgent: Callable[[], bool] = never) -> None:
    """End all and wait for them; when that becomes urgent, ask again and do not wait for long."""
    for patience, until in ((max(child.patience for child in children), is_urgent), (IMPATIENCE, never)):
        for child in children:
            child.ask_to_end()
        if wait_for_end(children, patience, until):
            return
    for child in children:
        child.kill()


def wait_for_end(children: Sequence[Child], seconds: float, until: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not all(child.has_ended() for child in children):
        if time.monotonic() > deadline or until():
            return False
        time.sleep(0.05)
    return True


def free_port(preferred: int) -> int:
    """The preferred port or one of the next that nobody listens on."""
    for port in (*range(preferred, preferred + 20), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No free port was found.")
