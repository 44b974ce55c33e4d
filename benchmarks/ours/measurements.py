"""Everything that can be measured of us."""

from __future__ import annotations

from django.core.management import call_command

from benchmarks.ours import claims, crowds, events, growth, http, idle, latency, starting, throughput
from benchmarks.protocol import Measurement, Reading, Sizes


def prepare(sizes: Sizes) -> Reading:
    call_command("migrate", verbosity=0)
    return Reading()


MEASUREMENTS: dict[str, Measurement] = {
    "prepare": prepare,
    **throughput.MEASUREMENTS,
    **latency.MEASUREMENTS,
    **crowds.MEASUREMENTS,
    **starting.MEASUREMENTS,
    **idle.MEASUREMENTS,
    **claims.MEASUREMENTS,
    **growth.MEASUREMENTS,
    **events.MEASUREMENTS,
    **http.MEASUREMENTS,
}
