"""`manage.py measure`: start loads, let a worker drain them, print the rates. Run by `benchmarks.throughput`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db.models import Max, Min

from django_workflows.client import start_many
from django_workflows.models import Execution


@dataclass(frozen=True, slots=True)
class Load:
    """So many executions of a workflow, each with so many steps."""

    workflow: str
    executions: int
    steps: int


LOADS = (Load("one_step", 3000, 1), Load("sequence", 300, 10), Load("async_sequence", 600, 10))


class Command(BaseCommand):
    help = "Measures workflows and steps per second in one worker process."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        for load in LOADS:
            start_many(load.workflow, [{"number": load.steps}] * load.executions)
            subprocess.run([sys.executable, "manage.py", "runworkflows", "--drain", "-v", "0"], check=True)
            self.stdout.write(result(load))


def result(load: Load) -> str:
    """From the first claim to the last completion, without the start of the process."""
    completed = Execution.objects.for_workflow(load.workflow).completed()
    span = completed.aggregate(begin=Min("started_at"), end=Max("completed_at"))
    count = completed.count()
    rate = count / (span["end"] - span["begin"]).total_seconds()
    return f"{load.workflow:<16} {rate:>8,.0f} executions/s {rate * load.steps:>9,.0f} steps/s   ({count} completed)"
