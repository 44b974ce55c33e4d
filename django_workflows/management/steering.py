"""`manage.py workflows signal|pause|resume|cancel|retry`: messages and verbs from a terminal."""

from __future__ import annotations

import getpass
import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from django_workflows import client, operations
from django_workflows.exceptions import WorkflowsError
from django_workflows.inspection import find, why_waiting
from django_workflows.management.output import Output
from django_workflows.management.plain import execution_as_dict, signal_as_dict
from django_workflows.models import Execution

ID_HELP = "An id, at least its first four digits, or workflow:key."
VERBS: dict[str, Callable[..., None]] = {
    "pause": operations.pause,
    "resume": operations.resume,
    "cancel": operations.cancel,
    "retry": operations.retry,
}


def add_signal_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=ID_HELP)
    parser.add_argument("name", metavar="NAME", help="What the workflow waits for.")
    parser.add_argument("data", nargs="?", metavar="JSON", help="What comes with it.")


def send_signal(options: dict[str, Any], out: Output) -> None:
    execution = find(options["id"])
    try:
        data = json.loads(options["data"]) if options["data"] is not None else None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"The data of a signal is JSON; a text stands in double quotes. {error}") from None
    signal = client.signal(execution, options["name"], data)
    if out.as_json:
        out.json(signal_as_dict(signal) | {"execution_id": execution.id})
    else:
        out.line(f"Sent {signal.name} to {execution}, as number {signal.number}.")


def add_verb_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help=ID_HELP)
    parser.add_argument("--reason", default="", help="Kept with the execution and in its history.")


def apply(verb: str, options: dict[str, Any], out: Output) -> None:
    """Apply a verb to each execution; one that it does not apply to keeps nobody else from it."""
    changed: list[Execution] = []
    errors: list[str] = []
    for text in options["ids"]:
        try:
            execution = find(text)
            VERBS[verb](execution, options["reason"], by=who())
            changed.append(execution)
        except WorkflowsError as error:
            errors.append(f"{text}: {error}")
    if out.as_json:
        out.json([execution_as_dict(execution, why_waiting(execution)) for execution in changed])
    else:
        for execution in changed:
            out.line(f"{verb.capitalize()}: {execution} is {execution.status}{_asked(execution)}.")
    if errors:
        raise CommandError("\n".join(errors))


def _asked(execution: Execution) -> str:
    return f", {execution.requested} is under way" if execution.requested else ""


def who() -> str:
    """Who types: the name of the system's user, as far as there is one."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError, ImportError):
        return "command line"
