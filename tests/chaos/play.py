"""All of it, one after the other: begin, break, mend, wait for the end, look."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection

from django_workflows import TransitionError, operations
from django_workflows.models import Execution
from tests.chaos import load, verdict
from tests.chaos.faults import Faults
from tests.chaos.load import Load
from tests.chaos.recovery import Recoveries
from tests.chaos.stage import SKEWS, Server, Stage, provider_in

CUSTOMERS = 2  # threads
PATIENCE = 180.0  # seconds after the last fault within which everything has ended
TELL_SECONDS = 15.0


@dataclass(kw_only=True)
class Result:
    """What the report tells."""

    minutes: float
    seed: int
    verdict: verdict.Verdict = field(default_factory=verdict.Verdict)
    statuses: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, float] = field(default_factory=dict)
    operator: Counter[str] = field(default_factory=Counter)  # what an operator did
    provider: dict[str, int] = field(default_factory=dict)
    settled: float = 0.0  # seconds after the last fault until all had ended
    trouble: list[str] = field(default_factory=list)  # of the play itself

    @property
    def is_good(self) -> bool:
        return self.verdict.is_good and not self.trouble


def play(server: Server, folder: Path, *, minutes: float, seed: int, say: Callable[[str], object]) -> Result:
    """The whole play, on a server whose database is migrated."""
    result = Result(minutes=minutes, seed=seed)
    load.prepare()
    with provider_in(folder) as provider:
        os.environ["CHAOS_PAYMENT_URL"] = provider.url
        stage = Stage(server, provider, folder)
        customers = [Load(seed, name) for name in "ab"[:CUSTOMERS]]
        try:
            _act(stage, customers, result, say)
            result.provider = provider.ledger.counts()
            result.verdict = verdict.judge([one.acknowledged for one in customers], folder / "ledger.sqlite3")
            result.statuses = verdict.statuses()
            result.acknowledged = _count(customers)
        finally:
            stage.close()
    return result


def _act(stage: Stage, customers: list[Load], result: Result, say: Callable[[str], object]) -> None:
    for skew in SKEWS:
        stage.start_fleet(skew)
    for fleet in stage.fleets:
        fleet.command.wait_until_up(1)
    recoveries = Recoveries(stage.server.uptime)
    faults_ = Faults(stage, recoveries, result.seed)
    for one in customers:
        one.start()
    faults_.start()
    end = time.monotonic() + 60 * result.minutes
    while time.monotonic() < end:
        time.sleep(min(TELL_SECONDS, max(end - time.monotonic(), 0)))
        say(f"{max(end - time.monotonic(), 0):4.0f} s left, {sum(faults_.faults.values())} faults, {_progress()}")
        _operate(result.operator)
    faults_.stop()
    _settle(stage, customers, faults_, result, say)
    result.faults = faults_.faults
    if pending := recoveries.close():
        result.trouble.append(f"{pending} times what was hit has not moved again")
    result.recoveries = dict(recoveries.longest)
    for broken in (*(one.broken for one in customers), faults_.broken):
        if broken is not None:
            result.trouble.append(repr(broken))


def _settle(stage: Stage, customers: list[Load], faults_: Faults, result: Result, say: Callable[[str], object]) -> None:
    """No more faults; customers end what they have begun, and all that was started comes to its end."""
    began = time.monotonic()
    faults_.tend()
    for one in customers:
        if not one.stop(PATIENCE):
            result.trouble.append("a customer gets no answer")
    while Execution.objects.unfinished().exists() and time.monotonic() - began < PATIENCE:
        _operate(result.operator)
        time.sleep(0.2)
    result.settled = time.monotonic() - began
    say(f"all is still after {result.settled:.1f} s, {_progress()}")


def _operate(done: Counter[str]) -> None:
    """What an operator does on such a day: resume what looks like poison, retry what met with too many outages."""
    with suppress(DatabaseError, InterfaceError):
        for execution in [*Execution.objects.paused(), *Execution.objects.failed()]:
            verb = "resume" if execution.status == "paused" else "retry"
            with suppress(TransitionError):
                getattr(operations, verb)(execution)
                done[f"{verb}: {execution.workflow}, {execution.reason[:60]}"] += 1
        return
    connection.close()


def _progress() -> str:
    for _ in range(2):  # the first connection may have been terminated
        with suppress(DatabaseError, InterfaceError):
            counts = verdict.statuses()
            return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        connection.close()
    return "the database is away"


def _count(customers: list[Load]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in customers:
        told = one.acknowledged
        counts += Counter(
            {
                "starts": len(told.executions),
                "signals": len(told.signals),
                "events": len(told.events),
                "calls that had to be repeated": told.repeated,
            }
        )
    return counts
