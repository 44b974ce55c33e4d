"""What stored definitions need of a worker: every worker can execute them that has the steps which they call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import DuplicateName
from django_workflows.models import WorkflowVersion

Pair = tuple[str, int]


def actions_of(pairs: Iterable[Pair]) -> dict[Pair, frozenset[str]]:
    """Of those versions that are stored definitions, the names of the steps that they call."""
    wanted = set(pairs)
    if not wanted:
        return {}
    rows = WorkflowVersion.objects.using(conf.database()).filter(definition__isnull=False)
    found = rows.filter(workflow__in={workflow for workflow, _ in wanted}).values_list("workflow", "version")
    numbers = {pair for pair in found if pair in wanted}  # first without the documents, which are large
    rows = rows.filter(workflow__in={pair[0] for pair in numbers}, version__in={pair[1] for pair in numbers})
    return {(row.workflow, row.version): _actions(row.definition) for row in rows} if numbers else {}


def _actions(document: Any) -> frozenset[str]:
    """By the names under which workers report them: `app.charge` is `charge`."""
    steps = document.get("steps") if isinstance(document, Mapping) else None
    named = [step.get("action") for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else []
    return frozenset(_reported(name) for name in named if isinstance(name, str))


def _reported(action: str) -> str:
    try:
        found = registry.step(action)
    except DuplicateName:
        found = None
    return action if found is None else found.name
