"""`manage.py workflows pause|resume|cancel|retry`: verbs from a terminal, on named executions or on all that match."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q

from django_workflows import codec, operations
from django_workflows.exceptions import WorkflowsError
from django_workflows.inspection import find, why_waiting
from django_workflows.management.as_json import execution_as_dict
from django_workflows.management.filters import add_filters, filtered, is_filtered, unknown_names
from django_workflows.management.output import Output
from django_workflows.models import TAKES_BACK, Execution, ExecutionQuerySet, Status, allowed_verbs

ID_HELP = "An id, at least its first four digits, or workflow:key."
MOST_ERRORS = 20


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"{ID_HELP} Or none, with filters.")
    parser.add_argument("--reason", default="", help="Kept with the execution and in its history.")
    add_filters(parser)
    parser.add_argument("--yes", action="store_true", help="With filters: do not ask.")


def apply(verb: str, options: dict[str, Any], out: Output) -> None:
    """Apply a verb to the named executions, or to all that match the filters and that it applies to."""
    if options["ids"] and is_filtered(options):
        raise CommandError("Give either ids or filters, not both.")
    if options["ids"]:
        _apply_to_named(verb, options, out)
    elif is_filtered(options):
        _apply_to_matching(verb, options, out)
    else:
        raise CommandError(f"Say which: ids, or filters such as --workflow NAME; see `workflows {verb} --help`.")


def _apply_to_named(verb: str, options: dict[str, Any], out: Output) -> None:
    """One that it does not apply to keeps nobody else from it."""
    changed: list[Execution] = []
    errors: list[str] = []
    for text in options["ids"]:
        try:
            execution = find(text)
            operations.VERBS[verb](execution, options["reason"], by=who())
            changed.append(execution)
        except WorkflowsError as error:
            errors.append(codec.printable(f"{text}: {error}"))
    if out.as_json:
        out.json([execution_as_dict(execution, why_waiting(execution)) for execution in changed])
    else:
        for execution in changed:
            out.line(f"{verb.capitalize()}: {execution} is {execution.status}{_asked(execution)}.")
    if errors:
        raise CommandError("\n".join(errors))


def _asked(execution: Execution) -> str:
    return f", {execution.requested} is under way" if execution.requested else ""


def _apply_to_matching(verb: str, options: dict[str, Any], out: Output) -> None:
    """After it was said to how many: who filters may have forgotten a filter."""
    applies = Q(status__in=[status for status in Status if verb in allowed_verbs(status)])
    executions = filtered(options).filter(applies | Q(requested=TAKES_BACK.get(verb, verb)))
    count = executions.count()
    if not count:
        problem = unknown_names(options)
        out.json({"matched": 0, "changed": 0, "errors": {}}) if out.as_json else out.line(
            " ".join(filter(None, (f"No execution matches that {verb} applies to.", problem)))
        )
        return
    _ask(verb, count, options, out)
    _carry_out(verb, executions, count, options, out)


def _ask(verb: str, count: int, options: dict[str, Any], out: Output) -> None:
    if options["yes"]:
        return
    what = f"{count:,} execution{'' if count == 1 else 's'}"
    if out.as_json or not sys.stdin.isatty():
        raise CommandError(f"{verb.capitalize()} applies to {what} that match. Nothing was done; --yes does it.")
    try:
        answer = input(f"{verb.capitalize()} {what}? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was done.")


def _carry_out(verb: str, executions: ExecutionQuerySet, count: int, options: dict[str, Any], out: Output) -> None:
    result = operations.bulk(executions.order_by("created_at"), verb, options["reason"], by=who())
    errors = {str(id): str(error) for id, error in result.errors.items()}
    if out.as_json:
        out.json({"matched": count, "changed": len(result.changed), "errors": errors})
    else:
        out.line(f"{verb.capitalize()}: {len(result.changed):,} of {count:,}.")
    if errors:
        shown = [f"{id}: {error}" for id, error in list(errors.items())[:MOST_ERRORS]]
        more = [f"And {len(errors) - MOST_ERRORS:,} more."] if len(errors) > MOST_ERRORS else []
        raise CommandError("\n".join([*shown, *more]))


def who() -> str:
    """Who types: the name of the system's user, as far as there is one."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError, ImportError):
        return "command line"
