"""Starts `runworkflows` by forking from a process that has loaded everything. A program, and the side that orders.

A new interpreter takes the better part of a second of processor time to import Django and the project, again for each
start; a fork takes milliseconds. The child is what the command line would have made: it leads a session of its own,
has the environment and the settings of its order, and no connection, thread or file of anybody else.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.conf import settings
from django.core.checks import run_checks
from django.core.management import execute_from_command_line
from django.db import connections
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import django; django.setup(); from tests.acceptance import nursery; nursery.main()"
SETTINGS = "tests.sample.settings"
MOST_BYTES = 65_536
FIRST_FILE, LAST_FILE = 3, 256  # what a child may have inherited


class Born:
    """A process of the nursery, to be used like a `Popen`."""

    def __init__(self, pid: int, output: int, status: int) -> None:
        self.pid = pid
        self.stdout = os.fdopen(output, encoding="utf-8")
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it lives."""
        return self._code if self._code is not None else self._ask(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises `subprocess.TimeoutExpired`."""
        if self._code is None and self._ask(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self._code is not None
        return self._code

    def _ask(self, timeout: float | None) -> int | None:
        if select.select([self._status], [], [], timeout)[0]:
            self._code = int(os.read(self._status, 10) or -signal.SIGKILL)  # silent when the nursery itself was killed
            os.close(self._status)
        return self._code


class Nursery:
    """Speaks with the program, which starts with the first order."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Born:
        """`manage.py` with these arguments; the environment is what differs from this process'."""
        if self._process is None:
            self._process = self._load(environment)
        (output, write_output), (status, write_status) = os.pipe(), os.pipe()
        order = json.dumps({"arguments": [*arguments], "environment": {**environment}}).encode()
        socket.send_fds(self._orders, [order], [write_output, write_status])
        os.close(write_output)
        os.close(write_status)
        pid = self._orders.recv(MOST_BYTES)
        assert pid, "The nursery is gone."
        return Born(int(pid), output, status)

    def _load(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._theirs:
            return subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                cwd=ROOT,
                env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": SETTINGS, "PYTHONUNBUFFERED": "1"},
                stdin=self._theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def close(self) -> None:
        self._orders.close()
        self._theirs.close()
        if self._process is not None:
            self._process.kill()  # its children have ended with their tests
            self._process.wait()


# the program

_statuses: dict[int, int] = {}  # where to tell how a child has ended


def main() -> None:
    """Fork for each order, until nobody is there to give any."""
    _load_everything()
    with socket.socket(fileno=os.dup(0)) as orders:
        signal.signal(signal.SIGCHLD, _reap)
        while True:
            order, files, _, _ = socket.recv_fds(orders, MOST_BYTES, 2)
            if not order:
                return
            orders.send(str(_fork(order, *files)).encode())


def _load_everything() -> None:
    """What the command imports when it begins. No connection is opened."""
    importlib.import_module("django_workflows.management.commands.runworkflows")
    MigrationLoader(None)
    run_checks()
    for alias in connections:
        connections[alias]  # loads the backend
        del connections[alias]
    gc.collect()
    gc.freeze()


def _fork(order: bytes, output: int, status: int) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # it may end before it is known
    if pid := os.fork():
        _statuses[pid] = status
        os.close(output)
    else:
        _live(order, output)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    return pid


def _reap(number: int, frame: object) -> None:
    while _statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        file = _statuses.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody asks any more
            os.write(file, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(file)


def _live(order: bytes, output: int) -> None:
    code = 1
    try:
        _begin_anew(output)
        asked = json.loads(order)
        _set_up(asked["environment"])
        execute_from_command_line(["manage.py", *asked["arguments"]])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _begin_anew(output: int) -> None:
    """As `Popen(stdin=DEVNULL, stderr=STDOUT, start_new_session=True)` begins."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(file, number)
    os.closerange(FIRST_FILE, LAST_FILE)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts in the background
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _set_up(environment: Mapping[str, str]) -> None:
    """Read the settings again in the environment of the order."""
    os.environ.update(environment)
    module = importlib.reload(importlib.import_module(SETTINGS))
    for name in filter(str.isupper, dir(module)):
        setattr(settings, name, getattr(module, name))
    connections.settings = connections.configure_settings(None)
