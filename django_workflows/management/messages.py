"""`manage.py workflows signal|publish`: messages to one execution, or to whom they concern."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime

from django_workflows import client, conf
from django_workflows.inspection import find
from django_workflows.management.as_json import signal_as_dict
from django_workflows.management.filters import listed
from django_workflows.management.output import Output
from django_workflows.management.verbs import ID_HELP
from django_workflows.models import OPEN_STEPS, Execution, StepKind, StepResult


def add_signal_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=ID_HELP)
    parser.add_argument("name", metavar="NAME", help="What the workflow waits for.")
    parser.add_argument("data", nargs="?", metavar="JSON", help="What comes with it.")


def send_signal(options: dict[str, Any], out: Output) -> None:
    execution = find(options["id"])
    awaited = _awaited(execution)
    signal = client.signal(execution, options["name"], _data("signal", options["data"]))
    if out.as_json:
        out.json(signal_as_dict(signal) | {"execution_id": execution.id})
        return
    out.line(f"Sent {signal.name} to {execution}, as number {signal.number}.")
    if awaited and signal.name not in awaited:
        out.line(f"It waits for {listed(awaited)} now; {signal.name} is kept until it asks for that.")


def _awaited(execution: Execution) -> list[str]:
    """The names of the signals that an execution waits for at this moment."""
    rows = StepResult.objects.using(conf.database()).filter(
        execution_id=execution.id, generation=execution.generation, kind=StepKind.SIGNAL, status__in=OPEN_STEPS
    )
    return sorted(set(rows.filter(superseded=0).values_list("name", flat=True)[:100]))


def add_publish_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="The event's name.")
    add("data", nargs="?", metavar="JSON", help="What comes with it.")
    add("--id", metavar="TEXT", help="The same id again publishes nothing.")
    add("--source", default="", metavar="TEXT", help="Who publishes it.")
    add("--deliver-at", metavar="MOMENT", help="When: 2026-01-31T09:00:00+01:00.")


def publish(options: dict[str, Any], out: Output) -> None:
    data, moment = _data("event", options["data"]), options["deliver_at"]
    event = client.send_event(
        options["name"], data, id=options["id"], source=options["source"], deliver_at=_moment(moment)
    )
    if out.as_json:
        names = ("id", "name", "data", "source", "event_id", "deliver_at", "created_at")
        out.json({name: getattr(event, name) for name in names})
    else:
        out.line(f"Published {event.name} ({event.pk}).")


def _data(what: str, text: str | None) -> Any:
    try:
        return json.loads(text) if text is not None else None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"The data of {_article(what)} is JSON; a text stands in double quotes. {error}") from None


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text!r} is no moment; write 2026-01-31T09:00:00+01:00.")
    return moment
