"""Real `runworkflows` processes: started, watched, stopped and killed.

Most are forked by a nursery; what is about the command line, or differs in what is read while modules are loaded, is a
process of its own from its first instruction (`Commands.typed`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from django_workflows.models import Execution, Worker
from tests.acceptance.nursery import ROOT, Born, Nursery

PATIENCE = 60.0
LOOK_SECONDS = 0.02

Process = subprocess.Popen[str] | Born

T = TypeVar("T")


class Command:
    """One `manage.py runworkflows` in a process group of its own, with what it has said."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], nursery: Nursery | None = None
    ) -> None:
        """`environment`: what differs from this process'."""
        self.lines: list[str] = []
        self.environment = {**os.environ, **environment}
        command = ["runworkflows", *arguments]
        self.process: Process = self._type(command) if nursery is None else nursery.start(command, environment)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _type(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # a shell lets what it starts in the background ignore Ctrl-C, and so would the command
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

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
        """The process ids of the workers and of the keeper, those that live."""
        pid = self.process.pid
        try:
            listed = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [child for child in listed if is_alive(child)]

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that serve already, and live."""
        return self._workers_among(self.children)

    @property
    def keeper(self) -> int:
        """The process id of the keeper, 0 while there is none. Only once all workers serve."""
        children = self.children
        return next(iter(set(children) - set(self._workers_among(children))), 0)

    def _workers_among(self, children: Sequence[int]) -> list[int]:
        return list(Worker.objects.filter(pid__in=children, stopped_at=None).values_list("pid", flat=True))

    def kill_a_worker(self) -> int:
        """Kill one that serves, as soon as there is one; its process id. It may have ended by itself meanwhile."""
        victim = eventually(lambda: self.workers, or_tell=lambda: self.text)[0]
        kill(victim)
        return victim

    def wait_until_up(self, workers: int = 1) -> Command:
        eventually(lambda: len(self.workers) >= workers, or_tell=lambda: self.text)
        return self

    # ends

    def send(self, number: signal.Signals) -> None:
        """A signal for the command's first process alone, if it is still there."""
        kill(self.process.pid, number)

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

    def __init__(self, database_url: str, folder: Path, nursery: Nursery | None = None) -> None:
        self.started: list[Command] = []
        self._nursery = nursery
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "tests.sample.settings",
            "DATABASE_URL": database_url,
            "SAMPLE_FOLDER": str(folder),
            "PYTHONUNBUFFERED": "1",
        }

    def use_database(self, url: str) -> None:
        self._environment["DATABASE_URL"] = url

    def __call__(self, *arguments: str, environment: Mapping[str, str] | None = None, **settings: Any) -> Command:
        """`runworkflows`, with these `WORKFLOWS` settings; does not wait until it is up.

        One that has an environment of its own is typed.
        """
        if environment is not None:
            return self.typed(*arguments, environment=environment, **settings)
        return self._start(arguments, self._with(settings), self._nursery)

    def typed(self, *arguments: str, environment: Mapping[str, str] | None = None, **settings: Any) -> Command:
        """The same as somebody types it, in a new interpreter; also what the environment is to change at import."""
        return self._start(arguments, self._with(settings) | {**(environment or {})}, None)

    def _with(self, settings: dict[str, Any]) -> dict[str, str]:
        return self._environment | {"SAMPLE_WORKFLOWS": json.dumps(settings)}

    def _start(self, arguments: Sequence[str], environment: Mapping[str, str], nursery: Nursery | None) -> Command:
        self.started.append(Command(arguments, environment, nursery))
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
    except (FileNotFoundError, ProcessLookupError):  # the second when it ends between opening and reading
        return False


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Unless it has ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def fresh(execution: Any) -> Execution:
    """The execution as it is now."""
    return Execution.objects.get(pk=execution.pk)
