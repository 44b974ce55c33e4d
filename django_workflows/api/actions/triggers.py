"""Registering, changing, trying and removing triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from django.db.models import Q
from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.api import fields, paging
from django_workflows.api.access import START, Access, uuid_of
from django_workflows.api.problems import invalid
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers import executions as executions_shapes
from django_workflows.api.serializers.triggers import TriggerDocument, document
from django_workflows.authoring.names import KEY_LENGTH
from django_workflows.models import Trigger, TriggerType, Workflow
from django_workflows.rights import Maker
from django_workflows.triggers import manual, permitting, registering, starting


class TriggerQuery(paging.Paging):
    """Which triggers."""

    workflow = fields.Name(required=False)
    type = fields.Choice(choices=TriggerType.values, required=False)


class TriggerBody(Strict):
    """A trigger to register."""

    workflow = fields.Name()
    type = fields.Choice(choices=TriggerType.values)
    pattern = fields.Text(
        max_length=500, help_text="An event's name or glob; cron or words like `every 5 minutes`; a webhook's path."
    )
    config = fields.JsonObject(required=False, default=dict)
    enabled = fields.Flag(required=False, default=True)


class TriggerChange(Strict):
    """What to change."""

    workflow = fields.Name(required=False)
    pattern = fields.Text(required=False, max_length=500)
    config = fields.JsonObject(required=False)
    enabled = fields.Flag(required=False)
    note = fields.Text(required=False, allow_blank=True, max_length=500, help_text="Why it is disabled.")


class FireBody(Strict):
    """What to try it with."""

    data = fields.AnyJson(required=False, default=None, help_text="As if an event had brought it.")  # type: ignore[assignment]  # the metaclass takes fields out of the class
    name = fields.Name(required=False, help_text="The event's name; the trigger's pattern without.")


def list_triggers(access: Access, query: Mapping[str, Any]) -> paging.Page:
    """A page of the triggers, by workflow."""
    query = checked(TriggerQuery, query)
    access.require("view_trigger")
    rows = access.visible(Trigger.objects.all())
    for name in ("workflow", "type"):
        if name in query:
            rows = rows.filter(**{name: query[name]})
    if cursor := query.get("cursor"):
        workflow, id = paging.from_cursor(cursor, paging.word, paging.identity)
        rows = rows.filter(Q(workflow__gt=workflow) | Q(workflow=workflow, id__gt=id))
    limit = paging.limit_of(query)
    rows = rows.order_by("workflow", "id")
    page, cursor = paging.read(rows, limit, lambda trigger: (trigger.workflow, trigger.id), ("config",))
    shape = TriggerDocument()
    return paging.Page(results=[shape.to_representation(trigger) for trigger in page], cursor=cursor)


def get_trigger(access: Access, id: object) -> dict[str, Any]:
    """One trigger."""
    return document(_find(access, id, "view_trigger"))


def register(access: Access, body: Any, key: str | None) -> tuple[dict[str, Any], bool]:
    """A new trigger; with a key, one that was made like this before counts as the same."""
    access.require("add_trigger")
    said = checked(TriggerBody, body)
    permitting.check_workflow(access.maker, said["workflow"])
    trigger, is_new = access.within(lambda: _register(access.maker, said, key))
    return document(trigger), is_new


def _register(maker: Maker, said: Mapping[str, Any], key: str | None) -> tuple[Trigger, bool]:
    given = said["workflow"], said["type"], said["pattern"], said["config"]
    if key is not None:
        definition = registering.validate(*given[1:])
        found = registering.find(conf.database(), given[0], definition)
        if found is not None and found.retired_at is None and found.config == dict(definition.config):
            return found, False
    return registering.create(*given, enabled=said["enabled"], by=maker), True


def change(access: Access, id: object, body: Any) -> dict[str, Any]:
    """Change a trigger; one of the code can only be enabled and disabled."""
    said = checked(TriggerChange, body)
    trigger = _find(access, id, "change_trigger")
    changed, _is_new = access.within(lambda: (registering.update(trigger, **said, by=access.maker), False))
    return document(changed)


def remove(access: Access, id: object) -> None:
    """Remove a trigger; what it started stays."""
    registering.delete(_find(access, id, "delete_trigger"))


def fire(access: Access, id: object, body: Any, key: str | None) -> tuple[dict[str, Any], bool]:
    """Start what it starts, now, enabled or not; the same key again answers with the same execution."""
    said = checked(FireBody, body)
    trigger = _find(access, id, START)
    _check_workflow(access, trigger.workflow)
    own = f"fire:{trigger.pk}:{uuid4() if key is None else key}"
    if len(own) > KEY_LENGTH:
        raise invalid("Idempotency-Key", _("Must have at most %(most)s characters here.") % {"most": 200})
    event = manual.event_now(trigger, own, said["data"], name=said.get("name", ""))
    execution, is_new = access.within(lambda: starting.start(trigger, event=event, idempotency_key=own))
    return executions_shapes.document(execution, reveal=access.reveals(execution)), is_new


def _find(access: Access, id: object, codename: str) -> Trigger:
    uuid = uuid_of(id)
    rows = Trigger.objects.filter(pk=uuid) if uuid is not None else Trigger.objects.none()
    return access.row(rows, codename, _("There is no trigger %(id).100r.") % {"id": str(id)})


def _check_workflow(access: Access, name: str) -> None:
    """A trigger that is found may be of a workflow that is not."""
    if access.is_scoped and not access.visible(Workflow.objects.filter(name=name)).exists():
        raise invalid("workflow", _("There is no workflow %(name).200r.") % {"name": name})
