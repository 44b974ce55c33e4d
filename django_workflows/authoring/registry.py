"""Which workflows and steps this process knows, by name; and who is asked for workflows that are rows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Protocol

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.names import known_as
from django_workflows.exceptions import DefinitionError, DuplicateName, UnknownWorkflow

OF_THE_CODE = ("retry", "timeout", "atomic", "on_error")  # options of a step that no execution carries

AnyStep = StepDefinition[..., Any]
AnyWorkflow = WorkflowDefinition[..., Any]


class Stored(Protocol):
    """Workflows that are data. Both calls may ask the database; what belongs to a version never changes."""

    def current(self, name: str) -> AnyWorkflow | None: ...
    def version(self, name: str, version: int) -> AnyWorkflow | None: ...


class NothingStored:
    """Until the models are ready."""

    def current(self, name: str) -> AnyWorkflow | None:
        return None

    def version(self, name: str, version: int) -> AnyWorkflow | None:
        return None


class Registry:
    """Workflows by name and version, steps by name and by `app.name`.

    A function defined again at the same place replaces itself (reloads), and one defined inside another function
    replaces its namesake (tests). Other duplicates are kept for the system checks and cannot be started by name.
    What is code comes first: `stored` is only asked for names, or versions, that the code does not have.
    """

    def __init__(self) -> None:
        self.stored: Stored = NothingStored()
        self._workflows: dict[str, dict[int, AnyWorkflow]] = {}
        self._steps: dict[str, AnyStep] = {}
        self.duplicates: dict[str, set[str]] = {}

    def add_workflow(self, definition: AnyWorkflow) -> AnyWorkflow:
        versions = self._workflows.setdefault(definition.name, {})
        self._note_duplicate(f"workflow {definition.name}", versions.get(definition.options.version), definition)
        versions[definition.options.version] = definition
        return definition

    def add_step(self, definition: AnyStep) -> AnyStep:
        for name in (definition.name, f"{_app_of(definition)}.{definition.name}"):
            self._note_duplicate(f"step {name}", self._steps.get(name), definition)
            self._steps[name] = definition
        return definition

    def workflow(self, name: str, version: int | None = None) -> AnyWorkflow:
        """A workflow, or a single step, by name: its newest version, or the one that serves `version`.

        Code first, then rows, which may ask the database. Raises `UnknownWorkflow`.
        """
        if (found := self.in_code(name, version)) is not None:
            return found
        if version is not None and (found := self.stored.version(name, version)) is not None:
            return found
        if name in self._workflows:
            known = ", ".join(str(known) for known in sorted(self._workflows[name]))
            raise UnknownWorkflow(f"Workflow {name!r} has no version {version} here; known: {known}.")
        if version is None and (found := self.stored.current(name)) is not None:
            return found
        raise UnknownWorkflow(f"No workflow is registered under {name!r}. {self._advice(name)}")

    def in_code(self, name: str, version: int | None = None) -> AnyWorkflow | None:
        """The same, of what is code; the database is not asked."""
        if name in self._workflows:
            self._refuse_duplicate(f"workflow {name}")
            return self._serving(name, version)
        step = self.step(name)
        return None if step is None else step.as_workflow

    def step(self, name: str) -> AnyStep | None:
        """The step registered under `name` or `app.name`, or None."""
        self._refuse_duplicate(f"step {name}")
        return self._steps.get(name)

    def is_single_step(self, name: str) -> bool:
        """Whether what can be started under this name is a step, and no workflow."""
        return name in self._steps and name not in self._workflows

    def alone(self, step: AnyStep) -> AnyWorkflow:
        """The workflow of a single step, to be executed by workers that find the step by its name.

        Raises `UnknownWorkflow`, and `DefinitionError` when options were given in place that would not reach them.
        """
        if (known := self.step(step.name)) is None:
            raise UnknownWorkflow(
                f"No step is registered under {step.name!r}, so no worker would find it. Decorate it with @step at the "
                "top level of a workflows.py."
            )
        if changed := [name for name in OF_THE_CODE if getattr(step.options, name) != getattr(known.options, name)]:
            raise DefinitionError(
                f"Step {step.name!r} is executed by workers that know it as it is registered, so {', '.join(changed)} "
                "given in place would be ignored. Give that to @step, or to another step of its own."
            )
        return step.as_workflow

    def workflows(self) -> Iterator[AnyWorkflow]:
        """All workflows, each in its newest version."""
        return (versions[max(versions)] for versions in self._workflows.values())

    def served(self) -> Iterator[tuple[str, int, AnyWorkflow]]:
        """Every (name, version, definition) that this process can execute, single steps included."""
        for name, versions in self._workflows.items():
            for version, definition in versions.items():
                for accepted in {version, *(definition.options.accepts - versions.keys())}:
                    yield name, accepted, definition
        for name, step in self._steps.items():
            if name == step.name and name not in self._workflows:
                yield name, 1, step.as_workflow

    def _serving(self, name: str, version: int | None) -> AnyWorkflow | None:
        versions = self._workflows[name]
        if version is None:
            return versions[max(versions)]
        exact = versions.get(version)
        return exact or next((found for found in versions.values() if found.serves(version)), None)

    def _advice(self, name: str) -> str:
        """What the name may have been meant for, and where workflows are looked for."""
        advice = known_as(name, self._workflows)
        if advice.startswith("Did"):
            return advice
        return f"{advice} They come from the modules workflows.py of INSTALLED_APPS: is its app there?"

    def advice_on_step(self, name: str) -> str:
        """What the name of a step may have been meant for."""
        return known_as(name, [known for known, step in self._steps.items() if known == step.name])

    def _note_duplicate(self, what: str, old: Any, new: Any) -> None:
        if old is None or "<locals>" in new.fn.__qualname__:
            return
        if _place(old) != _place(new):
            self.duplicates.setdefault(what, {_place(old)}).add(_place(new))
        elif _line(old) != _line(new) and old.loaded_by is not None and old.loaded_by is new.loaded_by:
            places = {f"{_place(one)}, line {_line(one)}" for one in (old, new)}
            self.duplicates.setdefault(what, set()).update(places)

    def _refuse_duplicate(self, what: str) -> None:
        if what in self.duplicates:
            places = " and ".join(sorted(self.duplicates[what]))
            raise DuplicateName(f"The {what} is defined by {places}; give one of them another name: name='…'.")


def _place(definition: Any) -> str:
    return f"{definition.fn.__module__}.{getattr(definition.fn, '__qualname__', definition.name)}"


def _line(definition: Any) -> int | None:
    code = getattr(inspect.unwrap(definition.fn), "__code__", None)
    return getattr(code, "co_firstlineno", None)


def _app_of(definition: Any) -> str:
    package, _, _ = str(getattr(definition.fn, "__module__", "")).rpartition(".")
    return package.rpartition(".")[2] or str(getattr(definition.fn, "__module__", ""))


registry = Registry()
