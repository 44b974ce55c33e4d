"""A workflow that an operator has switched off is not started; what is under way goes on."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import Context, WorkflowDisabled, workflow
from django_workflows.client import start, start_many, using
from django_workflows.models import Execution, Workflow
from django_workflows.testing import Workflows

pytestmark = pytest.mark.django_db


@workflow
def off_work(ctx: Context, number: int = 0) -> int:
    return number


@workflow
def off_parent(ctx: Context) -> int:
    first: int = ctx.run(off_work, 1)
    second: int = ctx.run(off_work.using(key="k"), 2)
    return first + second


def switch(enabled: bool) -> None:
    Workflow.objects.update_or_create(name="off_work", defaults={"enabled": enabled})


@pytest.mark.parametrize("options", [{}, {"key": "k"}, {"idempotency_key": "i"}, {"key": "k", "on_conflict": "cancel"}])
def test_a_disabled_workflow_is_not_started(options: dict[str, Any]) -> None:
    switch(False)

    with pytest.raises(WorkflowDisabled, match="off_work' is disabled"):
        off_work.using(**options).start()

    assert not Execution.objects.exists()


def test_nor_are_many() -> None:
    switch(False)

    with pytest.raises(WorkflowDisabled):
        start_many("off_work", [{"number": 1}, {"number": 2}])

    assert not Execution.objects.exists()


def test_it_is_started_again_once_it_is_enabled() -> None:
    switch(False)
    switch(True)

    assert start("off_work", 3).workflow == "off_work"
    assert len(start_many("off_work", [{"number": 1}])) == 1


def test_an_execution_that_exists_is_still_found() -> None:
    first = using("off_work", idempotency_key="i").start()
    held = using("off_work", key="k").start()
    switch(False)

    assert using("off_work", idempotency_key="i").start().id == first.id
    assert using("off_work", key="k").start().id == held.id


def test_the_holder_of_a_key_is_not_cancelled_for_one_that_cannot_start() -> None:
    held = using("off_work", key="k").start()
    switch(False)

    with pytest.raises(WorkflowDisabled):
        using("off_work", key="k", on_conflict="cancel").start()

    held.refresh_from_db()
    assert held.status == "pending"


def test_what_is_under_way_goes_on_with_its_children(workflows: Workflows) -> None:
    execution = off_parent.start()
    switch(False)

    assert workflows.result(execution) == 3
