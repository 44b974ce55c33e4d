"""Workflows: which there are, their versions, and switching them on and off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound

from django_workflows import conf
from django_workflows.api import fields, paging
from django_workflows.api.access import Access, uuid_of
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers import workflows as shapes
from django_workflows.engine.database.transactions import repeated
from django_workflows.models import Execution, Workflow, WorkflowVersion

COUNTED = 10_000


class WorkflowChange(Strict):
    """What to change without a new version."""

    enabled = fields.Flag(required=False, help_text="A disabled workflow is not started; what is under way goes on.")


def list_workflows(access: Access, query: Mapping[str, Any]) -> paging.Page:
    """A page of the workflows, by name."""
    query = checked(paging.Paging, query)
    access.require("view_workflow")
    rows = access.visible(Workflow.objects.all())
    if cursor := query.get("cursor"):
        (name,) = paging.from_cursor(cursor, paging.word)
        rows = rows.filter(name__gt=name)
    limit = paging.limit_of(query)
    rows = rows.order_by("name")
    page, cursor = paging.read(rows, limit, lambda workflow: (workflow.name,), ("description", "tags"))
    return paging.Page(results=[shapes.summary(workflow) for workflow in page], cursor=cursor)


def get_workflow(access: Access, name: str) -> dict[str, Any]:
    """One workflow, by its name or id, with its current definition."""
    return _document(find(access, name, "view_workflow"))


def switch(access: Access, name: str, body: Any) -> dict[str, Any]:
    """Switch a workflow on or off."""
    said = checked(WorkflowChange, body)
    workflow = find(access, name, "change_workflow")
    if "enabled" in said and workflow.enabled != said["enabled"]:
        workflow.enabled = said["enabled"]
        alias = conf.database()
        repeated(alias, lambda: workflow.save(using=alias, update_fields=["enabled", "updated_at"]))
    return _document(workflow)


def list_versions(access: Access, name: str, query: Mapping[str, Any]) -> paging.Page:
    """A page of the versions, newest first, with the number of executions on each."""
    query = checked(paging.Paging, query)
    workflow = find(access, name, "view_workflow")
    rows = WorkflowVersion.objects.using(workflow._state.db).filter(workflow=workflow.name)
    if cursor := query.get("cursor"):
        (below,) = paging.from_cursor(cursor, paging.number)
        rows = rows.filter(version__lt=below)
    limit = paging.limit_of(query)
    page, cursor = paging.read(rows.order_by("-version"), limit, lambda row: (row.version,), ("definition",))
    newest = access.visible(Execution.objects.filter(workflow=workflow.name)).order_by("-created_at")
    counted = list(newest.values_list("version", flat=True)[:COUNTED])
    counts = Counter(counted)
    results = [shapes.version(row, counts[row.version], at_least=len(counted) == COUNTED) for row in page]
    return paging.Page(results=results, cursor=cursor)


def find(access: Access, name: str, codename: str) -> Workflow:
    """A workflow by its name or id. Raises `NotFound` and `PermissionDenied`."""
    if "\0" in name:
        raise NotFound(_("There is no such workflow."))
    uuid = uuid_of(name)
    rows = Workflow.objects.filter(Q(name=name) | Q(pk=uuid) if uuid is not None else Q(name=name))
    return access.row(rows.order_by("created_at"), codename, _("There is no workflow %(name).200r.") % {"name": name})


def _document(workflow: Workflow) -> dict[str, Any]:
    versions = WorkflowVersion.objects.using(workflow._state.db)
    current = versions.filter(workflow=workflow.name, version=workflow.version)
    return shapes.document(workflow, next(iter(current[:1]), None))
