"""Definitions as rows: each change is a new version, nothing is overwritten, executions keep theirs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, cast

from django.db.backends.utils import CursorWrapper

from django_workflows import codec, conf
from django_workflows.authoring.registry import registry
from django_workflows.declarative.document import Definition
from django_workflows.declarative.parser import draft
from django_workflows.declarative.rights import check_rights
from django_workflows.declarative.validation import check
from django_workflows.engine.database.transactions import transact
from django_workflows.exceptions import InvalidDefinition, WorkflowsError
from django_workflows.models import Trigger, TriggerOrigin, Workflow, WorkflowVersion
from django_workflows.rights import Maker
from django_workflows.triggers.syncing import Origin, declare


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What saving came to. `created`: the workflow is new; `changed`: there is a new version."""

    workflow: Workflow
    version: WorkflowVersion
    created: bool
    changed: bool


def validate(document: Any, by: Maker | None = None) -> Definition:
    """The definition. Raises `InvalidDefinition` with all that is wrong, by path, and `NotPermitted`."""
    definition, problems = draft(document)
    if by is not None:  # first, as what is wrong with its steps tells what they are
        check_rights(definition, by)
    check(definition, problems)
    _refuse_code(definition.name)
    return definition


def save(document: Any, *, name: str | None = None, expected: int | None = None, by: Maker | None = None) -> Saved:
    """Store it as the current version of its name, with its triggers. The same document again changes nothing.

    With `name`, the document must have that name. With `expected`, the current version must have that number: somebody
    else may have saved another meanwhile. `by` is who saves it, and must be allowed to do what it will do; without, it
    is code. Raises `InvalidDefinition` and `NotPermitted`; whether somebody may save any is the callers' business.
    """
    definition = validate(document, by)
    if name is not None and definition.name != name:
        raise InvalidDefinition({"name": [f"This is {name!r}; a definition with another name is another workflow."]})
    text = codec.canonical(document)
    made_by = "" if by is None else by.id
    storing = _Storing(definition, document, hashlib.sha256(text.encode()).hexdigest(), expected, made_by)
    return transact(storing.alias, storing)


def delete(name: str) -> bool:
    """Remove the workflow and its triggers; whether there was one.

    Its executions stay, and those under way go on: the versions stay for them. Raises `InvalidDefinition` for code.
    """
    _refuse_code(name)
    alias = conf.database()

    def remove(cursor: CursorWrapper) -> bool:
        Trigger.objects.using(alias).filter(workflow=name).delete()
        return Workflow.objects.using(alias).filter(name=name).delete()[0] > 0

    return transact(alias, remove)


def current_document(name: str) -> dict[str, Any] | None:
    """What was saved last under this name; None when there is nothing, or it is code."""
    alias = conf.database()
    version = Workflow.objects.using(alias).filter(name=name).values_list("version", flat=True).first()
    if version is None:
        return None
    rows = WorkflowVersion.objects.using(alias).filter(workflow=name, version=version, definition__isnull=False)
    row = rows.first()
    return None if row is None else cast(dict[str, Any], row.definition)


def is_in_code(name: str) -> bool:
    """Whether the code has a workflow, or a step that can be started, of this name."""
    try:
        return registry.in_code(name) is not None
    except WorkflowsError:  # a duplicate
        return True


def _refuse_code(name: str) -> None:
    if is_in_code(name):
        raise InvalidDefinition({"name": [f"{name!r} is code; change it there, or take another name."]})


class _Storing:
    """One attempt to store a definition, in one transaction."""

    def __init__(
        self, definition: Definition, document: Any, fingerprint: str, expected: int | None, made_by: str
    ) -> None:
        self.alias = conf.database()
        self._definition, self._document, self._fingerprint = definition, document, fingerprint
        self._expected, self._made_by = expected, made_by

    def __call__(self, cursor: CursorWrapper) -> Saved:
        workflow, created = Workflow.objects.using(self.alias).get_or_create(name=self._definition.name)
        workflow = Workflow.objects.using(self.alias).select_for_update().get(pk=workflow.pk)
        latest = self._latest()
        if self._expected is not None and self._expected != (0 if created else workflow.version):
            raise InvalidDefinition({"": [f"Somebody has saved version {workflow.version} meanwhile; look at it."]})
        # whose it was, too: his scope holds for its executions
        before = None if latest is None else (latest.fingerprint, latest.made_by)
        if created and latest is not None and before == (self._fingerprint, self._made_by):
            version, changed = latest, False
        elif not created and (same := self._current(workflow)) is not None:
            return Saved(workflow=workflow, version=same, created=False, changed=False)
        else:
            version, changed = self._add(1 if latest is None else latest.version + 1), True
        self._describe(workflow, version.version)
        origin = Origin(TriggerOrigin.DEFINITION, self._made_by)
        declare(self.alias, workflow.name, self._definition.triggers, origin=origin)
        return Saved(workflow=workflow, version=version, created=created, changed=changed)

    def _versions(self) -> Any:
        return WorkflowVersion.objects.using(self.alias).filter(workflow=self._definition.name)

    def _latest(self) -> WorkflowVersion | None:
        found: WorkflowVersion | None = self._versions().order_by("-version").first()
        return found

    def _current(self, workflow: Workflow) -> WorkflowVersion | None:
        """The current version, if this is what it says."""
        rows = self._versions().filter(version=workflow.version, fingerprint=self._fingerprint)
        found: WorkflowVersion | None = rows.filter(definition__isnull=False).first()
        return found

    def _add(self, number: int) -> WorkflowVersion:
        row = WorkflowVersion(workflow=self._definition.name, version=number, fingerprint=self._fingerprint)
        row.definition, row.made_by = self._document, self._made_by
        row.input_schema = self._definition.input_schema
        row.save(using=self.alias, force_insert=True)
        return row

    def _describe(self, workflow: Workflow, version: int) -> None:
        """`enabled` is the operator's."""
        definition = self._definition
        workflow.version, workflow.description = version, definition.description
        workflow.tags, workflow.queue = list(definition.tags), definition.queue or ""
        workflow.timeout, workflow.on_error = definition.timeout, definition.on_error
        workflow.save(using=self.alias)
