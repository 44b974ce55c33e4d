"""Workflows that are rows, as workers and clients ask for them by name and version."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django_workflows import codec, conf
from django_workflows.authoring.context import AsyncContext
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.options import WorkflowKeywords
from django_workflows.authoring.registry import registry
from django_workflows.declarative import schemas
from django_workflows.declarative.document import Definition
from django_workflows.declarative.interpreter import input_of, interpret
from django_workflows.declarative.parser import read
from django_workflows.exceptions import InvalidDefinition, InvalidInput
from django_workflows.models import Workflow, WorkflowVersion

EVENT = "event"  # the argument that holds the whole event, where one started the execution
MOST_KEPT = 2_000  # versions in memory; what is forgotten is read again


class StoredWorkflow(WorkflowDefinition[..., Any]):
    """One version of a definition as something that can be started and executed."""

    def __init__(self, definition: Definition, version: int, fingerprint: str = "") -> None:
        super().__init__(_function(definition), _keywords(definition, version))
        self.definition, self.fingerprint = definition, fingerprint

    def bind(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        max_bytes: int = codec.MAX_BYTES,
        max_depth: int = codec.MAX_DEPTH,
    ) -> dict[str, Any]:
        """The arguments as they are, checked by the definition's `inputSchema`."""
        if args:
            raise InvalidInput({schemas.WHOLE: [f"{self.name!r} is a definition: its input is given by name."]})
        bound = super().bind((), kwargs, max_bytes=max_bytes, max_depth=max_depth)
        flat: dict[str, Any] = bound.pop("input", {}) | bound
        if self.definition.input_schema is not None:
            event, input = _apart(flat)
            schemas.check(self.definition.input_schema, input_of(event, input))
        return flat

    def arguments(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        event, input = _apart(codec.decode(text))
        return [event], input

    def missing_here(self) -> list[str]:
        """The actions that this process does not have."""
        return sorted(name for name in self.definition.actions if registry.step(name) is None)


def _apart(values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    return values.get(EVENT), {name: value for name, value in values.items() if name != EVENT}


def _function(definition: Definition) -> Any:
    # the first parameter has this name so that triggers hand over the whole event
    async def stored(ctx: AsyncContext, /, event: Any = None, **input: Any) -> Any:
        return await interpret(definition, ctx, event, input)

    stored.__name__ = stored.__qualname__ = definition.name
    stored.__doc__ = definition.description
    return stored


def _keywords(definition: Definition, version: int) -> WorkflowKeywords:
    keywords: WorkflowKeywords = {
        "name": definition.name,
        "version": version,
        "description": definition.description,
        "tags": definition.tags,
        "priority": definition.priority,
        "on_error": definition.on_error,
    }
    if definition.queue is not None:
        keywords["queue"] = definition.queue
    if definition.timeout is not None:
        keywords["timeout"] = definition.timeout
    if definition.retry is not None:
        keywords["retry"] = definition.retry
    return keywords


class StoredDefinitions:
    """Reads versions from their rows and keeps them: a version never changes. Safe for threads.

    Which version of a name is current is asked each time. The fingerprint tells a row that another one has replaced,
    as happens when a test, or a transaction, was rolled back.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], StoredWorkflow] = {}
        self._lock = threading.Lock()

    def current(self, name: str) -> StoredWorkflow | None:
        """The version that is started now; None when there is no such workflow, or it is code."""
        rows = Workflow.objects.using(conf.database()).filter(name=name)
        if (version := rows.values_list("version", flat=True).first()) is None:
            return None
        versions = _rows().filter(workflow=name, version=version)
        fingerprint = versions.values_list("fingerprint", flat=True).first()
        kept = self._kept.get((name, version))
        if kept is not None and kept.fingerprint == fingerprint:
            return kept
        return self._read(name, version) if fingerprint is not None else None

    def version(self, name: str, version: int) -> StoredWorkflow | None:
        """That version; None when there is none, or it is code."""
        return self._kept.get((name, version)) or self._read(name, version)

    def clear(self) -> None:
        """Forget everything that was read."""
        with self._lock:
            self._kept.clear()

    def _read(self, name: str, version: int) -> StoredWorkflow | None:
        row = _rows().filter(workflow=name, version=version).first()
        if row is None:
            return None
        try:
            found = StoredWorkflow(read(row.definition), version, row.fingerprint)
        except InvalidDefinition as error:
            told = {f"{name} v{version}: {path}": texts for path, texts in error.errors.items()}
            raise InvalidDefinition(told) from None
        with self._lock:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[name, version] = found
        return found


def _rows() -> Any:
    return WorkflowVersion.objects.using(conf.database()).filter(definition__isnull=False)


stored = StoredDefinitions()
