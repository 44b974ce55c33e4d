"""Triggers over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import Context, workflow
from django_workflows.models import Execution, Trigger
from tests.api.conftest import Api
from tests.factories import make_trigger

pytestmark = pytest.mark.usefixtures("greet")


@workflow
def api_moment(ctx: Context, nominal_time: str) -> None: ...


NEW = {"workflow": "api_greet", "type": "event", "pattern": "order.*"}


def test_a_trigger_is_registered_changed_fired_and_removed(manager: Api) -> None:
    made = manager.post("triggers", NEW | {"config": {"where": {"country": "DE"}}})
    path = f"triggers/{made.json()['id']}"
    off = manager("PATCH", path, {"enabled": False})
    other = manager("PATCH", path, {"pattern": "invoice.*"})
    fired = manager.post(f"{path}/fire", {"data": {"name": "Ada"}})

    assert [answer.status_code for answer in (made, off, other, fired)] == [201, 200, 200, 201]
    assert not off.json()["enabled"]
    assert other.json()["pattern"] == "invoice.*"
    assert fired.json()["input"] == {"name": "Ada"}
    assert fired.json()["trigger"] == made.json()["id"]
    assert manager.get(path).json()["trigger_count"] == 1
    assert manager("DELETE", path).status_code == 204
    assert manager.get(path).status_code == 404
    assert Execution.objects.count() == 1


def test_a_schedule_is_told_with_its_next_moment(manager: Api) -> None:
    made = manager.post("triggers", NEW | {"type": "schedule", "pattern": "every weekday at 9am"})

    assert made.status_code == 201, made.content
    assert made.json()["next_at"] is not None


def test_a_schedule_is_paused_with_a_note(manager: Api) -> None:
    """SCH-06: enabling clears it."""
    made = manager.post("triggers", NEW | {"type": "schedule", "pattern": "@daily"}).json()
    path = f"triggers/{made['id']}"

    off = manager("PATCH", path, {"enabled": False, "note": "the supplier is on holiday"}).json()
    assert (off["enabled"], off["note"], off["next_at"]) == (False, "the supplier is on holiday", None)
    assert manager("PATCH", path, {"note": "\0"}).status_code == 400
    on = manager("PATCH", path, {"enabled": True}).json()
    assert (on["note"], on["next_at"]) == ("", made["next_at"])


def test_a_schedule_that_is_fired_has_the_present_as_its_moment(manager: Api) -> None:
    """SCH-14"""
    made = manager.post("triggers", {"workflow": "api_moment", "type": "schedule", "pattern": "@yearly"}).json()
    fired = manager.post(f"triggers/{made['id']}/fire", {})
    assert fired.status_code == 201, fired.content
    assert fired.json()["input"]["nominal_time"] > made["created_at"][:19]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"workflow": "api_gret"}, "workflow"),
        ({"type": "weather"}, "type"),
        ({"pattern": ""}, "pattern"),
        ({"pattern": "a..b"}, "pattern"),
        ({"type": "schedule", "pattern": "every now and then"}, "pattern"),
        ({"config": []}, "config"),
        ({"config": {"wehre": {}}}, "config.wehre"),
        ({"trigger_count": 99}, "trigger_count"),
        ({"origin": "code"}, "origin"),
        ({"enabled": "yes"}, "enabled"),
    ],
)
def test_what_is_wrong_is_told_by_field(manager: Api, changes: dict[str, Any], field: str) -> None:
    answer = manager.post("triggers", NEW | changes)

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field
    assert not Trigger.objects.filter(workflow="api_greet").exists()


def test_the_same_with_a_key_is_the_same_and_without_one_an_error(manager: Api) -> None:
    first = manager.post("triggers", NEW, Idempotency_Key="t-1")
    again = manager.post("triggers", NEW, Idempotency_Key="t-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert manager.post("triggers", NEW).status_code == 400


def test_firing_with_a_key_happens_once(operator: Api) -> None:
    trigger = make_trigger(workflow="api_greet", config={})
    path, body = f"triggers/{trigger.id}/fire", {"data": {"name": "Ada"}}

    first, again = operator.post(path, body, Idempotency_Key="f"), operator.post(path, body, Idempotency_Key="f")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert operator.post(path, {"data": {"nmae": "Ada"}}).status_code == 400


def test_a_trigger_of_the_code_can_only_be_switched(manager: Api) -> None:
    """SCH-10"""
    trigger = make_trigger(workflow="api_greet", config={}, origin="code")
    path = f"triggers/{trigger.id}"

    assert manager("PATCH", path, {"enabled": False}).status_code == 200
    assert manager("PATCH", path, {"pattern": "x"}).status_code == 409
    assert manager("DELETE", path).status_code == 409


def test_triggers_are_listed_in_pages(viewer: Api, django_assert_max_num_queries: Any) -> None:
    made = {str(make_trigger(f"order.{number}", workflow="api_greet", config={}).id) for number in range(5)}
    make_trigger("other", workflow="another", config={})
    path: str | None = "triggers?limit=2&workflow=api_greet&type=event"
    found = []
    while path:
        page = viewer.get(path).json()
        found += [row["id"] for row in page["results"]]
        path = page["next"]

    assert len(found) == 5
    assert set(found) == made
    with django_assert_max_num_queries(6):
        viewer.get("triggers")


@pytest.mark.parametrize("id", ["42", "00000000-0000-4000-8000-000000000000", "%00"])
def test_who_is_not_there_is_not_found(manager: Api, id: str) -> None:
    assert manager.get(f"triggers/{id}").status_code == 404
    assert manager("PATCH", f"triggers/{id}", {}).status_code == 404
    assert manager("DELETE", f"triggers/{id}").status_code == 404
    assert manager.post(f"triggers/{id}/fire").status_code == 404
