"""What a child has of its parent: its tags, and no later deadline where it ends with it.

Queue and priority are those of the child's own workflow, which knows where it is to run. `using()` overrides each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django_workflows import codec
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.plans import Plan, make_plan
from django_workflows.authoring.ports import StartOptions
from django_workflows.engine.turn.turn import Turn

_SHORTEST = timedelta(microseconds=1)  # a timeout must be longer than nothing


def options_of(turn: Turn, definition: WorkflowDefinition[..., Any]) -> StartOptions:
    """How a child is started that asks for its key first. Raises `InvalidInput`."""
    plan = plan_of(turn, definition)
    start = start_of(turn, plan)
    deadline = deadline_of(turn, plan, start)
    timeout = None if deadline is None else max(deadline - start, _SHORTEST)
    return replace(definition.start_options, parent=plan.parent, tags=plan.tags, timeout=timeout)


def plan_of(turn: Turn, definition: WorkflowDefinition[..., Any]) -> Plan:
    """The settled options of a child. Raises `InvalidInput`."""
    options = definition.start_options
    tags = _tags(turn.claimed.tags, options.tags)
    return make_plan(definition, replace(options, parent=turn.claimed.id, tags=tags))


def start_of(turn: Turn, plan: Plan) -> datetime:
    return plan.start_at or turn.after(plan.delay)


def deadline_of(turn: Turn, plan: Plan, start: datetime) -> datetime | None:
    """Of a child that starts then. One that goes on without its parent has nothing to do with the parent's time."""
    own = None if plan.timeout is None else start + plan.timeout
    parents = turn.claimed.deadline if plan.parent_close == "cancel" else None
    return min((moment for moment in (own, parents) if moment is not None), default=None)


def _tags(parents: str | None, own: Any) -> Any:
    """Those of the parent under the child's own; what is no dict is refused by its plan."""
    if parents is None or not isinstance(own, Mapping):
        return own
    return {**codec.decode(parents), **own}
