"""The chore of a worker that fires schedules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from django_workflows import Context, clock, workflow
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import single
from django_workflows.models import Execution, Trigger
from django_workflows.services import ScheduleFiring
from django_workflows.testing import Workflows
from django_workflows.triggers import registering

pytestmark = pytest.mark.django_db


@workflow
def chored(ctx: Context) -> None: ...


@pytest.fixture(autouse=True)
def only_our_triggers(workflows: Workflows) -> None:
    Trigger.objects.all().delete()


def look() -> Peek:
    return single("default", lambda cursor: claims.peek(cursor, dialect_of(connection), ["default"]))


def test_a_look_tells_when_the_next_schedule_is_due() -> None:
    assert (look().next_schedule, look().schedules_due) == (None, False)
    registering.create("chored", "schedule", "@yearly")
    soon = registering.create("chored", "schedule", "every minute")
    assert (look().next_schedule, look().schedules_due) == (soon.next_at, False)
    clock.skip(timedelta(minutes=1))
    assert look().schedules_due


def test_what_is_not_due_costs_no_query(django_assert_num_queries: pytest.FixtureRequest) -> None:
    registering.create("chored", "schedule", "@yearly")
    peek = look()
    with django_assert_num_queries(0):  # type: ignore[operator]  # pytest-django has no type for it
        assert not ScheduleFiring()("default", peek)


def test_it_goes_on_while_something_is_due() -> None:
    registering.create("chored", "schedule", "every minute")
    clock.skip(timedelta(minutes=1))
    chore = ScheduleFiring()
    assert chore("default", look())
    assert Execution.objects.count() == 1
    assert not chore("default", look())


def test_an_unplanned_schedule_is_planned() -> None:
    trigger = Trigger.objects.create(workflow="chored", type="schedule", pattern="every minute")
    assert look().unplanned
    assert ScheduleFiring()("default", look())
    trigger.refresh_from_db()
    assert trigger.next_at is not None
    assert not look().unplanned


def test_a_schedule_of_other_code_is_told_once_and_not_spun_on(caplog: pytest.LogCaptureFixture) -> None:
    Trigger.objects.create(workflow="far away", type="schedule", pattern="every minute")
    chore = ScheduleFiring()
    chore("default", look())
    clock.skip(timedelta(minutes=1))
    assert chore("default", look())
    assert not chore("default", look())
    assert not chore("default", look())
    assert caplog.text.count("far away") == 1
