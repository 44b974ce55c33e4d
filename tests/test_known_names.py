"""Names that are wrong or given twice: the error says what is known, and where."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from django_workflows import Context, step, workflow
from django_workflows.authoring import building
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import DefinitionError, DuplicateName, UnknownWorkflow

Load = Callable[[str], ModuleType]

TWO_STEPS = """
from django_workflows import step

@step
def known_names_twice():
    return 1

@step
def known_names_twice():
    return 2
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """A module of that source, loaded; what it registered is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_steps", dict(registry._steps))
    monkeypatch.setattr(registry, "_workflows", dict(registry._workflows))
    monkeypatch.setattr(registry, "duplicates", dict(registry.duplicates))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def of(source: str) -> ModuleType:
        (tmp_path / "known_names_shop.py").write_text(source)
        importlib.invalidate_caches()
        found = sys.modules.get("known_names_shop")
        return importlib.reload(found) if found else importlib.import_module("known_names_shop")

    yield of
    sys.modules.pop("known_names_shop", None)


def test_two_steps_of_one_name_in_one_module_are_told_with_their_lines(load: Load) -> None:
    load(TWO_STEPS)
    with pytest.raises(DuplicateName, match=r"line 4,? and .*line 8"):
        registry.step("known_names_twice")


def test_two_workflows_of_one_name_in_one_module_are_told_too(load: Load) -> None:
    source = TWO_STEPS.replace("step", "workflow").replace("twice()", "twice(ctx)")
    load(source)
    with pytest.raises(DuplicateName, match="workflow known_names_twice is defined by"):
        registry.workflow("known_names_twice")


def test_a_reload_defines_the_same_again_wherever_it_stands_now(load: Load) -> None:
    one = TWO_STEPS[: TWO_STEPS.rindex("@step")]
    load(one)
    load(f"\n\n\n{one}")
    assert registry.step("known_names_twice") is not None


def test_an_option_that_is_nearly_right_is_named() -> None:
    for decorate in (step, workflow):
        wrong: Any = decorate
        with pytest.raises(DefinitionError, match=r"Unknown .*: retries\. Did you mean 'retry'\?"):
            wrong(retries=3)(lambda ctx: None)


def test_an_option_that_is_like_none_gets_the_list_of_all() -> None:
    wrong: Any = step
    with pytest.raises(DefinitionError, match=r"Known: atomic, description, name, on_error, queue, retry, timeout\."):
        wrong(zzz=3)(lambda: None)


def test_using_knows_the_options_of_a_step_and_those_of_a_start() -> None:
    @step
    def charge() -> None: ...

    @workflow
    def flow(ctx: Context) -> None: ...

    with pytest.raises(DefinitionError, match="Did you mean 'retry'"):
        charge.using(retries=3)
    with pytest.raises(DefinitionError, match="Did you mean 'priority'"):
        flow.using(priorty=3)  # type: ignore[call-arg]  # the mistake


def test_a_step_that_is_nearly_called_so_is_named() -> None:
    @step(name="known_names_charge")
    def charge() -> None: ...

    for name, args in (("known_names_chrage", ()), ("a label", ("known_names_chrage",))):
        with pytest.raises(UnknownWorkflow, match="Did you mean 'known_names_charge'"):
            building.do(name, args, {})
