"""What the saver of a definition must be allowed to do: all that the definition will do.

Its actions by `WORKFLOWS["DEFINITION_ACTIONS"]`, or else the permission to call every step; its children and triggers
by `start_execution`, and children must exist for the saver. Which events it gets is asked when there are some.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.declarative.document import ActionStep, ChildStep, Definition
from django_workflows.exceptions import InvalidDefinition, NotPermitted, WorkflowsError
from django_workflows.models import Workflow
from django_workflows.rights import START, Maker, full_name
from django_workflows.triggers.permitting import may_start, missing

CALL_STEP = "call_step"

Problem = tuple[str, str]  # a path, and what is wrong there


def check_rights(definition: Definition, maker: Maker) -> None:
    """Raises `InvalidDefinition` for what does not exist for the saver, `NotPermitted` for what he may not do."""
    if hidden := list(_hidden(definition, maker)):
        raise InvalidDefinition(_by_path(hidden))
    if forbidden := [*_forbidden_steps(definition, maker), *_forbidden_triggers(definition, maker)]:
        raise NotPermitted(_by_path(forbidden))


def _by_path(problems: list[Problem]) -> dict[str, list[str]]:
    return {path: [text] for path, text in problems}


def _hidden(definition: Definition, maker: Maker) -> Iterator[Problem]:
    for place, name in _children(definition):
        if not registry.is_single_step(name) and may_start(maker, name) is None:
            yield place, _("There is no workflow %(name)r.") % {"name": name}


def _children(definition: Definition) -> Iterator[Problem]:
    """The path and the name of each; one that runs itself asks nothing of others."""
    for number, step in enumerate(definition.steps):
        if isinstance(step, ChildStep) and step.workflow and step.workflow != definition.name:
            yield f"steps.{number}.workflow", step.workflow


def _forbidden_steps(definition: Definition, maker: Maker) -> Iterator[Problem]:
    for number, step in enumerate(definition.steps):
        if isinstance(step, ActionStep) and not _may_call(maker, step.action):
            yield f"steps.{number}.action", _no_step(step.action)
    for place, name in _children(definition):
        if registry.is_single_step(name):
            if not _may_call(maker, name):
                yield place, _no_step(name)
        elif not may_start(maker, name):
            yield place, missing(START)


def _may_call(maker: Maker, name: str) -> bool:
    """A name that nobody has registered is told by who looks at what there is, unless the saver may call none."""
    if not (path := conf.definition_actions()):
        return maker.may(CALL_STEP)
    try:
        step = registry.step(name)
    except WorkflowsError:  # a duplicate, which is told there too
        return True
    return step is None or bool(import_string(path)(maker.user, step))


def _no_step(name: str) -> str:
    told = {"action": name, "name": full_name(CALL_STEP)}
    if conf.definition_actions():
        return _("You may not call the step %(action)r: WORKFLOWS['DEFINITION_ACTIONS'] says which.") % told
    return (
        _(
            "You may not call the step %(action)r: you need the permission %(name)s, or "
            "WORKFLOWS['DEFINITION_ACTIONS'] must allow it."
        )
        % told
    )


def _forbidden_triggers(definition: Definition, maker: Maker) -> Iterator[Problem]:
    """A definition with triggers starts itself; a new one has no row yet for which somebody could be allowed to."""
    own = maker.visible(Workflow.objects.filter(name=definition.name)).first()
    if not maker.may(START, own):
        for key in sorted({f"{trigger.type}s" for trigger in definition.triggers}):
            yield key, missing(START)
