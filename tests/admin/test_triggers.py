"""The page of triggers: made, changed, switched and fired by those who may; refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from django_workflows import Context, workflow
from django_workflows.models import Execution, Trigger
from django_workflows.triggers import registering
from tests.admin.conftest import Login
from tests.factories import make_trigger

LIST = reverse("admin:django_workflows_trigger_changelist")
ADD = reverse("admin:django_workflows_trigger_add")
PERMISSIONS = ("add_trigger", "change_trigger", "delete_trigger", "start_execution", "open_webhook")


@pytest.fixture(autouse=True)
def _none_of_the_examples(db: None) -> None:
    """The example apps declare triggers, which `migrate` writes."""
    Trigger.objects.all().delete()


@workflow
def admin_order(ctx: Context, order: int = 0) -> int:
    return order


@pytest.fixture
def operator(login: Login) -> Client:
    return login(*PERMISSIONS, name="op")


def page(trigger: Trigger) -> str:
    return reverse("admin:django_workflows_trigger_change", args=[trigger.pk])


def posted(**values: Any) -> dict[str, Any]:
    return {"workflow": "admin_order", "type": "event", "pattern": "order.*", "config": "", "enabled": "on"} | values


def act(browser: Client, action: str, *triggers: Trigger, **values: Any) -> str:
    data = {"action": action, "_selected_action": [trigger.pk for trigger in triggers], **values}
    return browser.post(LIST, data, follow=True).content.decode()


def test_an_operator_makes_a_trigger(operator: Client) -> None:
    assert operator.get(ADD).status_code == 200

    response = operator.post(ADD, posted(config='{"where": {"country": "DE"}}'))

    assert response.status_code == 302
    trigger = Trigger.objects.get()
    assert (trigger.workflow, trigger.pattern, trigger.config) == (
        "admin_order",
        "order.*",
        {"where": {"country": "DE"}},
    )
    assert trigger.variant
    assert (trigger.origin, trigger.enabled) == ("operator", True)
    assert LogEntry.objects.get().object_id == str(trigger.pk)
    assert "order.* (country = &quot;DE&quot;)" in operator.get(LIST).content.decode()


def test_a_schedule_shows_its_next_times_in_its_zone(operator: Client) -> None:
    operator.post(ADD, posted(type="schedule", pattern="every day at 9am", config='{"tz": "Europe/Berlin"}'))

    trigger = Trigger.objects.get()
    html = operator.get(page(trigger)).content.decode()
    assert trigger.next_at is not None
    assert html.count("09:00:00 Europe/Berlin") == 5
    assert "every day at 9am (Europe/Berlin)" in html


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"pattern": "order..x"}, "there is no word before or after a dot"),
        ({"type": "schedule", "pattern": "whenever"}, "cannot be read"),
        ({"type": "schedule", "pattern": "0 0 * * *", "config": '{"tz": "Mars"}'}, "tz: must be the name of a time"),
        ({"config": '{"wher": {}}'}, "wher: There is no such option."),
        ({"config": "{"}, "Enter a valid JSON."),
        ({"config": "[1]"}, "must be an object, not list."),
        ({"workflow": "nobody"}, "No workflow is registered under &#x27;nobody&#x27;"),
        ({"type": "webhook", "pattern": "a//b", "config": '{"verify": "none"}'}, "A path consists of"),
        ({"type": "webhook", "pattern": "a"}, "verify: must be one of standard"),
        ({"pattern": "taken"}, "has this trigger already"),
        ({"type": "webhook", "pattern": "taken", "config": '{"verify": "none"}'}, "Another webhook has this path"),
    ],
)
def test_what_cannot_work_is_explained_at_its_field(operator: Client, values: dict[str, str], text: str) -> None:
    registering.create("admin_order", "event", "taken")
    registering.create("admin_order", "webhook", "taken", {"verify": "none"})
    Trigger.objects.filter(type="webhook").update(workflow="other")

    response = operator.post(ADD, posted(**values))

    assert response.status_code == 200
    assert text in response.content.decode()
    assert Trigger.objects.count() == 2


def test_an_operator_changes_what_operators_made(operator: Client) -> None:
    trigger = registering.create("admin_order", "schedule", "every day at 9am")
    revision = trigger.revision

    response = operator.post(page(trigger), posted(pattern="every day at 10am", config='{"tz": "Asia/Tokyo"}'))

    assert response.status_code == 302
    trigger.refresh_from_db()
    assert (trigger.pattern, trigger.config["tz"], trigger.variant) == ("every day at 10am", "Asia/Tokyo", "Asia/Tokyo")
    assert trigger.revision != revision


def test_a_change_that_cannot_work_changes_nothing(operator: Client) -> None:
    trigger = registering.create("admin_order", "event", "a.b")
    registering.create("admin_order", "event", "taken")

    response = operator.post(page(trigger), posted(pattern="taken"))

    assert "This trigger exists already" in response.content.decode()
    trigger.refresh_from_db()
    assert trigger.pattern == "a.b"


@pytest.mark.parametrize("origin", ["code", "definition"])
def test_of_what_the_code_says_only_the_switch_is_the_operators(operator: Client, origin: str) -> None:
    trigger = make_trigger(config={"where": {"a": 1}}, origin=origin)

    html = operator.get(page(trigger)).content.decode()
    response = operator.post(page(trigger), {"pattern": "*", "workflow": "x", "note": "too many"})

    assert 'name="pattern"' not in html
    assert response.status_code == 302
    trigger.refresh_from_db()
    assert (trigger.pattern, trigger.workflow, trigger.enabled, trigger.note) == (
        "order.*",
        "fulfil",
        False,
        "too many",
    )


def test_what_the_code_says_cannot_be_deleted_but_the_rest_can(operator: Client) -> None:
    code, mine = make_trigger(origin="code"), make_trigger("mine")
    delete = "admin:django_workflows_trigger_delete"

    assert operator.post(reverse(delete, args=[code.pk]), {"post": "yes"}).status_code == 403
    assert operator.post(reverse(delete, args=[mine.pk]), {"post": "yes"}).status_code == 302

    assert list(Trigger.objects.all()) == [code]
    assert "delete_selected" not in operator.get(LIST).content.decode()


def test_many_are_disabled_with_a_note_and_enabled_again(operator: Client) -> None:
    first, second = make_trigger("a"), make_trigger("b", enabled=False)

    act(operator, "disable_selected", first, second, note="flood")
    first.refresh_from_db()
    assert (first.enabled, first.note) == (False, "flood")
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Disabled: flood"]

    act(operator, "enable_selected", first, second)
    assert set(Trigger.objects.values_list("enabled", "note")) == {(True, "")}


def test_a_trigger_is_fired_by_hand(operator: Client) -> None:
    trigger = registering.create("admin_order", "event", "order.*")

    html = act(operator, "fire_selected", trigger, payload='{"order": 7}')

    execution = Execution.objects.get()
    assert (execution.input, execution.trigger_id) == ({"order": 7}, trigger.pk)
    assert "1 trigger: done." in html
    assert LogEntry.objects.get().get_change_message() == f"Fired: execution {execution.pk}"
    assert str(execution.pk) in operator.get(page(trigger)).content.decode()


@pytest.mark.parametrize(
    ("payload", "text"), [('{"order": "x"}', "order: "), ("{", "Enter a valid JSON."), ("[1]", "need an object")]
)
def test_firing_with_the_wrong_data_says_why(operator: Client, payload: str, text: str) -> None:
    trigger = registering.create("admin_order", "event", "order.*")

    assert text in act(operator, "fire_selected", trigger, payload=payload)
    assert not Execution.objects.exists()


def test_who_may_only_look_changes_nothing(login: Login) -> None:
    """Neither the pages nor the actions."""
    viewer = login()
    trigger = registering.create("admin_order", "event", "order.*")

    assert viewer.get(LIST).status_code == 200
    assert viewer.get(page(trigger)).status_code == 200
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(ADD, posted()).status_code == 403
    assert viewer.post(page(trigger), posted(pattern="x")).status_code == 403
    for action in ("enable_selected", "disable_selected", "fire_selected"):
        act(viewer, action, trigger)
    trigger.refresh_from_db()
    assert trigger.enabled
    assert not Execution.objects.exists()


def test_who_may_change_may_not_fire(login: Login) -> None:
    trigger = registering.create("admin_order", "event", "order.*")

    act(login("change_trigger"), "fire_selected", trigger)

    assert not Execution.objects.exists()


def test_hostile_names_are_only_text(operator: Client) -> None:
    trigger = make_trigger("<script>x", workflow="<b>w", note="<i>n", config={"where": {"<s>": "<u>"}}, origin="code")

    for url in (LIST, page(trigger)):
        html = operator.get(url).content.decode()
        for tag in ("<script>x", "<b>w", "<i>n", "<s>", "<u>"):
            assert tag not in html


def test_a_row_that_makes_no_sense_is_still_shown(operator: Client) -> None:
    for type, config in (("schedule", "x"), ("event", {"where": 1}), ("webhook", None)):
        trigger = make_trigger("a b c", type=type, config=config)

        assert operator.get(page(trigger)).status_code == 200
    assert operator.get(LIST).status_code == 200
