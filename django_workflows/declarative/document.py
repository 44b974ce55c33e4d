"""A workflow described as data, once it has been read: frozen values that the interpreter goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from django_workflows.authoring.options import StepOnError
from django_workflows.authoring.retry import Retry
from django_workflows.authoring.triggers import TriggerDefinition
from django_workflows.expressions.conditions import Condition
from django_workflows.expressions.paths import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every kind of step has. `needs` are the ids that it depends on, if the document says so."""

    id: str
    when: Condition | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStep(Step):
    """Calls a registered `@step`; None means what that step, the definition or the project says."""

    action: str
    input: Template
    retry: Retry | None = None
    timeout: timedelta | None = None
    on_error: StepOnError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepStep(Step):
    """Sleeps for a duration, which a reference may give."""

    duration: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStep(Step):
    """Waits for a published event."""

    event: str
    match: Template
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStep(Step):
    """Runs another workflow and waits for its output."""

    workflow: str
    input: Template
    timeout: timedelta | None = None
    on_error: Literal["fail", "continue"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A whole document. `is_graph`: steps run when what they need is done, else in their order."""

    name: str
    steps: tuple[Step, ...]
    is_graph: bool = False
    description: str = ""
    tags: tuple[str, ...] = ()
    queue: str | None = None
    priority: int = 0
    timeout: timedelta | None = None
    on_error: StepOnError = "fail"
    retry: Retry | None = None
    triggers: tuple[TriggerDefinition, ...] = ()
    input_schema: Mapping[str, Any] | None = None
    output: Template = field(default_factory=lambda: Template(None, ()))

    @property
    def actions(self) -> frozenset[str]:
        """The names of the `@step` functions that it calls."""
        return frozenset(step.action for step in self.steps if isinstance(step, ActionStep))

    @property
    def children(self) -> frozenset[str]:
        """The names of the workflows that it runs."""
        return frozenset(step.workflow for step in self.steps if isinstance(step, ChildStep))
