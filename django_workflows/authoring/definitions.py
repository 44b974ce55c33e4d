"""What `@workflow` and `@step` make: a function and how it is to be executed."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack
from uuid import UUID

from django_workflows import codec
from django_workflows.authoring.names import check_definition_name, check_keywords
from django_workflows.authoring.options import (
    StartKeywords,
    StepKeywords,
    StepOptions,
    WorkflowKeywords,
    WorkflowOptions,
)
from django_workflows.authoring.ports import Handle, StartOptions, ports
from django_workflows.exceptions import DefinitionError, InvalidInput

P = ParamSpec("P")
R = TypeVar("R")

# No context is one of these; under `from __future__ import annotations` a hint is its name.
PLAIN_DATA = (bool, int, float, str, bytes, list, dict, tuple, set, UUID, Decimal, date, datetime, timedelta)
PLAIN_NAMES = tuple(kind.__name__ for kind in PLAIN_DATA)


def name_of(fn: Callable[..., Any]) -> str:
    """The name of any callable: of a function, or of what a partial wraps, else of its class."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return str(getattr(fn, "__name__", type(fn).__name__))


def loading_of(fn: Callable[..., Any]) -> object | None:
    """The loading of the module that is under way; a reload is another one."""
    return getattr(sys.modules.get(str(getattr(fn, "__module__", ""))), "__spec__", None)


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004  # not asking whether it is callable


class _Startable(Generic[P, R]):
    """What workflows and steps share: a name, a function, and `start()`."""

    fn: Callable[..., Any]
    name: str
    start_options: StartOptions

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start an execution: one INSERT in the caller's transaction. The arguments are checked now."""
        try:
            return ports.client.start(self, args, kwargs, self.start_options)
        except InvalidInput as error:
            raise _with_misplaced_options(error, self.name) from None

    def start_many(self, inputs: Iterable[Mapping[str, Any]]) -> Sequence[Handle[R]]:
        """Start one execution for each dict of keyword arguments, in a few statements."""
        return ports.client.start_many(self, inputs, self.start_options)

    def _with_start_options(self, keywords: Mapping[str, Any]) -> Self:
        check_keywords("option(s) for using()", set(keywords) - set(StartOptions.__slots__), self._known_options)
        changed = copy.copy(self)
        changed.start_options = replace(self.start_options, **keywords)
        return changed

    @property
    def _known_options(self) -> list[str]:
        return list(StartKeywords.__annotations__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class StepDefinition(_Startable[P, R]):
    """A function whose result is remembered. Called outside an execution it is an ordinary function."""

    def __init__(self, fn: Callable[P, R], keywords: StepKeywords) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = check_definition_name("step", keywords.get("name", name_of(fn)))
        self.options = StepOptions().with_keywords(keywords)
        self.start_options = StartOptions()
        self.loaded_by = loading_of(fn)
        self.is_async = is_async(fn)
        self._refuse_what_cannot_work()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)  # type: ignore[no-any-return]  # fn is typed for the registry

    def using(self, **keywords: Any) -> Self:
        """A copy with other step options (`retry`, `timeout`, …) or start options (`key`, `delay`, …)."""
        for_step = {name: keywords.pop(name) for name in list(keywords) if name in StepKeywords.__annotations__}
        changed = self._with_start_options(keywords)
        changed.__dict__.pop("as_workflow", None)  # belongs to the original and its options
        changed.options = self.options.with_keywords(for_step)
        changed.name = for_step.get("name", self.name)
        changed._refuse_what_cannot_work()
        return changed

    @property
    def _known_options(self) -> list[str]:
        return [*StepKeywords.__annotations__, *super()._known_options]

    @functools.cached_property
    def as_workflow(self) -> WorkflowDefinition[..., Any]:
        """The workflow of this one step, for `charge.start(…)`."""
        return WorkflowDefinition.of_step(self)

    def _refuse_what_cannot_work(self) -> None:
        if self.options.atomic and self.is_async:
            raise DefinitionError(
                f"Step {self.name!r}: atomic=True needs a plain `def`; Django has no transactions in async code."
            )
        if _is_method(self.fn):
            raise DefinitionError(
                f"Step {self.name!r} is a method. Decorate a function, or call a bound method: ctx.do(thing.method)."
            )


class WorkflowDefinition(_Startable[P, R]):
    """A workflow function. `start()` executes it durably; a plain call is just a call."""

    step: StepDefinition[..., Any] | None = None  # set for the workflow of a single step
    is_reference = False  # only a name: what it means is looked up when an execution is started

    def __init__(self, fn: Callable[Concatenate[Any, P], Any], keywords: WorkflowKeywords) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = check_definition_name("workflow", keywords.get("name", name_of(fn)))
        self.options = WorkflowOptions.from_keywords(keywords)
        self.start_options = StartOptions()
        self.loaded_by = loading_of(fn)
        self.is_async = is_async(fn)
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise DefinitionError(f"Workflow {self.name!r} is a generator; write it without `yield`.")
        if _is_method(fn) or not _parameters(fn):
            raise DefinitionError(f"Workflow {self.name!r} must be a function whose first parameter is the context.")
        self._refuse_input_for_context()

    def _refuse_input_for_context(self) -> None:
        """A first parameter that is declared as plain data is input: its author has forgotten the context."""
        first = _parameters(self.fn)[0]
        if first.annotation in PLAIN_DATA or first.annotation in PLAIN_NAMES:
            declared = getattr(first.annotation, "__name__", first.annotation)
            context = "AsyncContext" if self.is_async else "Context"
            raise DefinitionError(
                f"The first parameter of workflow {self.name!r} is the context, and {first.name!r} is declared as "
                f"{declared}. Write: def {name_of(self.fn)}(ctx: {context}, {first.name}: {declared}, …)."
            )

    @classmethod
    def of_step(cls, step: StepDefinition[..., Any]) -> WorkflowDefinition[..., Any]:
        def body(ctx: Any, /, *args: Any, **kwargs: Any) -> Any:
            return ctx.do(step, *args, **kwargs)

        keywords: WorkflowKeywords = {"name": step.name, "description": step.options.description}
        if step.options.queue is not None:
            keywords["queue"] = step.options.queue
        definition: WorkflowDefinition[..., Any] = cls(body, keywords)
        definition.step = step
        return definition

    @classmethod
    def by_name(cls, name: str) -> WorkflowDefinition[..., Any]:
        """Stands for a workflow that is not known here yet, until the engine asks for it."""

        def body(ctx: Any, /, **input: Any) -> Any:
            raise DefinitionError(f"Workflow {name!r} is only referred to here.")

        fn: Callable[..., Any] = body
        definition: WorkflowDefinition[..., Any] = cls(fn, {"name": name})
        definition.is_reference = True
        return definition

    def __call__(self, ctx: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            inspect.signature(self.fn).bind(ctx, *args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{self.name}: {error}. A workflow is started, not called: {name_of(self.fn)}.start(…). A plain call "
                "is an ordinary call of the function, whose first argument is a context."
            ) from None
        return self.fn(ctx, *args, **kwargs)

    def using(self, **keywords: Unpack[StartKeywords]) -> Self:
        """A copy that starts with a key, another queue, priority, delay, tags, …"""
        return self._with_start_options(keywords)

    def started_like(self, other: WorkflowDefinition[..., Any]) -> Self:
        """A copy with the key, queue, delay … of another."""
        changed = copy.copy(self)
        changed.start_options = other.start_options
        return changed

    @property
    def signature_of(self) -> tuple[Callable[..., Any], int]:
        """The function that declares the input, and how many of its first parameters are not input."""
        return (self.step.fn, 0) if self.step else (self.fn, 1)

    def bind(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        max_bytes: int = codec.MAX_BYTES,
        max_depth: int = codec.MAX_DEPTH,
    ) -> dict[str, Any]:
        """The input of an execution, checked. Raises `InvalidInput` with all that is wrong."""
        fn, skip = self.signature_of
        return codec.bind_arguments(fn, args, kwargs, skip=skip, max_bytes=max_bytes, max_depth=max_depth)

    def arguments(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        """The stored input as the function takes it, after the context."""
        fn, skip = self.signature_of
        return codec.decode_arguments(fn, text, skip=skip)

    def missing_here(self) -> list[str]:
        """The names of what it needs and this process does not have; a worker leaves its executions to others."""
        return []

    def serves(self, version: int) -> bool:
        """Whether this code executes that version."""
        return version == self.options.version or version in self.options.accepts


def _parameters(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(fn).parameters.values())


def _with_misplaced_options(error: InvalidInput, name: str) -> InvalidInput:
    """The same, and where options of the start belong that were given among the arguments."""
    errors = {
        key: [*messages, f"As an option of the start: {name}.using({key}=…).start(…)."]
        if key in StartKeywords.__annotations__ and any("no such argument" in message for message in messages)
        else messages
        for key, messages in error.errors.items()
    }
    return InvalidInput(errors)


def _is_method(fn: Callable[..., Any]) -> bool:
    if inspect.ismethod(fn) or not inspect.isfunction(fn):
        return False
    in_class = "." in fn.__qualname__.rpartition("<locals>.")[2]
    return in_class and fn.__code__.co_varnames[:1] in {("self",), ("cls",)}
