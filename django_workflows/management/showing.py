"""`manage.py workflows show`: one execution, why it waits, and its journal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_workflows import codec, conf
from django_workflows.expressions.durations import format_duration
from django_workflows.inspection import find, history, why_waiting
from django_workflows.management.as_json import execution_as_dict, signal_as_dict, step_as_dict
from django_workflows.management.listing import error_in_words
from django_workflows.management.output import Output
from django_workflows.models import Execution, Signal, StepResult

MOST = 10_000
HEADERS = ("POSITION", "STEP", "KIND", "STATUS", "TRIES", "BEGAN", "TOOK", "OUTCOME")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="An id, at least its first four digits, or workflow:key.")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="The last N steps (default: 100).")
    parser.add_argument("--history", action="store_true", help="Also everything that happened, in order.")
    parser.add_argument("--full", action="store_true", help="Times with date and zone, and nothing cut.")


def handle(options: dict[str, Any], out: Output) -> None:
    execution = find(options["id"])
    why = why_waiting(execution)
    rows = StepResult.objects.using(conf.database()).filter(execution_id=execution.id)
    limit = MOST if out.as_json else max(min(options["steps"], MOST), 1)
    newest = list(rows.order_by("-generation", "-seq", "-created_at")[: limit + 1])
    steps, more = newest[:limit][::-1], len(newest) > limit
    signals = Signal.objects.using(conf.database()).filter(execution_id=execution.id, consumed_at__isnull=True)
    unread = list(signals.order_by("number")[:100])
    if out.as_json:
        document = execution_as_dict(execution, why, payloads=True)
        document["steps"] = [step_as_dict(step) for step in steps]
        document["unread_signals"] = [signal_as_dict(signal) for signal in unread]
        document["history"] = history(execution) if options["history"] else None
        out.json({name: value for name, value in document.items() if name != "history" or value is not None})
        return
    _print_execution(execution, why, out)
    _print_journal(steps, out, more=more)
    _print_signals(unread, out)
    if options["history"]:
        _print_history(execution, out)


def _print_execution(execution: Execution, why: str, out: Output) -> None:
    out.heading(str(execution))
    out.line(f"  {why}" if why else "", status=execution.status)
    out.facts(
        [
            ("Version", execution.version),
            ("Key", execution.key),
            ("Queue", f"{execution.queue}, priority {execution.priority}"),
            (
                "Tags",
                ", ".join(f"{k}={v}" for k, v in execution.tags.items())
                if isinstance(execution.tags, dict)
                else execution.tags,
            ),
            ("Parent", execution.parent_id),
            ("Created", out.moment(execution.created_at)),
            ("Started", out.moment(execution.started_at)),
            ("Ended", out.moment(execution.completed_at)),
            ("Deadline", out.moment(execution.deadline)),
            ("Crashes", execution.crashes or ""),
            ("Reason", codec.redact_text(execution.reason)),
            ("Input", _payload(execution.input)),
            ("State", _payload(execution.state)),
            ("Output", _payload(execution.output)),
            ("Error", error_in_words(execution.error)),
        ]
    )
    if isinstance(execution.error, dict) and execution.error.get("traceback"):
        for line in codec.redact_text(str(execution.error["traceback"])).rstrip("\n").split("\n"):
            out.line(f"    {line}")


def _print_journal(steps: list[StepResult], out: Output, *, more: bool) -> None:
    out.line()
    if not steps:
        out.line("No step has been recorded yet.")
        return
    if more:
        out.line(f"The last {len(steps)} steps; --steps N shows more.")
    out.table(HEADERS, [_step(step, out) for step in steps])


def _step(step: StepResult, out: Output) -> tuple[object, ...]:
    began = step.started_at or step.created_at
    took = format_duration(step.completed_at - began) if step.completed_at else ""
    outcome = error_in_words(step.error) or _payload(step.output)
    if not took and step.deadline:
        outcome = f"until {out.moment(step.deadline)} {outcome}"
    return step.key, step.name, step.kind, step.status, step.attempts or "", out.moment(began), took, outcome


def _print_signals(unread: list[Signal], out: Output) -> None:
    if unread:
        out.line()
        rows = [(signal.number, signal.name, out.moment(signal.created_at), _payload(signal.data)) for signal in unread]
        out.table(("UNREAD", "SIGNAL", "RECEIVED", "DATA"), rows)


def _print_history(execution: Execution, out: Output) -> None:
    out.line()
    items = history(execution)
    rows = [(out.moment(i["time"]), i["title"], i["step_key"], _took(i), i["data"].get("worker")) for i in items]
    out.table(("TIME", "WHAT HAPPENED", "POSITION", "TOOK", "WORKER"), rows)


def _took(item: Mapping[str, Any]) -> str:
    """How long an attempt took, which the row of its step tells of the last one only."""
    started = item["data"].get("started_at")
    return format_duration(item["time"] - datetime.fromisoformat(started)) if isinstance(started, str) else ""


def _payload(value: Any) -> str:
    value = codec.redact(value)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)
