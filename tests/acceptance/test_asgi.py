"""The HTTP API on a real ASGI server: many who wait, few threads and connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from django_workflows.models import Execution, Status
from testproject.demo.children import free_port
from tests.acceptance.nursery import ROOT
from tests.acceptance.processes import eventually
from tests.factories import make_execution

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")

WAITING = 20


class Server:
    """uvicorn on the test's database."""

    def __init__(self, database_url: str, session: str) -> None:
        self.headers = {"Cookie": f"sessionid={session}", "Connection": "close"}
        self.port = free_port(8500 + os.getpid() % 500)  # another process of pytest may look for one too
        command = [sys.executable, "-m", "uvicorn", "testproject.asgi:application", "--log-level", "warning"]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "testproject.settings"},
        )

    def answers(self) -> bool:
        try:
            return self.get("/api/").status == 200
        except ConnectionError:
            assert self.process.poll() is None
            return False

    def get(self, path: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=self.headers)
        return connection.getresponse()

    @property
    def threads(self) -> int:
        return len(os.listdir(Path(f"/proc/{self.process.pid}/task")))


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    found = Server(database_url, client.cookies["sessionid"].value)
    try:
        eventually(found.answers)
        yield found
    finally:
        found.process.terminate()
        found.process.wait(20)


def test_streams_and_results_wait_on_an_asgi_server(server: Server) -> None:
    """EXE-13: all who wait are answered at the end, those who went away leave nothing behind."""
    execution = make_execution(Status.WAITING)
    path = f"/api/executions/{execution.id}"
    streams = [server.get(f"{path}/stream") for _ in range(WAITING)]
    for stream in streams:
        assert stream.readline().startswith(b"retry: ")
    gone = server.get(f"{path}/stream")
    gone.readline()
    gone.close()
    with ThreadPoolExecutor(WAITING) as pool:
        results = [pool.submit(lambda: json.loads(server.get(f"{path}/result?wait=30").read())) for _ in range(WAITING)]
        eventually(lambda: all(result.running() for result in results))
        Execution.objects.get(pk=execution.pk).cancel("enough")
        told: list[Any] = [result.result() for result in results]
        texts = list(pool.map(lambda stream: stream.read(), streams))

    assert {document["status"] for document in told} == {"cancelled"}
    assert all(b"event: end" in text for text in texts)
    # some had heard already that it waits; what happened then is the same for all
    heard = [[line for line in text.splitlines() if line.startswith(b"id: ")] for text in texts]
    assert len({tuple(ids[-2:]) for ids in heard}) == 1
    assert {ids[-1] for ids in heard} == {b"id: end"}
    eventually(lambda: server.threads < WAITING)


def test_streams_do_not_hold_up_the_end_of_the_server(server: Server) -> None:
    execution = make_execution(Status.WAITING)
    path = f"/api/executions/{execution.id}"
    stream = server.get(f"{path}/stream")
    assert stream.readline().startswith(b"retry: ")

    server.process.terminate()

    assert b"event: end" not in stream.read()
    assert server.process.wait(20) is not None
