"""Workflows that are code appear as rows, for people and for other tables to refer to."""

from __future__ import annotations

import hashlib
import inspect
import logging
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q

from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.registry import registry
from django_workflows.engine.database.transactions import repeated
from django_workflows.models import Workflow, WorkflowVersion

logger = logging.getLogger("django_workflows")

_IS_CODE = ("workflow", "version", ExpressionWrapper(Q(definition__isnull=True), output_field=BooleanField()))


def publish(alias: str, *, only_missing: bool) -> None:
    """Write the workflows of the code into the tables. A worker's start only adds what is missing, so that an old one
    that restarts in the middle of a deploy undoes nothing.
    """
    definitions = {definition.name: definition for definition in registry.workflows()}
    repeated(alias, lambda: _publish(alias, definitions, only_missing=only_missing))


def _publish(alias: str, definitions: dict[str, WorkflowDefinition[..., Any]], *, only_missing: bool) -> None:
    known = {row.name: row for row in Workflow.objects.using(alias).filter(name__in=definitions)}
    missing = [_row(definition) for name, definition in definitions.items() if name not in known]
    Workflow.objects.using(alias).bulk_create(missing, ignore_conflicts=True)
    if not only_missing:
        _update(alias, definitions, known)
    _publish_versions(alias, definitions)


def _columns(definition: WorkflowDefinition[..., Any]) -> dict[str, Any]:
    options = definition.options
    return {
        "description": options.description or inspect.getdoc(definition.fn) or "",
        "tags": list(options.tags),
        "version": options.version,
        "queue": options.queue or "",
        "timeout": options.timeout,
        "on_error": options.on_error,
    }


def _row(definition: WorkflowDefinition[..., Any]) -> Workflow:
    return Workflow(name=definition.name, **_columns(definition))


def _update(alias: str, definitions: dict[str, WorkflowDefinition[..., Any]], known: dict[str, Workflow]) -> None:
    for name, row in known.items():
        columns = _columns(definitions[name])
        if any(getattr(row, column) != value for column, value in columns.items()):
            for column, value in columns.items():
                setattr(row, column, value)
            row.save(using=alias)


def _publish_versions(alias: str, definitions: dict[str, WorkflowDefinition[..., Any]]) -> None:
    stored = WorkflowVersion.objects.using(alias).filter(workflow__in=definitions)
    present = {(name, version): is_code for name, version, is_code in stored.values_list(*_IS_CODE)}
    for name, definition in definitions.items():
        if present.get((name, definition.options.version)) is False:
            logger.warning(
                "Version %d of %s is a stored definition, and now code as well: executions that began as data would be "
                "paused. Give the code a higher number: @workflow(version=%d).",
                definition.options.version,
                name,
                max(version for other, version in present if other == name) + 1,
            )
    rows = [
        WorkflowVersion(
            workflow=definition.name, version=definition.options.version, fingerprint=_fingerprint(definition)
        )
        for definition in definitions.values()
        if (definition.name, definition.options.version) not in present
    ]
    WorkflowVersion.objects.using(alias).bulk_create(rows, ignore_conflicts=True)


def _fingerprint(definition: WorkflowDefinition[..., Any]) -> str:
    try:
        source = inspect.getsource(definition.fn)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()
