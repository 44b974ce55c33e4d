"""`manage.py workflows triggers …`, and the switch of a workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_workflows import Context, workflow
from django_workflows.client import start
from django_workflows.models import Execution, Trigger
from django_workflows.triggers import registering
from tests.factories import ago, make_trigger, make_workflow

pytestmark = pytest.mark.django_db

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _none_of_the_examples(db: None) -> None:
    """The example apps declare triggers, which `migrate` writes."""
    Trigger.objects.all().delete()


@workflow
def cli_order(ctx: Context, order: int = 0) -> int:
    return order


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> str:
        out = StringIO()
        call_command("workflows", *map(str, arguments), stdout=out, no_color=True)
        return out.getvalue()

    return call


def test_the_list_tells_what_each_waits_for(run: Run) -> None:
    registering.create("cli_order", "event", "order.*", {"where": {"country": "DE"}})
    disabled = registering.create("cli_order", "schedule", "every day at 9am", {"tz": "Europe/Berlin"})
    registering.disable(disabled, "holidays")
    make_trigger("gone", retired_at=ago(days=1))

    text = run("triggers", "list")

    assert 'order.* (country = "DE")' in text
    assert "disabled: holidays" in text
    assert "every day at 9am (Europe/Berlin)" in text
    assert "gone" not in text
    assert "retired" in run("triggers", "list", "--all")
    assert "order" not in run("triggers", "list", "--type", "schedule").replace("cli_order", "")
    told = run("triggers", "list", "--workflow", "nobody")
    assert told.startswith("There is no such trigger. There is no workflow 'nobody'. Known: ")
    assert {row["pattern"] for row in json.loads(run("triggers", "list", "--json"))} == {"order.*", "every day at 9am"}


def test_one_is_shown_with_its_next_times(run: Run) -> None:
    trigger = registering.create("cli_order", "schedule", "every day at 9am", {"tz": "Europe/Berlin"})

    text = run("triggers", "show", str(trigger.pk)[:8])

    assert text.count("09:00:00 Europe/Berlin") == 5
    shown = json.loads(run("triggers", "--json", "show", trigger.pk))
    assert (shown["config"]["tz"], len(shown["next_times"])) == ("Europe/Berlin", 5)


def test_triggers_are_disabled_with_a_note_and_enabled_again(run: Run) -> None:
    trigger = registering.create("cli_order", "event", "order.*")

    assert run("triggers", "disable", trigger.pk, "--note", "flood").startswith("Disabled: event order.*")
    trigger.refresh_from_db()
    assert (trigger.enabled, trigger.note) == (False, "flood")
    run("triggers", "enable", trigger.pk)
    run("triggers", "enable", trigger.pk)
    trigger.refresh_from_db()
    assert (trigger.enabled, trigger.note) == (True, "")


def test_one_is_made_and_removed(run: Run) -> None:
    run("triggers", "add", "cli_order", "event", "order.*", "--config", '{"where": {"a": 1}}')

    trigger = Trigger.objects.get()
    assert (trigger.pattern, trigger.config, trigger.origin) == ("order.*", {"where": {"a": 1}}, "operator")
    run("triggers", "remove", trigger.pk)
    assert not Trigger.objects.exists()


def test_one_is_fired(run: Run) -> None:
    trigger = registering.create("cli_order", "event", "order.*")

    assert run("triggers", "fire", trigger.pk, '{"order": 7}').startswith("Started cli_order ")
    assert json.loads(run("triggers", "fire", trigger.pk, "--json"))["workflow"] == "cli_order"
    assert {tuple(row.input.items()) for row in Execution.objects.all()} == {(("order", 7),), ()}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["show", "0000"], "There is no trigger '0000'"),
        (["show", "x"], "There is no trigger 'x'"),
        (["add", "nobody", "event", "x"], "No workflow is registered under 'nobody'"),
        (["add", "cli_order", "schedule", "whenever"], "cannot be read"),
        (["add", "cli_order", "event", "x", "--config", "{"], "--config must be JSON"),
        (["add", "cli_order", "event", "x", "--config", '{"a": 1}'], "config.a: There is no such option."),
        (["fire", "{id}", "{"], "The data must be JSON"),
        (["fire", "{id}", '{"order": "x"}'], "order: "),
        (["remove", "{id}"], "stands in the code of 'cli_order'"),
        (["backfill", "{id}", "yesterday", "now"], "'yesterday' is no moment"),
        (["backfill", "{id}", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], "Only schedules have moments"),
    ],
)
def test_mistakes_are_explained(run: Run, arguments: list[str], text: str) -> None:
    trigger = registering.create("cli_order", "event", "order.*", origin="code")

    with pytest.raises(CommandError, match=text.replace("(", r"\(")):
        run("triggers", *(argument.replace("{id}", str(trigger.pk)) for argument in arguments))


def test_a_period_is_started_once(run: Run) -> None:
    """SCH-08."""
    trigger = registering.create("cli_order", "schedule", "every day at 9am")
    period = ["2026-01-01T00:00:00Z", "2026-01-06T23:00:00Z"]

    assert run("triggers", "backfill", trigger.pk, *period).startswith("Started 6 of 6")
    assert json.loads(run("triggers", "backfill", trigger.pk, *period, "--json")) == {"started": 0, "moments": 6}


def test_a_workflow_is_switched_off_and_on(run: Run) -> None:
    make_workflow("cli_order")

    assert run("disable", "cli_order") == "cli_order is disabled.\n"
    with pytest.raises(CommandError, match="is disabled, so nothing was started"):
        run("start", "cli_order")
    assert json.loads(run("enable", "cli_order", "--json")) == [{"name": "cli_order", "enabled": True}]
    start("cli_order")
    with pytest.raises(CommandError, match="There is no workflow 'nobody'"):
        run("disable", "nobody")


def test_without_an_action_the_actions_are_named(run: Run) -> None:
    with pytest.raises(CommandError, match="ACTION"):
        run("triggers")
