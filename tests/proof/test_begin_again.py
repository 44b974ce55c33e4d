"""What is done when a process starts or a schema changes survives what CockroachDB may say of any transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from django_workflows import client, services
from django_workflows.authoring.registry import registry
from django_workflows.engine.database import transactions
from django_workflows.models import Trigger, TriggerType, Workflow
from django_workflows.triggers import registering
from tests.factories import make_execution
from tests.proof.database_faults import ACCIDENTS, Accident
from tests.proof.tapping import is_commit, tapped

pytestmark = pytest.mark.django_db(transaction=True)

CONFLICT, *_ = ACCIDENTS
UNKNOWN = tuple(kind for kind in ACCIDENTS if kind.doubtful)


class At:
    """One accident, at the n-th statement or commit at which it is possible."""

    def __init__(self, number: int, accident: Accident) -> None:
        self._number, self._accident = number, accident
        self.seen = 0

    def __call__(self, connection: Any, sql: str, proceed: Callable[[], Any]) -> Any:
        if "django_workflows" not in sql and not (self._accident.doubtful and connection.in_atomic_block is False):
            return proceed()
        if self._accident.doubtful and (not is_commit(connection, sql) or sql.startswith("SELECT")):
            return proceed()
        self.seen += 1
        if self.seen != self._number:
            return proceed()
        return self._accident.happen(connection, sql, proceed)


def deploy() -> None:
    services.publish("default", only_missing=False)


def start_a_worker() -> None:
    services.publish("default", only_missing=True)


def migrate() -> None:
    call_command("migrate", verbosity=0)


def make_a_trigger() -> None:
    trigger = registering.create(next(iter(registry.workflows())).name, "event", f"order.{uuid4()}")
    registering.disable(trigger)
    registering.delete(trigger)


@pytest.mark.parametrize("accident", [CONFLICT, *UNKNOWN], ids=lambda accident: accident.name)
@pytest.mark.parametrize("act", [deploy, start_a_worker, make_a_trigger], ids=lambda act: act.__name__)
def test_an_error_at_any_statement_or_commit_fails_nothing(act: Callable[[], None], accident: Accident) -> None:
    deploy()
    names = [definition.name for definition in registry.workflows()]
    for number in itertools.count(1):
        Workflow.objects.update(description="old")
        Trigger.objects.filter(type=TriggerType.EVENT).delete()
        at = At(number, accident)
        with mock.patch.object(transactions, "LOST_PAUSES", (0.0, 0.0)), tapped(connection, at):
            act()
        if act is deploy:
            assert not Workflow.objects.filter(description="old", name__in=names).exists()
        if at.seen < number:
            assert number > 1
            return


def test_migrate_publishes_what_the_code_declares_beside_conflicts() -> None:
    Workflow.objects.all().delete()
    at = At(1, CONFLICT)
    writes = mock.Mock(side_effect=lambda c, sql, proceed: at(c, sql, proceed) if "INSERT" in sql else proceed())
    with tapped(connection, writes):
        migrate()
    assert at.seen > 1
    assert Workflow.objects.exists()


@pytest.mark.parametrize("accident", ACCIDENTS[:3], ids=lambda accident: accident.name)
def test_who_waits_for_a_result_hears_of_no_conflict(accident: Accident) -> None:
    execution = make_execution("completed", workflow="nobody's", output=42)
    at = At(1, accident)
    with tapped(connection, at):
        assert client.result(execution, timeout=5) == 42
    assert at.seen > 1
