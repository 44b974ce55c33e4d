"""`make demo`, as a newcomer sees it: it works, survives what they kill, ends on Ctrl-C, and goes on the next time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from django_workflows.models import Execution
from testproject.billing.models import Invoice
from testproject.demo.data import CUSTOMERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the demo in /proc")

PATIENCE = 100.0
GRACE = 30.0  # steps in flight get so long, and need far less
ONCE_EACH = re.compile(r" \d+ charges, \d+ refunds, 0 duplicates")


class Demo:
    """A demo under way, what it has said, and its processes."""

    def __init__(self, *arguments: str, database_url: str, folder: Path) -> None:
        environment = os.environ | {"DATABASE_URL": database_url, "DEMO_FOLDER": str(folder)}
        command = [sys.executable, "-m", "testproject.demo", "--port", "8300", "--provider-port", "8400", *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said: list[str] = []
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)

    @property
    def text(self) -> str:
        return "".join(self.said)

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.1)

    def wait_for_words(self, words: str | re.Pattern[str]) -> None:
        self.wait_for(lambda: re.search(words, self.text))

    def end(self, by: signal.Signals) -> int:
        self.process.send_signal(by)
        status = self.process.wait(PATIENCE)
        self.listener.join()
        return status


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants_of(pid: int) -> set[int]:
    children = children_of(pid)
    return set(children).union(*map(descendants_of, children))


StartDemo = Callable[..., Demo]


@pytest.fixture
def start_demo(database_url: str, tmp_path: Path) -> Iterator[StartDemo]:
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(*arguments, database_url=database_url, folder=tmp_path / "demo"))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)
        assert demo.process.stdout is not None
        demo.process.stdout.close()


def many_are_completed(least: int) -> bool:
    return Execution.objects.completed().count() > least


def kill_the_workers(demo: Demo) -> None:
    supervisor = re.search(r"the children of process (\d+)", demo.text)
    assert supervisor is not None
    for worker in children_of(int(supervisor[1])):
        os.kill(worker, signal.SIGKILL)


def test_the_demo_survives_dead_workers_ends_on_ctrl_c_and_goes_on_the_next_time(start_demo: StartDemo) -> None:
    first = start_demo()
    first.wait_for_words("200 orders imported, 0 already known")
    for enough in (50, 300, 700):
        first.wait_for(partial(many_are_completed, enough))
        kill_the_workers(first)
    first.wait_for(Execution.objects.for_workflow("bill_customers").completed().exists)
    processes = descendants_of(first.process.pid)
    assert len(processes) >= 4

    began = time.monotonic()
    assert first.end(signal.SIGINT) == 0
    assert time.monotonic() - began < GRACE
    assert "Everything has stopped" in first.text
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert Invoice.objects.count() == CUSTOMERS

    second = start_demo("--seconds", "5")  # time to say what it has counted, on a busy machine too
    assert second.process.wait(PATIENCE) == 0
    second.listener.join()
    assert "0 orders imported, 200 already known" in second.text
    assert "0 servers are rented, 5 have been before" in second.text
    assert ONCE_EACH.search(second.text)
    password = re.compile(r"with the password (\w+)")
    assert password.findall(first.text) == password.findall(second.text)
    assert Invoice.objects.count() == CUSTOMERS
    assert not Execution.objects.failed().exists()


def test_a_database_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    environment = os.environ | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing", "DEMO_FOLDER": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "testproject.demo"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "CommandError: The database nothing cannot be used: " in done.stderr
    assert "Traceback" not in done.stderr
