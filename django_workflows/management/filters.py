"""Which executions are meant: the filters of `list` and of the verbs."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.management.base import CommandError

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.inspection.counts import queues
from django_workflows.models import UNFINISHED, Execution, ExecutionQuerySet, Status, Workflow

STATUSES = [status.value for status in Status]
MOST_NAMES = 20


def add_filters(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--workflow", metavar="NAME", help="Only of this workflow.")
    add("--status", action="append", default=[], choices=STATUSES, help="Only in this status; may be repeated.")
    add("--unfinished", action="store_true", help="Only those that have not ended.")
    add("--key", help="Only with this key.")
    add("--queue", metavar="NAME", help="Only in this queue.")
    add("--tag", action="append", default=[], metavar="NAME=VALUE", help="Only with this tag; may be repeated.")


def is_filtered(options: Mapping[str, Any]) -> bool:
    """Whether any filter was given."""
    return any(options[name] for name in ("workflow", "status", "unfinished", "key", "queue", "tag"))


def filtered(options: Mapping[str, Any]) -> ExecutionQuerySet:
    """The executions that match all filters."""
    executions = Execution.objects.using(conf.database()).all()
    for name in ("workflow", "key", "queue"):
        if options[name] is not None:
            executions = executions.filter(**{name: options[name]})
    if options["status"]:
        executions = executions.filter(status__in=options["status"])
    if options["unfinished"]:
        executions = executions.filter(status__in=UNFINISHED)
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


def unknown_names(options: Mapping[str, Any]) -> str:
    """Of the names that nothing was found by, those that nobody knows, with the ones that are known."""
    told = []
    if (name := options["workflow"]) is not None and name not in (known := known_workflows()):
        told.append(f"There is no workflow {name[:100]!r}. Known: {listed(known)}.")
    if (name := options["queue"]) is not None:
        in_use = queues()
        if name not in in_use:
            told.append(f"Nothing waits in a queue {name[:100]!r}. In use: {listed(in_use)}.")
    return " ".join(told)


def known_workflows() -> list[str]:
    """The names of workflows: those of the code, of stored definitions, and of single steps."""
    stored = Workflow.objects.using(conf.database()).values_list("name", flat=True)
    return sorted({*stored, *(name for name, _, _ in registry.served())})


def listed(names: Iterable[str]) -> str:
    """Names in a line, few enough to be read."""
    some = list(names)
    more = f" and {len(some) - MOST_NAMES} more" if len(some) > MOST_NAMES else ""
    return f"{', '.join(some[:MOST_NAMES]) or 'none'}{more}"
