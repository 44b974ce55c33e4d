"""The end of a play, for people."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping

from django_workflows.models import FINISHED
from tests.chaos.play import Result
from tests.chaos.stage import SKEWS

MOST = 20  # of what is wrong


def lines(result: Result) -> Iterator[str]:
    verdict = result.verdict
    yield f"Chaos: {result.minutes:g} minutes, seed {result.seed}, {os.cpu_count()} processors, {platform.platform()}"
    yield ""
    yield f"executions started           {sum(result.statuses.values())}"
    for status, count in sorted(result.statuses.items()):
        yield f"    {status:24} {count}"
    yield f"executions finished          {sum(result.statuses[status] for status in FINISHED)}"
    yield from _table("acknowledged to those who asked", result.acknowledged)
    yield from _table(f"faults                       {sum(result.faults.values())}", result.faults)
    yield f"clocks of workers wrong by   {', '.join(f'{skew:+g} s' for skew in SKEWS)}"
    yield from _table("the provider", result.provider)
    yield from _table("an operator had to", result.operator)
    yield ""
    for name, wrong in (
        ("lost", verdict.lost),
        ("duplicated", verdict.duplicated),
        ("stuck", verdict.stuck),
        ("invariants broken", verdict.broken),
        ("trouble of this program", result.trouble),
    ):
        yield f"{name:28} {len(wrong)}"
        yield from (f"    {what}" for what in wrong[:MOST])
    yield ""
    yield f"longest recovery{max(result.recoveries.values(), default=0.0):57.2f} s"
    for kind, seconds in sorted(result.recoveries.items()):
        yield f"longest recovery, {kind:48} {seconds:6.2f} s"
    yield f"all had ended after the last fault within {result.settled:.1f} s"
    yield "All promises were kept." if result.is_good else "NOT ALL PROMISES WERE KEPT."


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        yield title
        yield from (f"    {name:44} {count}" for name, count in sorted(counts.items()))
