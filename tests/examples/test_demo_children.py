"""The processes of the demo: revived when they die, ended together, also when the demo itself is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testproject.demo.children import DEATHS, Child, Interrupts, KeepsDying, free_port, stop

FOREVER = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"

MakeChild = Callable[[str], Child]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[MakeChild]:
    made: list[Child] = []

    def make(code: str) -> Child:
        made.append(
            Child(
                name="The child",
                command=[sys.executable, "-c", code],
                environment=os.environ,
                log=tmp_path / f"{len(made)}.log",
                patience=10,
            )
        )
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_that_was_killed_is_started_again(child: MakeChild) -> None:
    one = child(FOREVER)
    assert one.revive() is None
    one.kill()
    assert "died (status -9), started again" in (one.revive() or "")
    assert not one.has_ended()


def test_a_child_that_cannot_live_is_given_up_with_its_last_words(child: MakeChild) -> None:
    one = child("raise SystemExit('no such table')")
    for _ in range(DEATHS - 1):
        until(one.has_ended)
        one.revive()
    until(one.has_ended)
    with pytest.raises(KeepsDying, match="no such table"):
        one.revive()


def test_stopping_asks_all_to_end_and_waits_for_them(child: MakeChild) -> None:
    children = [child(FOREVER), child(FOREVER)]
    stop(children)
    assert [one.process.returncode for one in children if one.process] == [-15, -15]


def test_a_child_that_does_not_listen_is_killed(child: MakeChild) -> None:
    one = child(DEAF)
    until(lambda: "ready" in one.tail())
    one.patience = 0.1
    stop([one])
    assert one.process is not None
    assert one.process.returncode == -9


def test_stopping_that_becomes_urgent_waits_no_longer(child: MakeChild) -> None:
    one = child(DEAF)
    until(lambda: "ready" in one.tail())
    began = time.monotonic()
    stop([one], lambda: True)
    assert time.monotonic() - began < one.patience
    assert one.has_ended()


def test_only_the_first_interrupt_interrupts() -> None:
    """One that comes while the others are being stopped must not end that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        interrupts = Interrupts()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.count == 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_stopping_before_anything_has_started_is_no_error(tmp_path: Path) -> None:
    stop([Child(name="", command=["true"], environment={}, log=tmp_path / "log", patience=1)])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_children_end_when_the_demo_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, pathlib, time
from testproject.demo.children import Child
child = Child(name="", command=["sleep", "600"], environment=os.environ, log=pathlib.Path({str(tmp_path / "log")!r}),
              patience=1)
child.start()
print(child.process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        pid = int(demo.stdout.readline())
        demo.kill()
    until(lambda: not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
