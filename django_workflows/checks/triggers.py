"""What the code declares twice, of which only one can be."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.core.checks import CheckMessage, Error, register

from django_workflows.authoring.registry import registry
from django_workflows.checks.settings import TAG


@register(TAG)
def check_paths(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """A webhook's path belongs to one workflow: the others' would never be rows."""
    workflows: dict[str, list[str]] = defaultdict(list)
    for definition in registry.workflows():
        for trigger in definition.options.triggers:
            if trigger.type == "webhook":
                workflows[trigger.pattern].append(definition.name)
    return [
        Error(
            f"The webhook {path!r} is declared by {' and '.join(sorted(names))}.",
            hint="Give each workflow a path of its own, or let one of them publish an event that the others are on().",
            id="django_workflows.E014",
        )
        for path, names in sorted(workflows.items())
        if len(names) > 1
    ]
