"""`manage.py workflows list`: the newest executions, with why they wait or what went wrong."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from django_workflows import codec
from django_workflows.inspection import why_waiting_many
from django_workflows.management.as_json import execution_as_dict
from django_workflows.management.filters import add_filters, filtered, unknown_names
from django_workflows.management.output import Output
from django_workflows.models import Execution, Status

HEADERS = ("ID", "STATUS", "WORKFLOW", "KEY", "CREATED", "WHY")
MOST = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="At most so many, the newest (default: 20).")
    parser.add_argument("--full", action="store_true", help="Whole ids and times, and nothing cut.")


def handle(options: dict[str, Any], out: Output) -> None:
    limit = options["limit"]
    if not 1 <= limit <= MOST:
        raise CommandError(f"--limit is a number from 1 to {MOST}.")
    found = list(filtered(options).defer("input", "output", "state").order_by("-created_at", "-id")[: limit + 1])
    shown, why = found[:limit], why_waiting_many(found[:limit])
    if out.as_json:
        out.json([execution_as_dict(execution, why[execution.id]) for execution in shown])
        return
    if not shown:
        out.line(" ".join(filter(None, ("No execution matches.", unknown_names(options)))))
        return
    out.table(HEADERS, [_row(execution, why[execution.id], out) for execution in shown], wrapped=True)
    if len(found) > limit:
        out.line(f"There are more; --limit N shows them, {limit} are shown.")


def _row(execution: Execution, why: str, out: Output) -> tuple[object, ...]:
    return (
        str(execution.id) if out.full else str(execution.id)[:8],
        execution.status,
        execution.workflow,
        execution.key,
        out.moment(execution.created_at),
        why
        or error_in_words(execution.error)
        or (codec.redact_text(execution.reason) if execution.status != Status.COMPLETED else ""),
    )


def error_in_words(error: Any) -> str:
    """An error as `type: message`; a damaged one as it is."""
    error = codec.redact(error)
    if error is None:
        return ""
    return f"{error.get('type', '')}: {error.get('message', '')}" if isinstance(error, dict) else str(error)
