"""What the code declares becomes rows; what operators decided survives."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS

from django_workflows import Context, conf, on, webhook
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.registry import registry
from django_workflows.authoring.triggers import TriggerDefinition
from django_workflows.management import preflight
from django_workflows.management.commands import runworkflows
from django_workflows.models import Trigger
from django_workflows.triggers import registering, syncing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _none_of_the_examples(db: None) -> None:
    """The example apps declare triggers, which `migrate` writes."""
    Trigger.objects.all().delete()


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A registry of its own, by name: what the code declares now."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_workflows", known)
    return known


def declare(code: dict[str, Any], name: str, *triggers: TriggerDefinition) -> None:
    def body(ctx: Context) -> None: ...

    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(body, {"name": name, "triggers": triggers})
    code[name] = {1: definition}


def deploy() -> None:
    syncing.sync("default", only_missing=False)


def start_worker() -> None:
    syncing.sync("default", only_missing=True)


def rows() -> list[tuple[str, str, bool, bool]]:
    found = Trigger.objects.order_by("workflow", "pattern")
    return [(row.workflow, row.pattern, row.enabled, row.retired_at is None) for row in found]


def test_declared_triggers_are_rows_after_a_deploy(code: dict[str, Any]) -> None:
    declare(code, "a", on("order.created", where={"paid": True}), webhook("github", verify="none"))

    deploy()
    deploy()

    assert rows() == [("a", "github", True, True), ("a", "order.created", True, True)]
    assert Trigger.objects.get(type="event").config == {"where": {"paid": True}}
    assert {row.origin for row in Trigger.objects.all()} == {"code"}


def test_what_left_the_code_is_retired_and_visible(code: dict[str, Any]) -> None:
    """SCH-12: it starts nothing, and its row says since when."""
    declare(code, "a", on("x"), on("y"))
    declare(code, "b", on("z"))
    deploy()

    declare(code, "a", on("y"))
    del code["b"]
    deploy()

    assert rows() == [("a", "x", True, False), ("a", "y", True, True), ("b", "z", True, False)]


def test_what_comes_back_has_its_row_its_counts_and_the_operators_decision(code: dict[str, Any]) -> None:
    declare(code, "a", on("x"))
    deploy()
    Trigger.objects.update(enabled=False, trigger_count=7)
    first = Trigger.objects.get()

    declare(code, "a")
    deploy()
    declare(code, "a", on("x"))
    deploy()

    trigger = Trigger.objects.get()
    assert (trigger.pk, trigger.enabled, trigger.trigger_count, trigger.retired_at) == (first.pk, False, 7, None)


def test_a_change_of_options_is_written_and_disabled_stays_disabled(code: dict[str, Any]) -> None:
    """SCH-10: what the operator paused stays so."""
    declare(code, "a", webhook("w", verify="github", secret="ONE"))
    deploy()
    registering.disable(Trigger.objects.get())

    declare(code, "a", webhook("w", verify="github", secret="TWO"))
    deploy()

    trigger = Trigger.objects.get()
    assert (trigger.enabled, trigger.config["secret"]) == (False, "TWO")


def test_an_old_worker_that_starts_in_the_middle_of_a_deploy_undoes_nothing(code: dict[str, Any]) -> None:
    declare(code, "a", on("old"), webhook("w", verify="github", secret="OLD"))
    deploy()
    declare(code, "a", on("new"), webhook("w", verify="github", secret="NEW"))
    deploy()

    declare(code, "a", on("old"), webhook("w", verify="github", secret="OLD"), on("missing"))
    start_worker()

    assert rows() == [
        ("a", "missing", True, True),
        ("a", "new", True, True),
        ("a", "old", True, False),
        ("a", "w", True, True),
    ]
    assert Trigger.objects.get(pattern="w").config["secret"] == "NEW"


@pytest.mark.parametrize(("reloading", "only_missing"), [(True, False), (False, True)])
def test_a_worker_that_reloads_writes_what_the_code_says(
    monkeypatch: pytest.MonkeyPatch, reloading: bool, only_missing: bool
) -> None:
    """As `migrate` does: who edits code does not migrate after each line. Any other start only adds."""
    asked: list[bool] = []

    def note(alias: str, *, only_missing: bool) -> None:
        asked.append(only_missing)

    monkeypatch.setattr(preflight, "publish", note)
    assert preflight._check_now(DEFAULT_DB_ALIAS, only_missing=only_missing)

    monkeypatch.setattr(preflight, "passes", note)  # it did not pass: nothing is started
    monkeypatch.setattr(runworkflows, "_log_to", lambda stream, level, over: None)
    if reloading:
        monkeypatch.setenv(conf.RELOADING, "1")
    with pytest.raises(CommandError, match="did not start"):
        call_command("runworkflows")
    assert asked == [only_missing, only_missing]


def test_the_path_of_a_webhook_moves_from_one_workflow_to_another(code: dict[str, Any]) -> None:
    declare(code, "a", webhook("w", verify="none"))
    deploy()

    declare(code, "a")
    declare(code, "b", webhook("w", verify="none"))
    deploy()

    assert rows() == [("a", "w", True, False), ("b", "w", True, True)]


def test_a_path_that_somebody_else_has_is_told(code: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    declare(code, "a", webhook("w", verify="none"))
    declare(code, "b", webhook("w", verify="none"))

    deploy()

    assert rows() == [("a", "w", True, True)]
    assert "The webhook 'w' of b is not there: a has this path." in caplog.text


def test_what_an_operator_added_stays(code: dict[str, Any]) -> None:
    declare(code, "a", on("x"))
    deploy()
    registering.create("a", "event", "by.hand")

    declare(code, "a")
    deploy()

    assert rows() == [("a", "by.hand", True, True), ("a", "x", True, False)]


def test_code_takes_over_what_an_operator_made_before(code: dict[str, Any]) -> None:
    declare(code, "a")
    made = registering.create("a", "event", "x", enabled=False)

    declare(code, "a", on("x"))
    deploy()

    trigger = Trigger.objects.get()
    assert (trigger.pk, trigger.origin, trigger.enabled) == (made.pk, "code", False)


def test_two_filters_make_two_triggers(code: dict[str, Any]) -> None:
    declare(code, "a", on("x", where={"country": "DE"}), on("x", where={"country": "FR"}), on("x"))

    deploy()

    assert Trigger.objects.count() == 3


def test_the_triggers_of_a_definition_are_its_own(code: dict[str, Any]) -> None:
    declare(code, "a", on("code"))
    deploy()
    syncing.declare("default", "a", [on("one"), on("two")], origin=syncing.Origin("definition"))
    registering.create("a", "event", "by.hand")

    syncing.declare("default", "a", [on("two")], origin=syncing.Origin("definition"))

    assert rows() == [
        ("a", "by.hand", True, True),
        ("a", "code", True, True),
        ("a", "one", True, False),
        ("a", "two", True, True),
    ]
