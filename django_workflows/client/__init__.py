"""The application's door: start executions, send them messages, publish events, wait for results.

Everything here writes in the caller's transaction: invisible before its commit, gone with its rollback. Workers are
woken after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.options import StartKeywords
from django_workflows.authoring.plans import definition_of
from django_workflows.authoring.ports import Handle, StartOptions
from django_workflows.client import bulk, messages, results, starting
from django_workflows.client.handles import get
from django_workflows.client.messages import send_event, signal
from django_workflows.client.results import aresult, result
from django_workflows.client.tokens import answer_token
from django_workflows.exceptions import DefinitionError
from django_workflows.models import Execution

__all__ = [
    "answer_token",
    "aresult",
    "door",
    "get",
    "result",
    "send_event",
    "signal",
    "start",
    "start_many",
    "start_or_get",
    "using",
]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def start(
    workflow: WorkflowDefinition[P, Coroutine[Any, Any, R]] | StepDefinition[P, Coroutine[Any, Any, R]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Handle[R]: ...
@overload
def start(
    workflow: WorkflowDefinition[P, R] | StepDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> Handle[R]: ...
@overload
def start(workflow: str, /, *args: Any, **kwargs: Any) -> Handle[Any]: ...
def start(workflow: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Start an execution of a workflow, or of a single step, given by name or as such.

    One INSERT in the caller's transaction. The arguments are checked against the signature now: `InvalidInput` names
    the parameters that do not fit. A workflow made by `using(key=…)` may give back an execution that exists.
    """
    return starting.start(workflow, args, kwargs, _options_of(workflow))[0]


def start_or_get(workflow: Any, /, *args: Any, **kwargs: Any) -> tuple[Execution, bool]:
    """`start()`, and whether the execution is a new one; without a key it always is."""
    return starting.start(workflow, args, kwargs, _options_of(workflow))


def start_many(
    workflow: Any,
    inputs: Iterable[Mapping[str, Any]],
    *,
    key: Callable[[Any], str | None] | None = None,
    idempotency_key: Callable[[Any], str | None] | None = None,
    **options: Any,
) -> list[Execution]:
    """Start one execution for each dict of keyword arguments, all or none, in a few statements.

    `key` and `idempotency_key` make a key from an input; where it is taken, the list holds the existing execution at
    that place. The other options are those of `using()`. Raises what `start()` raises; an error in the input number 3
    is named "3.order_id".
    """
    if unknown := options.keys() - set(StartOptions.__dataclass_fields__):
        raise DefinitionError(f"Unknown option(s) for start_many(): {', '.join(sorted(unknown))}.")
    return bulk.start_many(workflow, inputs, replace(_options_of(workflow), **options), key, idempotency_key)


def using(name: str, /, **options: Unpack[StartKeywords]) -> WorkflowDefinition[..., Any]:
    """The workflow of this name, to be started with a key, another queue, priority, delay, tags, …"""
    return definition_of(name).using(**options)


def _options_of(workflow: Any) -> StartOptions:
    options = getattr(workflow, "start_options", None)
    return options if isinstance(options, StartOptions) else StartOptions()


class Door:
    """What lower layers ask of this one: fulfils `Client` of `authoring.ports` and of `models.ports`."""

    def start(
        self, definition: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StartOptions
    ) -> Execution:
        return starting.start(definition, args, kwargs, options)[0]

    def start_many(
        self, definition: Any, inputs: Iterable[Mapping[str, Any]], options: StartOptions
    ) -> Sequence[Execution]:
        return bulk.start_many(definition, inputs, options)

    signal = staticmethod(messages.signal)
    send_event = staticmethod(messages.send_event)
    result = staticmethod(results.result)
    aresult = staticmethod(results.aresult)


door = Door()
