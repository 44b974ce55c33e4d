"""Starting an execution, once for each key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound

from django_workflows import client
from django_workflows.api import fields
from django_workflows.api.access import START, Access
from django_workflows.api.problems import conflict
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers.executions import document
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.plans import make_plan
from django_workflows.authoring.ports import StartOptions
from django_workflows.client import starting
from django_workflows.exceptions import InvalidInput, UnknownWorkflow
from django_workflows.models import Workflow


class StartBody(Strict):
    """What to start with. Durations are seconds, or texts like "5 minutes"."""

    input = fields.JsonObject(required=False, default=dict, help_text="The workflow's arguments by name.")
    key = fields.Key(required=False, allow_null=True, help_text="At most one unfinished execution has it.")
    on_conflict = fields.Choice(
        choices=["return", "error", "cancel"],
        required=False,
        help_text="When the key is taken: answer with the execution that has it, with 409, or replace it.",
    )
    delay = fields.Span(required=False, help_text="Begin so much later.")
    start_at = fields.Moment(required=False, help_text="Begin then; not together with `delay`.")
    timeout = fields.Span(required=False, help_text="End it as failed after so long.")
    ttl = fields.Span(required=False, help_text="Cancel it when nobody has begun with it for so long.")
    priority = fields.Whole(required=False, min_value=0, max_value=9, help_text="0 to 9; higher goes first.")
    queue = fields.Name(required=False)
    tags = fields.Tags(required=False)


def start(access: Access, name: str, body: Any, key: str | None) -> tuple[dict[str, Any], bool]:
    """The execution and whether it is new. Needs `start_execution`, and no other permission to see it.

    Whoever replaces another execution must be allowed to cancel it.
    """
    said = checked(StartBody, body)
    workflow = _workflow(access, name)
    input = said.pop("input")
    options = {option: value for option, value in said.items() if value is not None}
    definition = _definition(workflow, options, key)
    make_plan(definition, StartOptions(**options))  # complains of the options by their names
    chosen = definition.start_options
    try:
        execution, is_new = access.within(
            lambda: starting.start(definition, (), input, chosen, may_replace=access.check_replaceable)
        )
    except InvalidInput as error:
        raise InvalidInput({_place(field): messages for field, messages in error.errors.items()}) from None
    return document(execution, reveal=access.reveals(execution)), is_new


def _definition(name: str, options: Mapping[str, Any], key: str | None) -> WorkflowDefinition[..., Any]:
    try:
        return client.using(name, **options, idempotency_key=key)
    except UnknownWorkflow:
        detail = _("The code of the workflow %(name)s is not deployed on this server, so its input cannot be checked.")
        raise conflict("no-code", detail % {"name": name}) from None


def _place(field: str) -> str:
    return "input" if field == "__all__" else f"input.{field}"


def _workflow(access: Access, name: str) -> str:
    """The workflow to be started. Single steps can be started in Python alone: here they would be a hole."""
    row = next(iter(access.visible(Workflow.objects.filter(name=name))[:1]), None) if "\0" not in name else None
    if row is not None and access.may(START, row):
        return row.name
    access.require(START)
    raise NotFound(_unknown(access, name))


def _unknown(access: Access, name: str) -> str:
    text = _("There is no workflow %(name).200r.") % {"name": name}
    names = access.visible(Workflow.objects.all()).values_list("name", flat=True)[:500]
    close = difflib.get_close_matches(name[:200], list(names), n=1) if access.may("view_workflow") else []
    return text + " " + (_("Did you mean %(name)s?") % {"name": close[0]} if close else _("GET /workflows lists them."))
