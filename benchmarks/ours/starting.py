"""W7: how many executions one process starts in a second."""

from __future__ import annotations

import time

from benchmarks.protocol import Measurement, Reading, Sizes
from django_workflows.client import start, start_many
from django_workflows.models import Execution


def starts(sizes: Sizes) -> Reading:
    """One by one, each in a transaction of its own; then all in one call. No worker is there."""
    singles, many = sizes["samples"], sizes["executions"]
    for number in range(50):
        start("one_step", number)
    began = time.perf_counter()
    for number in range(singles):
        start("one_step", number)
    single = singles / (time.perf_counter() - began)
    inputs = [{"number": number} for number in range(many)]
    began = time.perf_counter()
    start_many("one_step", inputs)
    figures = {"rate": single, "many": many / (time.perf_counter() - began)}
    return Reading(figures=figures, completed=Execution.objects.count(), expected=50 + singles + many)


MEASUREMENTS: dict[str, Measurement] = {"W7": starts}
