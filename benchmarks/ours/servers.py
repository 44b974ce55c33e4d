"""The web servers that people put before Django, as a user starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from benchmarks.ours.workers import PATIENCE, ROOT
from benchmarks.protocol import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A command that serves on `{port}`, how often it is there, and with how many processes each."""

    command: str
    instances: int
    processes: int
    environment: Mapping[str, str] = field(default_factory=dict)


# As `uvicorn --workers 2`, it would send each answer in two packets and hold back the second until the first is
# acknowledged, 40 ms later (https://github.com/Kludex/uvicorn/issues/3149). So two of them, as in two containers.
SERVERS = {
    "gunicorn": Server(
        command="gunicorn testproject.wsgi:application --bind 127.0.0.1:{port} --workers 2"
        " --worker-class gthread --threads 4 --log-level warning",
        instances=1,
        processes=2,
    ),
    "uvicorn": Server(
        command="uvicorn testproject.asgi:application --host 127.0.0.1 --port {port}"
        " --lifespan off --no-access-log --log-level warning",
        instances=2,
        processes=1,
        environment={"BENCH_POOL": "1"},
    ),
}


@contextmanager
def serving(server: Server) -> Iterator[Sequence[int]]:
    """The port of each instance."""
    with ExitStack() as stack:
        yield [stack.enter_context(_instance(server)) for _ in range(server.instances)]


@contextmanager
def _instance(server: Server) -> Iterator[int]:
    """The port, once all processes answer; ended in order."""
    port = _free_port()
    command = subprocess.Popen(
        [sys.executable, "-m", *server.command.format(port=port).split()],
        cwd=ROOT,
        env=os.environ | server.environment | {"DJANGO_SETTINGS_MODULE": "benchmarks.settings_http"},
        stdout=sys.stderr,
    )
    answered: set[str] = set()

    def all_answer() -> bool:
        if command.poll() is not None:
            raise RuntimeError(f"{server.command} ended with {command.returncode}; what it said stands above.")
        answered.update(_process(port))
        return len(answered) == server.processes

    try:
        wait_until(all_answer, within=PATIENCE, every=0.01, what="the web server")
        yield port
    finally:
        command.send_signal(signal.SIGTERM)
        command.wait(PATIENCE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _process(port: int) -> list[str]:
    """Which process answers, if one does: each time on another connection, which any of them may take."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/process")
        return [connection.getresponse().read().decode()]
    except (OSError, HTTPException):
        return []
    finally:
        connection.close()
