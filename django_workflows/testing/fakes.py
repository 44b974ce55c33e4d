"""Fakes: what a step, or a child workflow, does instead of its body while a test runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.registry import registry

Fakeable = StepDefinition[..., Any] | WorkflowDefinition[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a faked body: one attempt of the step."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Fake:
    """Stands in for the body of a step or of a child workflow until `undo()`, or as a context manager.

    Each outcome serves one call, the last one all that follow: an exception (or its class) is raised, a callable is
    called with the arguments, a coroutine function is awaited, anything else is the result. Options, hints and
    signature stay those of the original.
    """

    def __init__(self, definition: Fakeable, outcomes: Sequence[Any], log: list[Call]) -> None:
        self.definition = definition
        self.calls: list[Call] = []
        self._outcomes = list(outcomes) or [None]
        self._log = log
        self._hidden = 1 if isinstance(definition, WorkflowDefinition) else 0  # the context is no input
        self._original: Callable[..., Any] | None = definition.fn
        definition.fn = self._replacement(definition)

    def _replacement(self, definition: Fakeable) -> Callable[..., Any]:
        async def answer_async(*args: Any, **kwargs: Any) -> Any:
            answer = self._answer(args, kwargs)
            return await answer if inspect.isawaitable(answer) else answer

        body = answer_async if definition.is_async else self._answer_sync
        return functools.wraps(definition.fn)(lambda *args, **kwargs: body(*args, **kwargs))

    def _answer_sync(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._answer(args, kwargs)
        if inspect.iscoroutine(answer):
            answer.close()
            raise TypeError(f"The fake of {self.definition.name!r} is async; the original is a plain def.")
        return answer

    def _answer(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        call = Call(name=self.definition.name, args=args[self._hidden :], kwargs=kwargs)
        self.calls.append(call)
        self._log.append(call)
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, BaseException) or _is_exception_class(outcome):
            raise outcome
        return outcome(*call.args, **kwargs) if callable(outcome) else outcome

    def undo(self) -> None:
        """Give the original its body back."""
        if self._original is not None:
            self.definition.fn, self._original = self._original, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.undo()


def _is_exception_class(outcome: Any) -> bool:
    return isinstance(outcome, type) and issubclass(outcome, BaseException)


def definition_of(target: Any) -> Fakeable:
    """What is meant by a step, a workflow, or the name of one. Raises `UnknownWorkflow`."""
    if isinstance(target, str):
        return registry.step(target) or registry.workflow(target)
    if not isinstance(target, StepDefinition | WorkflowDefinition):
        raise TypeError(f"Only a @step, a @workflow or the name of one can be faked, not {target!r}.")
    return target
