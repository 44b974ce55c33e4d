"""What the maker of a trigger must be allowed to do: all that the trigger will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from django_workflows.authoring.names import problem_with
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import InvalidTrigger, NotPermitted
from django_workflows.models import TriggerType, Workflow
from django_workflows.rights import SEND_EVENT, START, Maker, full_name, scope

OPEN_WEBHOOK = "open_webhook"


def missing(codename: str) -> str:
    """What to tell somebody who lacks a permission."""
    return _("You need the permission %(name)s.") % {"name": full_name(codename)}


def may_start(maker: Maker, workflow: str) -> bool | None:
    """Whether the maker may have a workflow started; None when it does not exist for him.

    A single step can be started by code alone, and here is no workflow.
    """
    row = maker.visible(Workflow.objects.filter(name=workflow)).first()
    is_hidden = row is None and ((maker.is_scoped and scope() is not None) or registry.is_single_step(workflow))
    return None if is_hidden else maker.may(START, row)


def check_workflow(maker: Maker, workflow: str) -> None:
    """Raises `InvalidTrigger` and `NotPermitted`."""
    if problem := problem_with(workflow):
        raise InvalidTrigger({"workflow": [_("The workflow's name %(problem)s") % {"problem": problem}]})
    allowed = may_start(maker, workflow)
    if allowed is None:
        raise InvalidTrigger({"workflow": [_("There is no workflow %(name).200r.") % {"name": workflow}]})
    if not allowed:
        raise NotPermitted({"workflow": [missing(START)]})


def check_options(maker: Maker, type: str, config: Mapping[str, Any]) -> None:
    """Raises `NotPermitted` where a webhook is open to everybody, or publishes."""
    if type != TriggerType.WEBHOOK:
        return
    errors = {}
    if config.get("verify") == "none" and not maker.may(OPEN_WEBHOOK):
        errors["config.verify"] = [missing(OPEN_WEBHOOK)]
    if config.get("event") and not maker.may(SEND_EVENT):
        errors["config.event"] = [missing(SEND_EVENT)]
    if errors:
        raise NotPermitted(errors)
