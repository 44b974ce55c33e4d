"""Whom a published event reaches, where the project narrows what users find.

What a user published reaches what exists for him, and who runs a definition that a user saved gets what exists for that
one. Events that code published, and workflows that are code, know no bounds. Nothing is asked where there is no scope.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django_workflows import rights
from django_workflows.engine.events.published import Published
from django_workflows.models import Event, Execution, WorkflowVersion


def receivers(alias: str, event: Published, executions: Collection[UUID]) -> Collection[UUID]:
    """Those of the executions that may get the event."""
    if rights.scope() is None or not executions:
        return executions
    within = rights.found_by(event.made_by, Execution, executions) if event.made_by else executions
    rows = Execution.objects.using(alias).filter(pk__in=within)
    runs = {id: (workflow, version) for id, workflow, version in rows.values_list("pk", "workflow", "version")}
    savers = _savers(alias, set(runs.values()))
    sees = {saver: bool(rights.found_by(saver, Event, [event.id])) for saver in set(savers.values())}
    return {id for id, run in runs.items() if sees.get(savers.get(run, ""), True)}


def _savers(alias: str, runs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Which user saved each of the versions; none did where it is code."""
    rows = WorkflowVersion.objects.using(alias).filter(workflow__in={workflow for workflow, _ in runs})
    named = rows.exclude(made_by="").values_list("workflow", "version", "made_by")
    return {(workflow, version): made_by for workflow, version, made_by in named}
