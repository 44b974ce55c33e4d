"""Workflows as data: saved, changed and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from django_workflows import definitions
from django_workflows.api.access import Access, outside
from django_workflows.api.actions import workflows
from django_workflows.api.problems import conflict
from django_workflows.api.serializers import workflows as shapes
from django_workflows.definitions import Saved, is_in_code
from django_workflows.models import Workflow


def create(access: Access, document: Any, key: str | None) -> tuple[dict[str, Any], bool]:
    """Save a new workflow; with a key, the same one again is no conflict. Whether it is new."""
    access.require("add_workflow")
    name = _name_of(document)
    known = Workflow.objects.using(access.alias).filter(name=name).first() if name else None
    if known is not None:
        access.check_exists(known)
        if key is None or definitions.current_document(known.name) != document:
            raise conflict("exists", _("There is a workflow %(name)s. PUT changes it.") % {"name": known.name})
    elif access.is_scoped and is_in_code(name):  # which no row shows to anybody
        raise outside()
    return _save(access, document)


def _save(access: Access, document: Any, name: str | None = None) -> tuple[dict[str, Any], bool]:
    """Within the scope; whether it is new."""
    saved: list[Saved] = []

    def save() -> tuple[Workflow, bool]:
        saved[:] = [definitions.save(document, name=name, by=access.maker)]
        return saved[0].workflow, saved[0].created

    workflow, is_new = access.within(save)
    return shapes.document(workflow, saved[0].version), is_new


def replace(access: Access, name: str, document: Any) -> dict[str, Any]:
    """Save another version; the same document again changes nothing."""
    workflow = workflows.find(access, name, "change_workflow")
    _refuse_code(workflow)
    return _save(access, document, workflow.name)[0]


def change(access: Access, name: str, body: Any) -> dict[str, Any]:
    """Switch it on or off, and replace single members of its definition (null removes one)."""
    if not isinstance(body, Mapping):
        raise ValidationError(_("Must be an object."))
    switch = {"enabled": body["enabled"]} if "enabled" in body else {}
    members = {member: value for member, value in body.items() if member != "enabled"}
    if not members:
        return workflows.switch(access, name, switch)
    workflow = workflows.find(access, name, "change_workflow")
    _refuse_code(workflow)
    merged = dict(definitions.current_document(workflow.name) or {}) | members
    _save(access, {member: value for member, value in merged.items() if value is not None}, workflow.name)
    return workflows.switch(access, name, switch)


def remove(access: Access, name: str) -> None:
    """Remove a workflow that is data; its executions stay, and those under way go on."""
    workflow = workflows.find(access, name, "delete_workflow")
    _refuse_code(workflow)
    definitions.delete(workflow.name)


def _name_of(document: Any) -> str:
    """The name, if it is one; what is wrong with a document is told by who reads it."""
    name = document.get("name") if isinstance(document, Mapping) else None
    return name if isinstance(name, str) and "\0" not in name else ""


def _refuse_code(workflow: Workflow) -> None:
    if definitions.current_document(workflow.name) is None:
        detail = _("The workflow %(name)s is code: change it there. Here it can be enabled and disabled.")
        raise conflict("not-yours", detail % {"name": workflow.name})
