"""Triggers as an author writes them: checked where they stand, and told apart by what they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import django_workflows
from django_workflows import DefinitionError, InvalidTrigger, cron, every, on, webhook, workflow
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.registry import registry
from django_workflows.authoring.triggers import TriggerDefinition, checked
from django_workflows.checks import check_paths


def test_the_authors_door() -> None:
    """What `workflows.py` imports; everything else may move."""
    for name in ("on", "every", "cron", "webhook", "Received", "InvalidTrigger", "WorkflowDisabled"):
        assert name in django_workflows.__all__
        assert hasattr(django_workflows, name)


@pytest.mark.parametrize(
    ("trigger", "pattern"),
    [
        (every(5).minutes, "every 5 minutes"),
        (every(30).seconds, "every 30 seconds"),
        (every(2).weeks, "every 2 weeks"),
        (every.hour, "every hour"),
        (every.weekday.at("9am"), "every weekday at 9am"),
        (every.monday.at("17:30"), "every monday at 17:30"),
        (every.month, "every month"),
        (cron("first of month at 6am"), "first of month at 6am"),
        (cron("59 23 LW * *"), "59 23 LW * *"),
    ],
)
def test_schedules_are_text_in_the_end(trigger: TriggerDefinition, pattern: str) -> None:
    assert (trigger.type, trigger.pattern, trigger.config["tz"]) == ("schedule", pattern, "UTC")


def test_the_options_of_a_schedule_are_plain_and_complete() -> None:
    trigger = every.weekday.at("9am", tz="Europe/Berlin", overlap="allow", catch_up="2 hours", jitter="30s")

    assert trigger.config == {"tz": "Europe/Berlin", "overlap": "allow", "catch_up": 7200.0, "jitter": 30.0}
    assert trigger.using(catch_up_all=3).config["catch_up_all"] == 3
    assert cron("every minute").config == {"tz": "UTC", "overlap": "skip", "catch_up": 3600.0, "jitter": 0.0}


def test_what_tells_two_triggers_apart() -> None:
    assert every.day.identity != every.day.using(tz="Asia/Tokyo").identity
    assert every.day.identity == every.day.using(overlap="allow").identity
    assert on("x").identity != on("x", where={"a": 1}).identity
    assert on("x", where={"a": 1}).identity == on("x", where={"a": 1.0}).identity
    assert on("x", input={"a": 1}).identity != on("x").identity
    assert webhook("x", verify="none").identity == webhook("x", verify="github", secret="S").identity


@pytest.mark.parametrize(
    ("make", "field", "text"),
    [
        (lambda: on(""), "pattern", "must not be empty"),
        (lambda: on("a..b"), "pattern", "no word before or after a dot"),
        (lambda: on("ord*"), "pattern", "only a part of a word"),
        (lambda: on("x" * 501), "pattern", "at most 500 characters"),
        (lambda: on("x", where={"a,b": 1}), "config.where", "must not contain a comma"),
        (lambda: on("x", where={"": 1}), "config.where", "must not be empty"),
        (lambda: on("x", where={"a": object()}), "config.where", "object"),
        (lambda: on("x", where=[1]), "config.where", "must be an object"),  # type: ignore[arg-type]  # on purpose
        (lambda: every(0).minutes, "pattern", "0"),
        (lambda: every.day.at("25:00"), "pattern", "cannot be read"),
        (lambda: cron("* * *"), "pattern", "cannot be read"),
        (lambda: cron("0 0 30 2 *"), "pattern", "There is no such moment"),
        (lambda: cron("@daily", tz="Mars/Olympus"), "config.tz", "the name of a time zone"),
        (lambda: cron("@daily", tz="../../etc/passwd"), "config.tz", "the name of a time zone"),
        (lambda: cron("@daily", overlap="queue"), "config.overlap", "must be one of"),  # type: ignore[arg-type]  # on purpose
        (lambda: cron("@daily", jitter="soon"), "config.jitter", "no duration"),
        (lambda: cron("@daily", catch_up="9999 days"), "config.catch_up", "between nothing and a year"),
        (lambda: cron("@daily", catch_up_all=0), "config.catch_up_all", "from 1 to 1000"),
        (lambda: webhook("/x", verify="none"), "pattern", "A path consists of"),
        (lambda: webhook("a/../b", verify="none"), "pattern", "A path consists of"),
        (lambda: webhook("x", verify="sha"), "config.verify", "must be one of"),
        (lambda: webhook("x", verify="github"), "config.secret", "names an entry of"),
        (lambda: checked("moon", "x"), "type", "must be event, schedule or webhook"),
        (lambda: checked("event", "x", {"when": 1}), "config.when", "There is no such option"),
        (lambda: checked("event", "x", []), "config", "must be an object"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_what_cannot_work_is_refused_by_field(make: Callable[[], Any], field: str, text: str) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        make()

    assert text in " ".join(caught.value.errors[field])


def test_a_configuration_may_be_absent() -> None:
    assert checked("event", "x") == checked("event", " x ", {}) == on("x")


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidTrigger) as caught:
        cron("@daily", tz="Mars", jitter=-1, catch_up_all=0)

    assert set(caught.value.errors) == {"config.tz", "config.jitter", "config.catch_up_all"}


@pytest.mark.parametrize(
    ("triggers", "text"),
    [
        (["order.created"], "are made by on"),
        ([every(5)], "are made by on"),
        ([on("x"), on("x")], "is there twice"),
        ([every.day, every.day.using(overlap="allow")], "is there twice"),
    ],
)
def test_a_workflow_refuses_what_is_no_trigger(triggers: Any, text: str) -> None:
    with pytest.raises(DefinitionError, match=text):

        @workflow(triggers=triggers)
        def never(ctx: Any) -> None: ...


def test_every_wants_a_number() -> None:
    with pytest.raises(DefinitionError, match=r"every\(5\)\.minutes"):
        every("5 minutes")  # type: ignore[arg-type]  # on purpose


def test_one_path_for_two_workflows_is_an_error_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(ctx: Any) -> None: ...

    made: list[WorkflowDefinition[..., Any]] = [
        WorkflowDefinition(body, {"name": name, "triggers": [webhook("till", verify="none")]}) for name in ("a", "b")
    ]
    monkeypatch.setattr(registry, "_workflows", {found.name: {1: found} for found in made})

    (error,) = check_paths()
    assert (error.id, error.msg) == ("django_workflows.E014", "The webhook 'till' is declared by a and b.")
