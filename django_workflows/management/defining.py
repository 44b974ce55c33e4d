"""`manage.py workflows define FILE.json`: a workflow described as data, checked and saved."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from django_workflows import definitions
from django_workflows.exceptions import InvalidDefinition
from django_workflows.management.output import Output

_MARK = "\ufeff"  # a byte order mark, which programs of Windows put in front
MOST_BYTES = 4 * 1024 * 1024  # of a file; what a definition may have is less


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="A JSON document; - reads from standard input.")
    parser.add_argument("--check", action="store_true", help="Only say what is wrong; save nothing.")


def handle(options: dict[str, Any], out: Output) -> None:
    """Check all files, then save them in their order, so that one may run another as its child."""
    told: list[dict[str, Any]] = []
    failed = 0
    for name in options["files"]:
        try:
            told.append(_check(name) if options["check"] else _save(name))
        except InvalidDefinition as error:
            failed += 1
            told.append({"file": name, "problems": error.problems})
    if out.as_json:
        out.json(told)
    else:
        for one in told:
            _tell(one, out)
    if failed:
        raise CommandError(f"{failed} of {len(told)} cannot be saved.")


def _check(name: str) -> dict[str, Any]:
    definition = definitions.validate(_read(name))
    return {"file": name, "workflow": definition.name, "steps": len(definition.steps)}


def _save(name: str) -> dict[str, Any]:
    saved = definitions.save(_read(name))
    return {
        "file": name,
        "workflow": saved.workflow.name,
        "version": saved.version.version,
        "created": saved.created,
        "changed": saved.changed,
    }


def _read(name: str) -> Any:
    try:
        if name == "-":
            text = sys.stdin.read(MOST_BYTES + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise CommandError(f"{name} is too large for a definition.")
        return json.loads(text.removeprefix(_MARK))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidDefinition({"": [f"This is no JSON: {error}"]}) from None


def _tell(one: dict[str, Any], out: Output) -> None:
    if "problems" in one:
        out.line(f"{one['file']}:")
        for problem in one["problems"]:
            out.line(f"  {problem['path'] or '(the whole)'}: {problem['message']}")
    elif "version" not in one:
        out.line(f"{one['file']}: {one['workflow']} is fine, {one['steps']} step{'' if one['steps'] == 1 else 's'}.")
    else:
        what = "Created" if one["created"] else "Changed" if one["changed"] else "Unchanged:"
        out.line(f"{what} {one['workflow']}, version {one['version']}.")
