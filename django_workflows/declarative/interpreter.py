"""Executes a definition: an ordinary workflow function that only uses what `ctx` offers.

The steps of a sequence are its calls in their order; those of a graph are the branches of one `ctx.gather()`, so the
place in the document is the place in the journal, and a replay finds everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from django_workflows import codec
from django_workflows.authoring.building import workflow_of
from django_workflows.authoring.context import AsyncContext
from django_workflows.authoring.values import Message
from django_workflows.declarative.actions import action_of
from django_workflows.declarative.document import ActionStep, ChildStep, Definition, EventStep, SleepStep, Step
from django_workflows.exceptions import NonRetryable, StepFailed, WorkflowsError
from django_workflows.expressions.durations import parse_duration

Scope = dict[str, Any]


async def interpret(definition: Definition, ctx: AsyncContext, event: Any, input: Mapping[str, Any]) -> Any:
    """Go through the steps; the output that the definition asks for."""
    scope = _scope(ctx, event, input)
    if definition.is_graph:
        await _graph(definition, ctx, scope)
    else:
        for step in definition.steps:
            scope["steps"][step.id] = await _step(ctx, step, scope)
    return definition.output.resolve(scope)


def input_of(event: Any, input: Mapping[str, Any]) -> dict[str, Any]:
    """What `$.input` is: the arguments; of an execution that an event started, with the event's data."""
    data = event.get("data") if isinstance(event, Mapping) else None
    return {**data, **input} if isinstance(data, Mapping) else dict(input)


def _scope(ctx: AsyncContext, event: Any, input: Mapping[str, Any]) -> Scope:
    execution = ctx.execution
    return {
        "input": input_of(event, input),
        "event": event,
        "steps": {},
        "execution": {
            "id": str(execution.id),
            "key": execution.key,
            "workflow": execution.workflow,
            "version": execution.version,
            "tags": dict(execution.tags),
            "parent": str(execution.parent) if execution.parent else None,
        },
    }


async def _graph(definition: Definition, ctx: AsyncContext, scope: Scope) -> None:
    """Every step in a branch of its own, which begins when those that it needs are done.

    When one fails, those that need it do not begin; the others finish, then the first error is raised.
    """
    loop = asyncio.get_running_loop()
    done: dict[str, asyncio.Future[bool]] = {step.id: loop.create_future() for step in definition.steps}

    async def branch(ctx: AsyncContext, step: Step) -> None:
        for needed in step.needs:
            if not await done[needed]:
                done[step.id].set_result(False)
                return
        try:
            scope["steps"][step.id] = await _step(ctx, step, scope)
        except Exception:
            done[step.id].set_result(False)
            raise
        done[step.id].set_result(True)

    await ctx.gather(*[_branch(branch, step) for step in definition.steps])


def _branch(branch: Any, step: Step) -> Any:
    return lambda ctx: branch(ctx, step)


async def _step(ctx: AsyncContext, step: Step, scope: Scope) -> Any:
    """The result of one step as plain JSON; None when its condition does not hold."""
    if step.when is not None and not step.when.holds(scope):
        return None
    match step:
        case ActionStep():
            return await _action(ctx, step, scope)
        case SleepStep():
            await ctx.sleep(step.id, _duration(step, scope))
        case EventStep():
            match = step.match.resolve(scope)
            return _received(await ctx.wait_for_event(step.id, step.event, match=match, timeout=step.timeout))
        case ChildStep():
            return await _child(ctx, step, scope)
    return None


async def _action(ctx: AsyncContext, step: ActionStep, scope: Scope) -> Any:
    try:
        return _plain(await ctx.do(action_of(step), **step.input.resolve(scope)))
    except StepFailed:  # one in a queue of its own; the engine passes over the others itself
        if step.on_error == "continue":
            return None
        raise


def _duration(step: SleepStep, scope: Scope) -> Any:
    value = step.duration.resolve(scope)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise NonRetryable(f"Step {step.id!r} cannot sleep: {error}") from None


def _received(message: Message | None) -> dict[str, Any] | None:
    """The event that a wait received, with the keys of `$.event`; None after a timeout."""
    if message is None:
        return None
    return {"id": str(message.id), "name": message.name, "data": message.data, "time": message.sent_at.isoformat()}


async def _child(ctx: AsyncContext, step: ChildStep, scope: Scope) -> Any:
    child = workflow_of(step.workflow)
    if step.timeout is not None:
        child = child.using(timeout=step.timeout)
    try:
        return _plain(await ctx.run(child, **step.input.resolve(scope)))
    except WorkflowsError:
        if step.on_error == "continue":
            return None
        raise


def _plain(value: Any) -> Any:
    """What references can lead into: a dataclass or a datetime as its JSON."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return codec.decode(codec.encode(value, max_bytes=1 << 40))
