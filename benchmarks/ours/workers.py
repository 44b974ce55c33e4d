"""Real workers: `manage.py runworkflows`, as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from benchmarks import processes
from benchmarks.protocol import wait_until
from django_workflows.models import Execution, Worker

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0


class Workers:
    """The worker processes of one `runworkflows`."""

    def __init__(self, command: subprocess.Popen[bytes]) -> None:
        self.command = command

    @property
    def pids(self) -> list[int]:
        """The living, those first that came first."""
        pid = self.command.pid
        living = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        rows = Worker.objects.filter(stopped_at=None, pid__in=living).order_by("started_at")
        return list(rows.values_list("pid", flat=True))

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.pids)

    def memory_mb(self) -> float:
        """Of the largest."""
        return max(processes.memory_mb(pid) for pid in self.pids)


@contextmanager
def workers(*arguments: str, count: int = 1) -> Iterator[Workers]:
    """`runworkflows` with so many processes, once they serve; ended in order."""
    command = subprocess.Popen(
        [sys.executable, "manage.py", "runworkflows", "-v", "0", "--processes", str(count), *arguments],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"},
        stdout=sys.stderr,
    )
    try:
        found = Workers(command)
        wait_until(lambda: len(found.pids) == count, within=PATIENCE, what="the workers")
        yield found
    finally:
        command.send_signal(signal.SIGTERM)
        command.wait(PATIENCE)


def drained() -> bool:
    """Whether nothing is unfinished. Raw and small, because it is asked while others are measured."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM django_workflows_execution WHERE completed_at IS NULL LIMIT 1")
        return cursor.fetchone() is None


def wait_until_drained(within: float = PATIENCE) -> None:
    wait_until(drained, within=within, what="the executions to finish")


def completed(workflow: str) -> int:
    """How many executions of a workflow have completed."""
    return Execution.objects.for_workflow(workflow).completed().count()
