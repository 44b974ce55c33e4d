"""`dumpdata` and `loaddata` take everything to a database in which `migrate` has made some rows under other ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from django_workflows.models import Event, Execution, Signal, StepResult, Trigger, Workflow, WorkflowVersion
from tests.factories import (
    make_event,
    make_execution,
    make_signal,
    make_step,
    make_trigger,
    make_version,
    make_workflow,
)

pytestmark = pytest.mark.django_db

PAYLOADS = [{"a": [1, 2.5, None, True], "ä": "ö"}, [], "text", "8", 8, 1.5, True, 2**70, {"b": {"1": "x"}}]


def dumped(tmp_path: Path, *options: str) -> str:
    path = str(tmp_path / "dump.json")
    call_command("dumpdata", "django_workflows", *options, output=path, verbosity=0)
    return path


def empty() -> None:
    for model in (Signal, StepResult, Event, Execution, Trigger, WorkflowVersion, Workflow):
        model.objects.all().delete()


def test_rows_that_are_there_already_are_the_same_rows(tmp_path: Path) -> None:
    empty()  # of the workflows of the tests' own code
    make_workflow("fulfil", enabled=False)
    make_version("fulfil", 2, definition={"name": "fulfil"})
    make_trigger("order.*", workflow="fulfil", trigger_count=7, config={"match": {"a": 1}})
    path = dumped(tmp_path, "--natural-primary", "--natural-foreign")

    empty()
    ours = [make_workflow("fulfil"), make_version("fulfil", 2), make_trigger("order.*", workflow="fulfil")]
    call_command("loaddata", path, verbosity=0)

    workflow, version, trigger = Workflow.objects.get(), WorkflowVersion.objects.get(), Trigger.objects.get()
    assert [workflow.pk, version.pk, trigger.pk] == [row.pk for row in ours]
    assert not workflow.enabled
    assert version.definition == {"name": "fulfil"}
    assert (trigger.trigger_count, trigger.config) == (7, {"match": {"a": 1}})


@pytest.mark.parametrize("value", PAYLOADS, ids=repr)
def test_payloads_are_what_they_were(tmp_path: Path, value: Any) -> None:
    execution = make_execution(input={"given": value}, tags={"tenant": "acme", "n": 3}, key="k")
    make_step(execution, output=value)
    make_signal(execution, data=value)
    make_event(data=value)
    before = [Execution.objects.values().get(), StepResult.objects.values().get(), Signal.objects.values().get()]
    path = dumped(tmp_path)

    empty()
    call_command("loaddata", path, verbosity=0)

    assert [Execution.objects.values().get(), StepResult.objects.values().get(), Signal.objects.values().get()] == [
        {name: _in_milliseconds(column) for name, column in row.items()} for row in before
    ]
    assert Event.objects.get().data == value
    assert repr(StepResult.objects.get().output) == repr(value)


def _in_milliseconds(value: Any) -> Any:
    """Django's serializer cuts moments to milliseconds, as its documentation says."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000) if hasattr(value, "microsecond") else value
