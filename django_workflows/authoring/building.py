"""From the arguments of a `ctx` call to its command. Shared by both colours of the context."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import FunctionType
from typing import Any
from uuid import UUID

from django_workflows.authoring import commands
from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition, name_of
from django_workflows.authoring.handles import AsyncChildHandle, AsyncToken, ChildHandle, Token
from django_workflows.authoring.moments import in_utc
from django_workflows.authoring.names import check_input_name
from django_workflows.authoring.ports import Duration
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import ContextMisuse, InvalidInput, UnknownWorkflow
from django_workflows.expressions.durations import parse_duration

HANDLES = (ChildHandle, AsyncChildHandle, Token, AsyncToken)
MATCH_LENGTH = 500  # of the keys, in their column
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no column of text can hold


def do(first: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> commands.DoStep:
    """`do(fn, …)`, `do("registered name", …)` or `do("a label", fn, …)`."""
    label = None
    if isinstance(first, str) and (named := registry.step(first)) is not None:
        first = named
    elif isinstance(first, str):
        if not args:
            raise UnknownWorkflow(
                f"ctx.do({first!r}): no step is registered under this name, and no function follows. "
                f"{registry.advice_on_step(first)} A step is handed over, not called: ctx.do(charge, 42)."
            )
        label, first, args = check_input_name("label", first), args[0], args[1:]
        if isinstance(first, str):
            first = _named_step(first)
        if not callable(first):
            raise UnknownWorkflow(
                f"ctx.do({label!r}, …): no step is registered under this name. If it is a label, a function or the "
                f"name of a step must follow, not {first!r}."
            )
    definition = _step_of(first)
    return commands.DoStep(label or definition.name, definition, args, kwargs)


def _named_step(name: str) -> StepDefinition[..., Any]:
    if (found := registry.step(name)) is None:
        raise UnknownWorkflow(f"No step is registered under {name!r}. {registry.advice_on_step(name)}")
    return found


def _step_of(fn: Any) -> StepDefinition[..., Any]:
    if isinstance(fn, StepDefinition):
        return fn
    if isinstance(fn, WorkflowDefinition):
        raise ContextMisuse(f"{fn.name!r} is a workflow: ctx.run({fn.name}, …) waits for it as a child.")
    if not callable(fn):
        raise ContextMisuse(
            f"ctx.do() needs a step, a function or the name of a step, not {fn!r}. It calls the function itself: "
            "ctx.do(charge, 42)."
        )
    return StepDefinition(fn, {"name": name_of(fn)})


def sleep(args: tuple[Any, ...]) -> commands.Sleep:
    """`sleep(duration)` or `sleep(label, duration)`."""
    label, duration = _labelled("sleep", args)
    return commands.Sleep(label, parse_duration(duration), None)


def sleep_until(args: tuple[Any, ...]) -> commands.Sleep:
    """`sleep_until(when)` or `sleep_until(label, when)`; a naive time is in the project's current time zone."""
    label, when = _labelled("sleep_until", args)
    if not isinstance(when, datetime):
        raise ContextMisuse(f"ctx.sleep_until() needs a datetime, not {when!r}.")
    return commands.Sleep(label, None, in_utc(when))


def _labelled(call: str, args: tuple[Any, ...]) -> tuple[str, Any]:
    match args:
        case (value,):
            return "", value
        case (str() as label, value):
            return check_input_name("label", label), value
    raise ContextMisuse(f"ctx.{call}() takes a label (optional) and one value.")


def _wait(args: tuple[str, ...]) -> tuple[str, str]:
    label, name = _labelled("wait", args)
    return label, check_input_name("name", name)


def _timeout(timeout: Duration | None) -> timedelta | None:
    return None if timeout is None else parse_duration(timeout)


def wait_for_signal(args: tuple[str, ...], timeout: Duration | None) -> commands.WaitForSignal:
    label, name = _wait(args)
    return commands.WaitForSignal(name, label, _timeout(timeout))


def wait_for_event(
    args: tuple[str, ...], match: Mapping[str, Any] | None, timeout: Duration | None, lookback: Duration | None
) -> commands.WaitForEvent:
    label, name = _wait(args)
    _check_match({} if match is None else match)
    return commands.WaitForEvent(name, label, dict(match or {}), _timeout(timeout), _timeout(lookback))


def _check_match(match: Any) -> None:
    if not isinstance(match, Mapping):
        raise ContextMisuse("match={…} is a dict of (dotted) keys of the event's data and the values they must have.")
    for key in match:
        check_input_name("match", key)
        if "," in key:
            raise InvalidInput({"match": [f"{key!r}: a key must not contain a comma."]})
    if len(",".join(match)) > MATCH_LENGTH:
        raise InvalidInput({"match": [f"Its keys must have at most {MATCH_LENGTH} characters together."]})


def token(label: tuple[str, ...], timeout: Duration | None) -> commands.OpenToken:
    """`token()` or `token(label)`."""
    if len(label) > 1:
        raise ContextMisuse("ctx.token() takes a label (optional) and a timeout.")
    return commands.OpenToken(check_input_name("label", label[0]) if label else "token", _timeout(timeout))


def child(workflow: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, wait: bool) -> commands.StartChild:
    definition = workflow_of(workflow)
    return commands.StartChild(definition.name, definition, args, kwargs, wait)


def workflow_of(workflow: Any) -> WorkflowDefinition[..., Any]:
    """The workflow given by name, by function, or as a step to be executed alone."""
    if isinstance(workflow, str):
        # what is no code may be a row: the engine looks when it starts it, where the database may be asked
        return registry.in_code(workflow) or WorkflowDefinition.by_name(workflow)
    if isinstance(workflow, StepDefinition):
        alone = registry.alone(workflow)
        return alone.using(**_given(workflow)) if _given(workflow) else alone
    if not isinstance(workflow, WorkflowDefinition):
        raise ContextMisuse(f"A child is a @workflow, a @step or a name, not {workflow!r}.")
    return workflow


def _given(definition: StepDefinition[..., Any]) -> dict[str, Any]:
    options = definition.start_options
    empty = type(options)()
    return {
        name: getattr(options, name)
        for name in type(options).__dataclass_fields__
        if getattr(options, name) != getattr(empty, name)
    }


def map_over(fn: Any, items: Iterable[Any], concurrency: int | None) -> commands.Command:
    """Children of a workflow, or parallel branches of one step each."""
    if not _is_window(concurrency):
        raise ContextMisuse("concurrency is the number of items in progress at once: at least 1.")
    if not isinstance(items, Iterable):
        raise ContextMisuse(f"ctx.map() needs a function and the items to call it with, not {type(items).__name__}.")
    if isinstance(fn, WorkflowDefinition):
        if fn.start_options.key is not None or fn.start_options.idempotency_key is not None:
            raise ContextMisuse("ctx.map() starts a child for each item; with a key they would all be the same one.")
        return commands.MapChildren(fn.name, fn, list(items), concurrency)
    return commands.Gather("map", [_item(fn, item) for item in items], concurrency)


def _is_window(concurrency: Any) -> bool:
    return concurrency is None or (isinstance(concurrency, int) and concurrency >= 1)


def _item(fn: Any, item: Any) -> Callable[[Any], Any]:
    return lambda ctx: ctx.do(fn, item)


def gather(branches: tuple[Any, ...]) -> commands.Gather:
    return commands.Gather("gather", _branches("gather", branches), None)


def race(branches: tuple[Any, ...]) -> commands.Race:
    if not branches:
        raise ContextMisuse("ctx.race() needs at least one branch.")
    return commands.Race("race", _branches("race", branches))


def _branches(call: str, branches: tuple[Any, ...]) -> list[Any]:
    if len(branches) == 1 and isinstance(branches[0], list | tuple):
        branches = tuple(branches[0])
    for branch in branches:
        if not _is_branch(branch):
            raise ContextMisuse(
                f"A branch of ctx.{call}() is a function of its own ctx, such as lambda ctx: ctx.do(charge, 42), or "
                f"the handle of a child, not {branch!r}."
            )
    return list(branches)


def _is_branch(branch: Any) -> bool:
    """A step is none: called with a context it would be an ordinary function, and nothing of it remembered."""
    if isinstance(branch, StepDefinition):
        return False
    if isinstance(branch, FunctionType):
        code = branch.__code__
        return bool(code.co_argcount or code.co_flags & inspect.CO_VARARGS)
    return callable(branch) or inspect.isawaitable(branch) or isinstance(branch, HANDLES)


def send_event(name: str, data: Any, event_id: str | None) -> commands.Send:
    return commands.Send(check_input_name("name", name), None, data, event_id)


def signal(execution: Any, name: str, data: Any) -> commands.Send:
    target = getattr(execution, "id", execution)
    try:
        UUID(str(target))
    except ValueError:
        raise ContextMisuse(f"ctx.signal() needs an execution, a child or an id, not {execution!r}.") from None
    return commands.Send(check_input_name("name", name), target, data)


def end(
    verb: str, reason: Any = "", args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
) -> commands.End:
    """`cancel(reason)`, `pause(reason)` or `continue_as_new(…)`."""
    if not isinstance(reason, str):
        raise ContextMisuse(f"ctx.{verb}() takes a reason as text, not {type(reason).__name__}.")
    return commands.End(verb, verb, _UNSTORABLE.sub("\ufffd", reason), args, kwargs)
