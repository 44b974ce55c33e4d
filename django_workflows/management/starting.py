"""`manage.py workflows start`: arguments as people type them, checked against the workflow's signature."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError

from django_workflows import client, codec
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.exceptions import ExecutionFailed, InvalidInput, ResultTimeout
from django_workflows.inspection import why_waiting
from django_workflows.management.as_json import execution_as_dict
from django_workflows.management.filters import as_value
from django_workflows.management.output import Output
from django_workflows.models import Execution


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="A workflow, or a step to be executed alone.")
    add("arguments", nargs="*", metavar="KEY=VALUE", help="Arguments; a value is JSON where it fits, else text.")
    add("--input", metavar="JSON", help="All arguments as one JSON object, instead of KEY=VALUE.")
    add("--key", help="Business key: at most one unfinished execution has it.")
    add("--queue", metavar="NAME")
    add("--delay", metavar="DURATION", help='When to start: "30 seconds", "2 hours".')
    add("--wait", action="store_true", help="Wait for the result and print it.")
    add("--timeout", type=float, metavar="SECONDS", help="With --wait: how long.")


def handle(options: dict[str, Any], out: Output) -> None:
    given = {name: options[name] for name in ("key", "queue", "delay") if options[name] is not None}
    definition = client.using(options["name"], **given)
    execution, is_new = client.start_or_get(definition, **arguments_of(definition, options))
    if options["wait"]:
        _wait(execution, options["timeout"], out)
    elif out.as_json:
        execution.refresh_from_db()
        out.json(execution_as_dict(execution, why_waiting(execution), payloads=True) | {"created": is_new})
    else:
        out.line(f"{'Started' if is_new else 'Already there:'} {execution}")


def arguments_of(definition: WorkflowDefinition[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of the execution. Raises `CommandError` and `InvalidInput`."""
    if options["input"] is None:
        return _typed(definition, options["arguments"])
    if options["arguments"]:
        raise CommandError("Give either KEY=VALUE or --input, not both.")
    try:
        values = json.loads(options["input"])
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--input is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise CommandError("--input is a JSON object with the arguments by name, like '{\"order_id\": 42}'.")
    return values


def _typed(definition: WorkflowDefinition[..., Any], texts: Sequence[str]) -> dict[str, Any]:
    """Each value as JSON if the signature takes that, else as the text it is: a text parameter gets "42" as text."""
    raw: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise CommandError(f"{text!r} is no argument: write KEY=VALUE.")
        if name in raw:
            raise CommandError(f"The argument {name!r} is given twice.")
        raw[name] = value
    values = {name: as_value(value) for name, value in raw.items()}
    fn, skip = definition.signature_of
    try:
        codec.bind_arguments(fn, (), values, skip=skip)
    except InvalidInput as misfits:
        values |= {name: raw[name] for name in misfits.errors if name in raw}
    return values


def _wait(execution: Execution, timeout: float | None, out: Output) -> None:
    if not out.as_json:
        out.line(f"{execution} is under way.")
    try:
        result = execution.result(timeout)
    except (ExecutionFailed, ResultTimeout) as error:
        raise CommandError(codec.redact_text(str(error))) from None
    except KeyboardInterrupt:
        raise CommandError(f"Stopped waiting; {execution} goes on.", returncode=130) from None
    out.json(codec.redact(json.loads(codec.encode(result, max_bytes=1 << 40, max_depth=1 << 20))))
