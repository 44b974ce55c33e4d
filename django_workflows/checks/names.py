"""The names under which workflows and steps are found."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from django_workflows.authoring.registry import registry
from django_workflows.checks.settings import TAG


@register(TAG)
def check_names(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Names that belong to two functions: neither of them can be started by name."""
    return [
        Error(
            f"The {what} is defined more than once: {' and '.join(sorted(places))}.",
            hint="Give one of them another name: name='…'.",
            id="django_workflows.E005",
        )
        for what, places in sorted(registry.duplicates.items())
    ]
