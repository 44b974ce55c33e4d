"""Starting a command again when code changes, as runserver does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.utils.autoreload import get_child_arguments, iter_all_python_module_files

from django_workflows.clock import monotonic

RELOAD_STATUS = 3
LOOK_SECONDS = 1.0


class Reloader:
    """In the command: notices changed files, and then asks this process to stop in order."""

    def __init__(self) -> None:
        self.has_changed = False
        self._seen = _modification_times()
        self._look_at = monotonic() + LOOK_SECONDS

    def look(self) -> None:
        if self.has_changed or monotonic() < self._look_at:
            return
        self._look_at = monotonic() + LOOK_SECONDS
        if (changed := _first_change(self._seen)) is not None:
            self.has_changed = True
            sys.stdout.write(f"{changed} changed, starting again.\n")
            os.kill(os.getpid(), signal.SIGTERM)


def run_reloading(marker: str) -> int:
    """The outer process: runs the command in a child, again after each change; its exit status at the end."""
    outer = _Outer()
    signal.signal(signal.SIGTERM, outer.on_signal)
    signal.signal(signal.SIGINT, outer.on_signal)
    while True:
        seen = _modification_times()
        status = outer.run([*get_child_arguments()], {**os.environ, marker: "1"})
        if status == 1:  # the code does not even load: wait until somebody mends it
            while not outer.is_stopping and _first_change(seen) is None:
                time.sleep(LOOK_SECONDS)
        if outer.is_stopping or status not in {1, RELOAD_STATUS}:
            return status


class _Outer:
    """The process around the command; the command hears of a SIGTERM only from here, but of a Ctrl-C by itself."""

    def __init__(self) -> None:
        self.is_stopping = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, arguments: list[str], environment: dict[str, str]) -> int:
        self._child = subprocess.Popen(arguments, env=environment)
        if self.is_stopping:
            self._child.terminate()
        return self._child.wait()

    def on_signal(self, number: int, frame: Any) -> None:
        self.is_stopping = True
        if number == signal.SIGTERM and self._child is not None:
            self._child.terminate()


def _modification_times() -> dict[Path, float]:
    return {path: time for path in iter_all_python_module_files() if (time := _time_of(path)) is not None}


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _first_change(seen: dict[Path, float]) -> Path | None:
    return next((path for path, time in seen.items() if _time_of(path) != time), None)
