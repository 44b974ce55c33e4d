"""`@workflow` and `@step`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.options import StepKeywords, WorkflowKeywords
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import DefinitionError

P = ParamSpec("P")
R = TypeVar("R")


@overload
def step(fn: Callable[P, R], /, **keywords: Unpack[StepKeywords]) -> StepDefinition[P, R]: ...
@overload
def step(**keywords: Unpack[StepKeywords]) -> Callable[[Callable[P, R]], StepDefinition[P, R]]: ...
def step(fn: Any = None, /, **keywords: Unpack[StepKeywords]) -> Any:
    """Declare a step: `@step`, `@step(retry=…)`; or `step(fn, retry=…)` in place, which registers nothing."""
    if fn is None:
        return lambda decorated: registry.add_step(StepDefinition(decorated, keywords))
    if isinstance(fn, StepDefinition):
        return fn.using(**keywords)
    if not callable(fn):
        raise DefinitionError(f"@step needs a function, not {fn!r}.")
    definition: StepDefinition[..., Any] = StepDefinition(fn, keywords)
    return definition if keywords else registry.add_step(definition)


@overload
def workflow(fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> WorkflowDefinition[P, R]: ...
@overload
def workflow(fn: Callable[Concatenate[Any, P], R], /) -> WorkflowDefinition[P, R]: ...
@overload
def workflow(**keywords: Unpack[WorkflowKeywords]) -> _Decorator: ...
def workflow(fn: Any = None, /, **keywords: Unpack[WorkflowKeywords]) -> Any:
    """Declare a workflow: `@workflow` or `@workflow(version=2, timeout="30 days", …)`."""
    if fn is None:
        return lambda decorated: registry.add_workflow(WorkflowDefinition(decorated, keywords))
    if not callable(fn):
        raise DefinitionError(f"@workflow needs a function, not {fn!r}.")
    return registry.add_workflow(WorkflowDefinition(fn, keywords))


class _Decorator:
    """The type of `@workflow(…)`; at run time a plain function stands in for it."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> WorkflowDefinition[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], R], /) -> WorkflowDefinition[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        return workflow(fn)
