"""`manage.py workflows …`: executions, workflows and triggers for people in a terminal."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_workflows.management import (
    defining,
    listing,
    messages,
    overview,
    redriving,
    showing,
    starting,
    switching,
    triggers,
    verbs,
    watching,
)
from django_workflows.management.intermixed import IntermixedParser
from django_workflows.management.output import Output, told
from django_workflows.management.pipes import until_closed
from django_workflows.management.schema import explained
from django_workflows.management.standard import add_standard_options


@dataclass(frozen=True, slots=True)
class Subcommand:
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    handle: Callable[[dict[str, Any], Output], None]


def _verb(name: str, help: str) -> Subcommand:
    return Subcommand(help, verbs.add_arguments, partial(verbs.apply, name))


SUBCOMMANDS = {
    "list": Subcommand("Executions, the newest first.", listing.add_arguments, listing.handle),
    "show": Subcommand("One execution with its journal.", showing.add_arguments, showing.handle),
    "start": Subcommand("Start an execution.", starting.add_arguments, starting.handle),
    "watch": Subcommand("What happens, as it happens.", watching.add_arguments, watching.handle),
    "signal": Subcommand("Send a message to an execution.", messages.add_signal_arguments, messages.send_signal),
    "publish": Subcommand("Publish an event.", messages.add_publish_arguments, messages.publish),
    "pause": _verb("pause", "Let running steps finish, and begin nothing new."),
    "resume": _verb("resume", "Let paused executions go on."),
    "cancel": _verb("cancel", "End executions and their children."),
    "retry": _verb("retry", "Let failed executions go on from the step that failed."),
    "redrive": Subcommand(
        "Let events be dispatched again that were set aside.", redriving.add_arguments, redriving.handle
    ),
    "define": Subcommand("Save workflows described as JSON.", defining.add_arguments, defining.handle),
    "enable": Subcommand("Let workflows be started.", switching.add_arguments, partial(switching.switch, True)),
    "disable": Subcommand(
        "Let nothing start these workflows.", switching.add_arguments, partial(switching.switch, False)
    ),
    "workers": Subcommand("Who works.", overview.add_worker_arguments, overview.workers),
    "stats": Subcommand("How many executions, how fast, how far behind.", overview.add_stats_arguments, overview.stats),
    "triggers": Subcommand("What starts workflows from outside.", triggers.add_arguments, triggers.handle),
}


class Command(BaseCommand):
    help = "Shows, starts and steers executions of workflows, and what starts them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        subparsers = parser.add_subparsers(
            dest="subcommand", required=True, metavar="COMMAND", parser_class=IntermixedParser
        )
        for name, subcommand in SUBCOMMANDS.items():
            added = subparsers.add_parser(name, help=subcommand.help, description=subcommand.help)
            added.add_argument("--json", action="store_true", default=SUPPRESS, help="Print JSON.")
            add_standard_options(added)
            subcommand.add_arguments(added)

    def handle(self, *args: Any, **options: Any) -> None:
        out = Output(self.stdout, self.style, as_json=options["json"], full=options.get("full", False))
        with told(), until_closed(self.stdout), explained():
            SUBCOMMANDS[options["subcommand"]].handle(options, out)
