"""Real `runworkflows` processes: started, watched, stopped and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django_workflows.models import Execution, Worker

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0
LOOK_SECONDS = 0.01

T = TypeVar("T")


class Command:
    """One `manage.py runworkflows` in a process group of its own, with what it has said."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runworkflows", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    # its processes

    @property
    def children(self) -> list[int]:
        """The process ids of the workers and of the keeper."""
        pid = self.process.pid
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that serve already."""
        children = self.children
        return list(Worker.objects.filter(pid__in=children, stopped_at=None).values_list("pid", flat=True))

    @property
    def keeper(self) -> int:
        """The process id of the keeper, 0 while there is none. Only once all workers serve."""
        return next(iter(set(self.children) - set(self.workers)), 0)

    def wait_until_up(self, workers: int = 1) -> Command:
        eventually(lambda: len(self.workers) >= workers, or_tell=lambda: self.text)
        return self

    # ends

    def send(self, number: signal.Signals) -> None:
        """A signal for the command's first process alone."""
        os.kill(self.process.pid, number)

    def send_to_all(self, number: signal.Signals) -> None:
        """A signal for the whole group, as a service manager sends it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It does not end:\n{self.text}") from None
        self._listener.join(5)
        return status

    def kill(self) -> None:
        """All processes at once."""
        self.send_to_all(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        self.send_to_all(signal.SIGKILL)
        self.process.wait()
        self._listener.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Commands:
    """Starts commands on the test's database, and ends them all at the end."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.started: list[Command] = []
        self._environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.sample.settings",
            "DATABASE_URL": database_url,
            "SAMPLE_FOLDER": str(folder),
            "PYTHONUNBUFFERED": "1",
        }

    def use_database(self, url: str) -> None:
        self._environment["DATABASE_URL"] = url

    def __call__(self, *arguments: str, environment: dict[str, str] | None = None, **settings: Any) -> Command:
        """`runworkflows`, with these `WORKFLOWS` settings; does not wait until it is up."""
        more = {"SAMPLE_WORKFLOWS": json.dumps(settings), **(environment or {})}
        self.started.append(Command(arguments, self._environment | more))
        return self.started[-1]

    def up(self, *arguments: str, workers: int = 1, **settings: Any) -> Command:
        """`runworkflows`, once its workers serve."""
        return self(*arguments, **settings).wait_until_up(workers)

    def close(self) -> None:
        for command in self.started:
            command.close()

    @property
    def text(self) -> str:
        return "\n".join(f"--- runworkflows, process {one.process.pid}\n{one.text}" for one in self.started)


def eventually(condition: Callable[[], T], within: float = PATIENCE, or_tell: Callable[[], str] = str) -> T:
    """The first true value of the condition."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"It did not happen within {within:g} s.\n{or_tell()}")
        time.sleep(LOOK_SECONDS)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)


def fresh(execution: Any) -> Execution:
    """The execution as it is now."""
    return Execution.objects.get(pk=execution.pk)
