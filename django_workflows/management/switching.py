"""`manage.py workflows enable|disable NAME`: whether a workflow may be started."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import CommandError

from django_workflows import conf
from django_workflows.engine.database.transactions import repeated
from django_workflows.management.output import Output
from django_workflows.models import Workflow


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="The name of a workflow.")


def switch(enabled: bool, options: dict[str, Any], out: Output) -> None:
    """Write the switch; starting is refused, or works again, from the next moment on. What is under way goes on."""
    rows = {row.name: row for row in Workflow.objects.using(conf.database()).filter(name__in=options["names"])}
    if missing := [name for name in options["names"] if name not in rows]:
        known = ", ".join(Workflow.objects.using(conf.database()).values_list("name", flat=True)[:20]) or "none"
        raise CommandError(f"There is no workflow {missing[0][:100]!r}. Known: {known}.")
    for row in rows.values():
        row.enabled = enabled
        save = partial(row.save, using=conf.database(), update_fields=["enabled", "updated_at"])
        repeated(conf.database(), save)
        if not out.as_json:
            out.line(f"{row.name} is {'enabled' if enabled else 'disabled'}.")
    if out.as_json:
        out.json([{"name": row.name, "enabled": row.enabled} for row in rows.values()])
