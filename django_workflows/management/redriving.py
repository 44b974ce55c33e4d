"""`manage.py workflows redrive`: events that were set aside are dispatched again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from django_workflows import conf, operations
from django_workflows.exceptions import WorkflowsError
from django_workflows.management.output import Output
from django_workflows.management.verbs import who
from django_workflows.models import Event


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="The id of an event; without, those set aside are listed.")
    parser.add_argument("--all", action="store_true", help="All that are set aside.")
    parser.add_argument("--reason", default="", help="Kept in the log of events.")


def handle(options: dict[str, Any], out: Output) -> None:
    """Have them dispatched again, or list them; one that cannot be keeps no other from it."""
    aside = Event.objects.using(conf.database()).filter(set_aside_at__isnull=False).order_by("set_aside_at")
    ids = [str(id) for id in aside.values_list("pk", flat=True)] if options["all"] else options["ids"]
    if not ids:
        _list(list(aside[:100]), out)
        return
    redriven, errors = list[str](), list[str]()
    for id in ids:
        try:
            if operations.redrive(id, options["reason"], by=who()):
                redriven.append(id)
            else:
                errors.append(f"{id}: it is not set aside.")
        except WorkflowsError as error:
            errors.append(f"{id}: {error}")
    if out.as_json:
        out.json(redriven)
    else:
        for id in redriven:
            out.line(f"Dispatched again: {id}.")
    if errors:
        raise CommandError("\n".join(errors))


def _list(events: list[Event], out: Output) -> None:
    if out.as_json:
        names = ("id", "name", "event_id", "created_at", "set_aside_at", "reason")
        out.json([{name: getattr(event, name) for name in names} for event in events])
        return
    for event in events:
        out.line(f"{event.pk} {event.name}: {event.reason}")
    if not events:
        out.line("No event is set aside.")
