"""`manage.py workflows watch`: what happens, as it happens, to one execution or to all."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from django_workflows import conf
from django_workflows.inspection import find, timeline
from django_workflows.inspection.feed import Wanted, feed, from_now_on
from django_workflows.management.filters import known_workflows, unknown_names
from django_workflows.management.output import Output
from django_workflows.management.tables import clean
from django_workflows.management.verbs import ID_HELP
from django_workflows.models import FINISHED, Execution, Status

PAGE = 500


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("id", nargs="?", metavar="ID", help=f"{ID_HELP} Without: everything that happens from now on.")
    add("--workflow", default="", metavar="NAME", help="Only what happens to executions of this workflow.")
    add("--type", default="", metavar="TYPE", help="Only this: lifecycle, step, error, signal, event or operator.")
    add("--every", type=float, default=1.0, metavar="SECONDS", help="How often to look (default: 1).")
    add("--full", action="store_true", help="Times with date and zone.")


def handle(options: dict[str, Any], out: Output) -> None:
    """Until the execution has ended (exit status 1 unless it completed), or until Ctrl-C."""
    if not 0.1 <= options["every"] <= 3600:
        raise CommandError("--every is a number of seconds from 0.1 to 3600.")
    try:
        if options["id"] is not None:
            _follow_one(find(options["id"]), options, out)
        else:
            _follow_all(options, out)
    except KeyboardInterrupt:
        return


def _follow_one(execution: Execution, options: dict[str, Any], out: Output) -> None:
    position = ""
    while True:
        status = Execution.objects.using(conf.database()).values_list("status", flat=True).get(pk=execution.id)
        while items := timeline(execution, limit=PAGE, after=position):
            for item in items:
                if options["type"] in {"", item.type}:
                    _tell(asdict(item), out)
            position = items[-1].position
        if status in FINISHED:  # asked before the history was read: nothing is missed
            if status != Status.COMPLETED:
                raise SystemExit(1)
            return
        _pause(options["every"], out)


def _follow_all(options: dict[str, Any], out: Output) -> None:
    if options["workflow"] and options["workflow"] not in known_workflows():
        raise CommandError(unknown_names({"workflow": options["workflow"], "queue": None}))
    wanted, cursor = Wanted(type=options["type"], workflow=options["workflow"]), from_now_on()
    while True:
        page = feed(cursor, wanted)
        for item in page.items:
            _tell(asdict(item), out)
        cursor = page.cursor
        if not page.more:
            _pause(options["every"], out)


def _tell(item: dict[str, Any], out: Output) -> None:
    if out.as_json:  # a document in each line, for who reads while it grows
        out.stream.write(json.dumps(item, ensure_ascii=True, default=str))
        return
    who = f"{item['workflow']} {str(item['execution'])[:8]}  " if item.get("execution") else ""
    place = f"  [{item['step_key']}]" if item["step_key"] else ""
    out.line(f"{out.moment(item['time'])}  {who}{clean(item['title'])}{place}")


def _pause(seconds: float, out: Output) -> None:
    out.stream.flush()
    time.sleep(seconds)
