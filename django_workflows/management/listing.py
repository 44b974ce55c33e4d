"""`manage.py workflows list`: the newest executions, with why they wait or what went wrong."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from django_workflows import codec, conf
from django_workflows.inspection import why_waiting_many
from django_workflows.management.output import Output
from django_workflows.management.plain import execution_as_dict
from django_workflows.models import Execution, ExecutionQuerySet, Status

HEADERS = ("ID", "STATUS", "WORKFLOW", "KEY", "CREATED", "WHY")
MOST = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--workflow", metavar="NAME", help="Only of this workflow.")
    add("--status", choices=[status.value for status in Status], help="Only in this status.")
    add("--key", help="Only with this key.")
    add("--queue", metavar="NAME", help="Only in this queue.")
    add("--tag", action="append", default=[], metavar="NAME=VALUE", help="Only with this tag; may be repeated.")
    add("--limit", type=int, default=20, metavar="N", help="At most so many, the newest (default: 20).")


def handle(options: dict[str, Any], out: Output) -> None:
    limit = options["limit"]
    if not 1 <= limit <= MOST:
        raise CommandError(f"--limit is a number from 1 to {MOST}.")
    found = list(_filtered(options).defer("input", "output", "state").order_by("-created_at", "-id")[: limit + 1])
    shown, why = found[:limit], why_waiting_many(found[:limit])
    if out.as_json:
        out.json([execution_as_dict(execution, why[execution.id]) for execution in shown])
        return
    if not shown:
        out.line("No execution matches.")
        return
    out.table(HEADERS, [_row(execution, why[execution.id]) for execution in shown])
    if len(found) > limit:
        out.line(f"There are more; --limit N shows them, {limit} are shown.")


def _filtered(options: dict[str, Any]) -> ExecutionQuerySet:
    executions = Execution.objects.using(conf.database()).all()
    for name in ("workflow", "status", "key", "queue"):
        if options[name] is not None:
            executions = executions.filter(**{name: options[name]})
    for text in options["tag"]:
        executions = _tagged(executions, text)
    return executions


def _tagged(executions: ExecutionQuerySet, text: str) -> ExecutionQuerySet:
    """Those with a tag; a value that looks like a number may be one or its text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"--tag {text}: write NAME=VALUE.")
    return executions.with_tag(name, value) | executions.with_tag(name, as_value(value))


def as_value(text: str) -> Any:
    """What was typed: JSON where it is some, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _row(execution: Execution, why: str) -> tuple[object, ...]:
    created = timezone.localtime(execution.created_at)
    return (
        str(execution.id)[:8],
        execution.status,
        execution.workflow,
        execution.key,
        f"{created:%Y-%m-%d %H:%M:%S}",
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
