"""Making, changing and removing triggers: checked here, once, for code, API, admin and commands.

`by` is who makes it, and must be allowed to do what it will do; without, it is code. Whether somebody may make triggers
at all is the callers' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError

from django_workflows import conf
from django_workflows.authoring.names import problem_with
from django_workflows.authoring.registry import registry
from django_workflows.authoring.triggers import TriggerDefinition, checked
from django_workflows.clock import database_now
from django_workflows.engine.database.transactions import reading, repeated
from django_workflows.exceptions import InvalidTrigger, UnknownWorkflow, WorkflowsError
from django_workflows.models import Trigger, TriggerOrigin, TriggerType, Workflow
from django_workflows.rights import Maker
from django_workflows.triggers import permitting
from django_workflows.triggers.planning import PLANNED, plan_anew

NOTE_LENGTH = 500


def validate(type: str, pattern: str, config: Mapping[str, Any] | None = None) -> TriggerDefinition:
    """The trigger in its canonical form. Raises `InvalidTrigger` with all that is wrong, by field."""
    return checked(type, pattern, config)


def create(
    workflow: str,
    type: str,
    pattern: str,
    config: Mapping[str, Any] | None = None,
    *,
    enabled: bool = True,
    origin: str = TriggerOrigin.OPERATOR,
    by: Maker | None = None,
) -> Trigger:
    """A new trigger; one that had left the code comes back with its counts.

    Raises `InvalidTrigger` and `NotPermitted`.
    """
    alias = conf.database()
    if by is not None:
        permitting.check_workflow(by, workflow)
    _check_workflow(alias, workflow)
    definition = validate(type, pattern, config)
    if by is not None:
        permitting.check_options(by, definition.type, definition.config)
    trigger = find(alias, workflow, definition) or Trigger(
        workflow=workflow, type=definition.type, pattern=definition.pattern, variant=definition.variant
    )
    if not trigger._state.adding and trigger.retired_at is None:
        raise InvalidTrigger({"pattern": [f"{workflow!r} has this trigger already: {trigger.pk}."]})
    trigger.config, trigger.enabled, trigger.origin = dict(definition.config), enabled, origin
    trigger.made_by, trigger.retired_at = "" if by is None else by.id, None
    plan_anew(trigger, database_now(alias))
    _save(alias, trigger)
    return trigger


def update(
    trigger: Trigger,
    *,
    workflow: str | None = None,
    pattern: str | None = None,
    config: Mapping[str, Any] | None = None,
    enabled: bool | None = None,
    note: str | None = None,
    by: Maker | None = None,
) -> Trigger:
    """Change what is given; enabling clears the note. What comes from the code can only be enabled and disabled.

    Raises `InvalidTrigger` and `NotPermitted`.
    """
    alias = conf.database()
    before = _timing(trigger)
    is_other = workflow is not None or pattern is not None or config is not None
    if by is not None and (is_other or enabled):
        permitting.check_workflow(by, workflow or trigger.workflow)
    if is_other:
        _refuse_foreign(trigger, "changed")
        _check_workflow(alias, workflow or trigger.workflow)
        definition = validate(
            trigger.type, trigger.pattern if pattern is None else pattern, trigger.config if config is None else config
        )
        trigger.workflow = workflow or trigger.workflow
        trigger.pattern, trigger.variant = definition.pattern, definition.variant
        trigger.config, trigger.made_by = dict(definition.config), "" if by is None else by.id
    if by is not None and (is_other or enabled):
        permitting.check_options(by, trigger.type, _options_of(trigger))
    if enabled is not None:
        trigger.enabled = enabled
    trigger.note = _checked_note(("" if enabled else trigger.note) if note is None else note)
    columns = ["workflow", "pattern", "variant", "config", "made_by", "enabled", "note", "updated_at"]
    if _timing(trigger) != before:  # else a moment that is due just now would be lost
        plan_anew(trigger, database_now(alias))
        columns += PLANNED
    _save(alias, trigger, columns)  # never the others: workers count and plan meanwhile
    return trigger


def delete(trigger: Trigger) -> None:
    """Remove it; what it started stays. Raises `InvalidTrigger` for one that the code would bring back."""
    if trigger.retired_at is None:
        _refuse_foreign(trigger, "removed")
    alias = conf.database()
    repeated(alias, lambda: Trigger.objects.using(alias).filter(pk=trigger.pk).delete())


def enable(trigger: Trigger, *, by: Maker | None = None) -> bool:
    """Let it start executions; whether that changed anything. What a schedule missed meanwhile is not caught up.

    Raises `NotPermitted`.
    """
    if by is not None and not trigger.enabled:
        permitting.check_workflow(by, trigger.workflow)
        permitting.check_options(by, trigger.type, _options_of(trigger))
    return _switch(trigger, True, "")


def disable(trigger: Trigger, note: str = "") -> bool:
    """Let it start nothing, until it is enabled again; whether that changed anything. `note` says why."""
    return _switch(trigger, False, note)


def find(alias: str, workflow: str, definition: TriggerDefinition) -> Trigger | None:
    """The row of this trigger, retired or not."""
    rows = Trigger.objects.using(alias).filter(workflow=workflow, type=definition.type, pattern=definition.pattern)
    return reading(alias, lambda _: rows.filter(variant=definition.variant).first())


def _switch(trigger: Trigger, enabled: bool, note: str) -> bool:
    changes = trigger.enabled != enabled
    if not changes and trigger.note == note:
        return False
    trigger.enabled, trigger.note = enabled, _checked_note(note)
    columns = ["enabled", "note", "updated_at"]
    if changes:
        plan_anew(trigger, database_now(conf.database()))
        columns += PLANNED
    alias = conf.database()
    repeated(alias, lambda: trigger.save(using=alias, update_fields=columns))
    return changes


def _checked_note(note: str) -> str:
    if len(note) > NOTE_LENGTH or "\0" in note:
        raise InvalidTrigger({"note": [f"A note is a text of up to {NOTE_LENGTH} characters."]})
    return note


def _options_of(trigger: Trigger) -> Mapping[str, Any]:
    """Its configuration; a row that nobody has checked may hold anything."""
    return trigger.config if isinstance(trigger.config, Mapping) else {}


def _timing(trigger: Trigger) -> tuple[Any, ...]:
    """What the moments of a schedule depend on."""
    config = _options_of(trigger)
    return trigger.pattern, trigger.enabled, config.get("tz"), config.get("jitter")


def _save(alias: str, trigger: Trigger, columns: list[str] | None = None) -> None:
    try:
        repeated(alias, lambda: trigger.save(using=alias, update_fields=columns))
    except IntegrityError:
        what = "Another webhook has this path" if trigger.type == TriggerType.WEBHOOK else "This trigger exists already"
        raise InvalidTrigger({"pattern": [f"{what}: {trigger.pattern!r}."]}) from None


def _check_workflow(alias: str, workflow: Any) -> None:
    if problem := problem_with(workflow):
        raise InvalidTrigger({"workflow": [f"The workflow's name {problem}"]})
    try:
        registry.workflow(workflow)
    except UnknownWorkflow as error:
        if not reading(alias, lambda _: Workflow.objects.using(alias).filter(name=workflow).exists()):
            raise InvalidTrigger({"workflow": [str(error)]}) from None
    except WorkflowsError as error:
        raise InvalidTrigger({"workflow": [str(error)]}) from None


def _refuse_foreign(trigger: Trigger, done: str) -> None:
    if trigger.origin == TriggerOrigin.CODE:
        raise InvalidTrigger(
            {"origin": [f"This trigger stands in the code of {trigger.workflow!r} and is {done} there; or disable it."]}
        )
    if trigger.origin == TriggerOrigin.DEFINITION:
        raise InvalidTrigger(
            {"origin": [f"This trigger belongs to the definition of {trigger.workflow!r}: update that, or disable it."]}
        )
