"""`manage.py workflows workers|stats`: who works, and how it goes."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import defaultdict
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django_workflows import clock, conf
from django_workflows.expressions.durations import format_duration
from django_workflows.inspection.left_behind import left_by
from django_workflows.inspection.metrics import Metrics, Percentiles, metrics
from django_workflows.inspection.situation import gone_after
from django_workflows.management.filters import known_workflows, listed, unknown_names
from django_workflows.management.output import Output
from django_workflows.models import Execution, Status, Worker

MOST_WORKERS = 1_000
WORKER_HEADERS = ("NAME", "STATE", "SLOTS", "STARTED", "SEEN", "QUEUES", "WORKFLOWS")
_WORKER = ("id", "name", "hostname", "pid", "queues", "workflows", "slots", "slots_used", "left_behind", "alone")


def add_worker_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="Those that have stopped, too.")
    parser.add_argument("--full", action="store_true", help="Times with date and zone, and nothing cut.")


def workers(options: dict[str, Any], out: Output) -> None:
    rows = Worker.objects.using(conf.database()).order_by("-seen_at")
    if not options["all"]:
        rows = rows.filter(stopped_at=None)
    now = clock.database_now()
    found = list(rows[:MOST_WORKERS])
    if out.as_json:
        out.json([_as_dict(worker, now) for worker in found])
    elif not found:
        out.line("No worker is there: start one with `manage.py runworkflows`.")
    else:
        out.table(WORKER_HEADERS, [_row(worker, now, out) for worker in found])
        for worker in found:
            for left in left_by(worker):
                out.line(f"{worker.name} has left behind and still runs {left.in_words(now)}.")


def _state(worker: Worker, now: datetime) -> str:
    if worker.stopped_at is not None:
        return "stopped"
    if worker.seen_at < now - gone_after():
        return "gone"
    return "alone" if worker.alone else "alive"


def _row(worker: Worker, now: datetime, out: Output) -> tuple[object, ...]:
    return (
        worker.name,
        _state(worker, now),
        f"{worker.slots_used} of {worker.slots}",
        out.moment(worker.started_at),
        out.moment(worker.seen_at),
        ", ".join(worker.queues) or "all",
        listed(sorted(worker.workflows)),
    )


def _as_dict(worker: Worker, now: datetime) -> dict[str, Any]:
    times = {name: getattr(worker, name) for name in ("started_at", "seen_at", "stopped_at")}
    return {**{name: getattr(worker, name) for name in _WORKER}, "state": _state(worker, now), **times}


def add_stats_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--workflow", default="", metavar="NAME", help="Only of this workflow.")


def stats(options: dict[str, Any], out: Output) -> None:
    found = metrics(Execution.objects.using(conf.database()).all(), workflow=options["workflow"])
    if out.as_json:
        out.json(asdict(found))
        return
    if not found.counts:
        name = options["workflow"]
        unknown = unknown_names({"workflow": name, "queue": None}) if name else ""
        out.line(unknown or f"There are no executions yet. Workflows: {listed(known_workflows())}.")
        return
    _print_counts(found, out)
    _print_times(found, out)
    _print_backlogs(found, out)


def _print_counts(found: Metrics, out: Output) -> None:
    """A line for each workflow, a column for each status."""
    table: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for count in found.counts:
        table[count.workflow][count.status] = f"{'≥ ' if count.at_least else ''}{count.count:,}"
    headers = ("WORKFLOW", *(status.value.upper().replace("_", " ") for status in Status))
    out.table(headers, [(name, *(row.get(status, "") for status in Status)) for name, row in table.items()])


def _print_times(found: Metrics, out: Output) -> None:
    rates = found.rates
    prefix = "at least " if rates.at_least else ""
    out.line()
    out.facts(
        [
            (
                f"In {format_duration(rates.window)}",
                f"{prefix}{rates.started:.2f} started/s, "
                f"{rates.completed:.2f} completed/s, {rates.failed:.2f} failed/s, {rates.cancelled:.2f} cancelled/s",
            ),
            ("Wait", _percentiles(found.wait)),
            ("Duration", _percentiles(found.duration)),
        ]
    )


def _percentiles(spans: Percentiles) -> str:
    known = (("p50", spans.p50), ("p90", spans.p90), ("p99", spans.p99))
    return ", ".join(
        f"{name} {format_duration(timedelta(seconds=value))}" for name, value in known if value is not None
    )


def _print_backlogs(found: Metrics, out: Output) -> None:
    if found.backlogs:
        out.line()
        rows = [
            (one.queue, f"{'≥ ' if one.at_least else ''}{one.due:,}", format_duration(one.age), out.moment(one.next_at))
            for one in found.backlogs
        ]
        out.table(("QUEUE", "DUE", "OLDEST FOR", "NEXT"), rows)
