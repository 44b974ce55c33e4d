"""How a step of a definition calls a registered `@step`: under its own id, with arguments read by the signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django_workflows import codec
from django_workflows.authoring.definitions import StepDefinition
from django_workflows.authoring.options import StepKeywords
from django_workflows.authoring.registry import registry
from django_workflows.declarative.document import ActionStep
from django_workflows.exceptions import InvalidInput, NonRetryable, UnknownWorkflow

AnyStep = StepDefinition[..., Any]


class InvalidActionInput(NonRetryable):
    """The arguments that the definition gives do not fit the step's signature."""


def action_of(step: ActionStep) -> AnyStep:
    """The step as the journal will name it. Raises `UnknownWorkflow` when it is not registered any more."""
    found = registry.step(step.action)
    if found is None:
        raise UnknownWorkflow(f"Step {step.id!r}: no @step is registered under {step.action!r} any more.")
    if found.options.queue is not None:
        return found  # others execute it as it is registered, and read its arguments themselves
    options: StepKeywords = {}
    if step.retry is not None:
        options["retry"] = step.retry
    if step.timeout is not None:
        options["timeout"] = step.timeout
    if step.on_error is not None:
        options["on_error"] = step.on_error
    action: AnyStep = found.using(**options, name=step.id)
    action.fn = _reading_arguments(found)
    return action


def _reading_arguments(found: AnyStep) -> Callable[..., Any]:
    """The step's function, called with JSON: inside the attempt, so that a misfit is in the journal as its failure."""

    async def call_async(**given: Any) -> Any:
        args, kwargs = _arguments(found, given)
        return await found.fn(*args, **kwargs)

    def call(**given: Any) -> Any:
        args, kwargs = _arguments(found, given)
        return found.fn(*args, **kwargs)

    return call_async if found.is_async else call


def _arguments(found: AnyStep, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    try:
        return codec.call_arguments(found.fn, given)
    except InvalidInput as error:
        raise InvalidActionInput(str(error)) from None
