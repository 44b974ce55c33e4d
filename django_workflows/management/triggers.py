"""`manage.py workflows triggers …`: what starts workflows from outside, for people in a terminal."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from django_workflows import conf
from django_workflows.inspection.lookup import id_range
from django_workflows.management.filters import unknown_names
from django_workflows.management.output import Output
from django_workflows.management.standard import add_standard_options
from django_workflows.models import Trigger, TriggerType
from django_workflows.triggers import describing, manual, registering

HEADERS = ("ID", "STATE", "WORKFLOW", "TYPE", "STARTS ON", "COUNT", "LAST", "NEXT")
ID_HELP = "The id of a trigger, or at least its first four digits."

Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    handle: Callable[[Options, Output], None]


def add_arguments(parser: ArgumentParser) -> None:
    subparsers = parser.add_subparsers(dest="act", metavar="ACTION", required=True)
    for name, act in ACTS.items():
        added = subparsers.add_parser(name, help=act.help, description=act.help)
        added.add_argument("--json", action="store_true", default=SUPPRESS, help="Print JSON.")
        add_standard_options(added)
        act.add_arguments(added)


def handle(options: Options, out: Output) -> None:
    ACTS[options["act"]].handle(options, out)


# list and show


def _add_list(parser: ArgumentParser) -> None:
    parser.add_argument("--workflow", metavar="NAME", help="Only of this workflow.")
    parser.add_argument("--type", choices=TriggerType.values, help="Only of this type.")
    parser.add_argument("--all", action="store_true", help="Those gone from the code, too.")
    parser.add_argument("--full", action="store_true", help="Whole ids and times, and nothing cut.")


def _list(options: Options, out: Output) -> None:
    rows = _triggers().order_by("workflow", "type", "pattern")
    for name in ("workflow", "type"):
        if options[name]:
            rows = rows.filter(**{name: options[name]})
    if not options["all"]:
        rows = rows.filter(retired_at=None)
    if out.as_json:
        out.json([as_dict(row) for row in rows])
    elif not rows:
        unknown = options["workflow"] and unknown_names({"workflow": options["workflow"], "queue": None})
        out.line(" ".join(filter(None, ("There is no such trigger.", unknown))))
    else:
        out.table(HEADERS, [_row(row, out) for row in rows])


def _row(trigger: Trigger, out: Output) -> list[object]:
    state = describing.state_of(trigger)
    return [
        str(trigger.pk) if out.full else str(trigger.pk)[:8],  # enough for `show` and the others
        f"{state}: {why}" if (why := trigger.broken if state == "broken" else trigger.note) else state,
        trigger.workflow,
        trigger.type,
        describing.in_words(trigger),
        trigger.trigger_count,
        out.moment(trigger.last_triggered_at),
        out.moment(trigger.next_at),
    ]


def _add_one(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=ID_HELP)


def _show(options: Options, out: Output) -> None:
    trigger = find(options["id"])
    if out.as_json:
        out.json(as_dict(trigger) | {"next_times": describing.next_times(trigger)})
        return
    out.heading(str(trigger))
    facts = [(name.replace("_", " "), value) for name, value in as_dict(trigger).items() if name != "config"]
    out.facts([*facts, ("configuration", json.dumps(trigger.config, ensure_ascii=False))])
    for time in describing.next_times(trigger):
        out.line(f"next  {time}")


def as_dict(trigger: Trigger) -> dict[str, Any]:
    """A trigger as plain data."""
    names = (
        "id",
        "workflow",
        "type",
        "pattern",
        "config",
        "origin",
        "note",
        "retired_at",
        "broken",
        "broken_at",
        "last_triggered_at",
    )
    more = ("trigger_count", "next_at", "created_at")
    return {
        **{name: getattr(trigger, name) for name in names},
        "state": describing.state_of(trigger),
        "in_words": describing.in_words(trigger),
        **{name: getattr(trigger, name) for name in more},
    }


# what changes something


def _add_add(parser: ArgumentParser) -> None:
    parser.add_argument("workflow", metavar="WORKFLOW", help="What it starts.")
    parser.add_argument("type", choices=TriggerType.values)
    parser.add_argument("pattern", metavar="PATTERN", help="A name of events, a schedule, or a webhook's path.")
    parser.add_argument("--config", metavar="JSON", help='For example {"where": {"country": "DE"}}.')


def _add(options: Options, out: Output) -> None:
    config = _json("--config", options["config"])
    _tell(registering.create(options["workflow"], options["type"], options["pattern"], config), "Added", out)


def _add_many(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help=ID_HELP)


def _add_disable(parser: ArgumentParser) -> None:
    _add_many(parser)
    parser.add_argument("--note", default="", help="Why; shown beside it.")


def _enable(options: Options, out: Output) -> None:
    for trigger in [find(text) for text in options["ids"]]:
        registering.enable(trigger)
        _tell(trigger, "Enabled", out)


def _disable(options: Options, out: Output) -> None:
    for trigger in [find(text) for text in options["ids"]]:
        registering.disable(trigger, options["note"])
        _tell(trigger, "Disabled", out)


def _remove(options: Options, out: Output) -> None:
    for trigger in [find(text) for text in options["ids"]]:
        registering.delete(trigger)
        _tell(trigger, "Removed", out)


def _add_fire(parser: ArgumentParser) -> None:
    _add_one(parser)
    parser.add_argument("data", nargs="?", metavar="JSON", help="What comes with it.")


def _fire(options: Options, out: Output) -> None:
    execution = manual.fire(find(options["id"]), _json("The data", options["data"]))
    if out.as_json:
        out.json({"execution": execution.id, "workflow": execution.workflow})
    else:
        out.line(f"Started {execution}.")


def _add_backfill(parser: ArgumentParser) -> None:
    _add_one(parser)
    parser.add_argument("start", metavar="FROM", help="2026-01-31T00:00:00Z, included.")
    parser.add_argument("end", metavar="TO", help="Included.")


def _backfill(options: Options, out: Output) -> None:
    period = [_parsed(options[name]) for name in ("start", "end")]
    done = manual.backfill(find(options["id"]), *period)
    if out.as_json:
        out.json({"started": done.started, "moments": done.moments})
    else:
        out.line(f"Started {done.started} of {done.moments} moments; the others have theirs, or were refused.")


ACTS = {
    "list": Act("Triggers, with what they wait for.", _add_list, _list),
    "show": Act("One trigger with its next times.", _add_one, _show),
    "add": Act("Make a trigger.", _add_add, _add),
    "enable": Act("Let triggers start executions.", _add_many, _enable),
    "disable": Act("Let triggers start nothing.", _add_disable, _disable),
    "fire": Act("Start what a trigger starts, now.", _add_fire, _fire),
    "backfill": Act("Start what a schedule would have started in a period.", _add_backfill, _backfill),
    "remove": Act("Remove triggers that are not of the code.", _add_many, _remove),
}


def find(text: str) -> Trigger:
    """The trigger whose id is, or begins with, `text`."""
    bounds = id_range(text.strip())
    found = list(_triggers().filter(id__range=bounds)[:2]) if bounds is not None else []
    if len(found) > 1:
        raise CommandError(f"{text!r} is the beginning of several ids; give more digits.")
    if not found:
        raise CommandError(f"There is no trigger {text[:100]!r}. `workflows triggers list --all` shows their ids.")
    return found[0]


def _triggers() -> QuerySet[Trigger]:
    return Trigger.objects.using(conf.database())


def _tell(trigger: Trigger, done: str, out: Output) -> None:
    if out.as_json:
        out.json(as_dict(trigger))
    else:
        out.line(f"{done}: {trigger} ({trigger.pk}).")


def _json(what: str, text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{what} must be JSON: {error}") from None


def _parsed(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text!r} is no moment; write 2026-01-31T09:00:00+01:00.")
    return moment
