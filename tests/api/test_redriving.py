"""`POST /events/{id}/redrive`: an event that was set aside is dispatched again, by those who may publish events."""

from __future__ import annotations

from uuid import uuid4

import pytest

from django_workflows.models import Event
from tests.api.conftest import Api
from tests.factories import make_event, make_execution, make_log, now


def set_aside() -> Event:
    return make_event("order.created", dispatched_at=now(), set_aside_at=now(), reason="it hung", attempts=3)


def test_an_event_that_was_set_aside_is_dispatched_again_once(operator: Api) -> None:
    event = set_aside()
    first = operator.post(f"events/{event.id}/redrive", {"reason": "mended"})
    again = operator.post(f"events/{event.id}/redrive", {})

    assert (first.status_code, first.json()["redriven"]) == (200, True)
    assert (again.status_code, again.json()["redriven"]) == (200, False)
    event.refresh_from_db()
    assert (event.dispatched_at, event.set_aside_at, event.attempts, event.reason) == (None, None, 0, "")
    record = Event.objects.get(type="operator")
    assert (record.name, record.data["reason"], record.data["by"]) == ("redrive", "mended", "operator")


def test_one_that_was_dispatched_is_left_alone(operator: Api) -> None:
    event = make_event("order.created", dispatched_at=now())
    assert operator.post(f"events/{event.id}/redrive", {}).json()["redriven"] is False
    event.refresh_from_db()
    assert event.dispatched_at is not None


@pytest.mark.parametrize("id", [uuid4(), "nonsense"])
def test_one_that_does_not_exist_is_not_found(operator: Api, id: object) -> None:
    assert operator.post(f"events/{id}/redrive", {}).status_code == 404


def test_what_is_no_published_event_is_not_found(operator: Api) -> None:
    line = make_log(make_execution(), "error", "charge")
    assert operator.post(f"events/{line.id}/redrive", {}).status_code == 404


def test_only_those_who_may_publish_events_redrive_them(viewer: Api) -> None:
    event = set_aside()
    assert viewer.post(f"events/{event.id}/redrive", {}).status_code == 403
    event.refresh_from_db()
    assert event.set_aside_at is not None
