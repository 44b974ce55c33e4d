"""What a definition refers to must be there: steps of its own, in time; actions and workflows that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from django_workflows.authoring.registry import registry
from django_workflows.codec.arguments import signature_of
from django_workflows.declarative import schemas
from django_workflows.declarative.document import ActionStep, ChildStep, Definition, EventStep, SleepStep, Step
from django_workflows.declarative.fields import Problems
from django_workflows.exceptions import UnknownWorkflow, WorkflowsError
from django_workflows.expressions.paths import Path, Template


def check(definition: Definition, problems: Problems) -> None:
    """Raises `InvalidDefinition` with all that is wrong, by path: `problems`, and what is found here.

    What could not be read is not looked at again: one mistake is told once.
    """
    _check_references(definition, problems)
    _check_schema(definition, problems)
    for number, step in enumerate(definition.steps):
        if isinstance(step, ActionStep):
            _check_action(step, f"steps.{number}", problems)
        elif isinstance(step, ChildStep) and step.workflow != definition.name:
            _check_child(step, f"steps.{number}", problems)
    problems.raise_if_any()


def _check_schema(definition: Definition, problems: Problems) -> None:
    """Once, when it is saved: workers that read it again have no time for it."""
    if definition.input_schema is not None:
        for path, message in schemas.problems_with(definition.input_schema):
            problems.add(f"inputSchema.{path}" if path else "inputSchema", message)


# references between steps


def _check_references(definition: Definition, problems: Problems) -> None:
    ids = {step.id for step in definition.steps}
    unread = {number for number in range(len(definition.steps)) if problems.has(f"steps.{number}.dependsOn")}
    for number, step in enumerate(definition.steps):
        for needed in step.needs:
            if needed == step.id or needed not in ids:
                what = "A step cannot wait for itself." if needed == step.id else f"There is no step {needed!r}."
                problems.add(f"steps.{number}.dependsOn", what)
    before = _done_before(definition, problems)
    for number, step in enumerate(definition.steps):
        for where, path in () if number in unread else _paths_of(step):
            _check_path(path, f"steps.{number}.{where}", ids, before[step.id], definition.is_graph, problems)
    for where, path in definition.output.paths:
        _check_path(path, f"output.{where}" if where else "output", ids, ids, False, problems)


def _done_before(definition: Definition, problems: Problems) -> dict[str, set[str]]:
    """For each step, those that are over when it begins."""
    if not definition.is_graph:
        ids = [step.id for step in definition.steps]
        return {id: set(ids[:number]) for number, id in enumerate(ids)}
    needs = {step.id: [id for id in step.needs if id != step.id] for step in definition.steps}
    before: dict[str, set[str]] = {id: set() for id in needs}
    try:
        for id in TopologicalSorter(needs).static_order():
            before.setdefault(id, set())
            for needed in needs.get(id, []):
                before[id] |= {needed, *before[needed]}
    except CycleError as error:
        problems.add("steps", f"They wait for each other: {' → '.join(reversed(error.args[1]))}.")
    return before


def _paths_of(step: Step) -> Iterator[tuple[str, Path]]:
    if step.when is not None:
        for path in step.when.paths:
            yield "when", path
    templates: dict[str, Template] = {}
    match step:
        case ActionStep() | ChildStep():
            templates = {"input": step.input}
        case EventStep():
            templates = {"match": step.match}
        case SleepStep():
            templates = {"sleep": step.duration}
    for key, template in templates.items():
        for where, path in template.paths:
            yield (f"{key}.{where}" if where else key), path


def _check_path(path: Path, place: str, ids: set[str], before: set[str], is_graph: bool, problems: Problems) -> None:
    if path.root != "steps":
        return
    if len(path.parts) == 1:
        if is_graph:
            problems.add(place, f"{path.text}: name the step, since others may run at the same time.")
        return
    id = str(path.parts[1])
    if id not in ids:
        problems.add(place, f"{path.text}: there is no step {id!r}.")
    elif id not in before:
        remedy = f'add "{id}" to its dependsOn' if is_graph else "only steps above it are over by then"
        problems.add(place, f"{path.text}: the step {id!r} need not be over when this one begins; {remedy}.")


# what exists elsewhere


def _check_action(step: ActionStep, place: str, problems: Problems) -> None:
    if problems.has(f"{place}.action"):
        return
    try:
        found = registry.step(step.action)
    except WorkflowsError as error:
        problems.add(f"{place}.action", str(error))
        return
    if found is None:
        problems.add(
            f"{place}.action",
            f"No @step is registered under {step.action!r}. An action is the name of a step, or app.name; only what "
            "developers have registered can be called.",
        )
        return
    if found.options.queue is not None:
        for key in _given_in_place(step):
            problems.add(
                f"{place}.{key}", f"{step.action!r} is executed in the queue {found.options.queue!r} as its @step says."
            )
    _check_arguments(found.name, found.fn, 0, step.input.value, f"{place}.input", problems)


def _given_in_place(step: ActionStep) -> list[str]:
    """What a step that other workers execute cannot be given; going on after its failure is ours."""
    given: dict[str, object] = {"retry": step.retry, "timeout": step.timeout}
    if step.on_error in {"retry", "pause"}:
        given["onError"] = step.on_error
    return [key for key, value in given.items() if value is not None]


def _check_child(step: ChildStep, place: str, problems: Problems) -> None:
    if problems.has(f"{place}.workflow"):
        return
    try:
        found = registry.workflow(step.workflow)
    except UnknownWorkflow:
        problems.add(f"{place}.workflow", f"There is no workflow {step.workflow!r}.")
    except WorkflowsError as error:
        problems.add(f"{place}.workflow", str(error))
    else:
        _check_arguments(found.name, *found.signature_of, step.input.value, f"{place}.input", problems)


def _check_arguments(
    name: str, fn: Callable[..., Any], skip: int, given: Mapping[str, Any], place: str, problems: Problems
) -> None:
    """The names; what the values are is known when the step begins."""
    if problems.has(place):
        return
    signature = signature_of(fn, skip)
    for argument in signature.arguments:
        if argument.required and argument.name not in given:
            problems.add(f"{place}.{argument.name}", f"{name!r} needs this argument.")
    if signature.keywords is not None:
        return
    known = ", ".join(sorted(signature.nameable)) or "none"
    for key in given:
        if key not in signature.nameable:
            problems.add(f"{place}.{key}", f"{name!r} has no such argument. Its arguments are: {known}.")
