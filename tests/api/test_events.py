"""Publishing events over HTTP, and following everything that happens."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from django_workflows import clock
from django_workflows.inspection import feed as feeds
from django_workflows.inspection import sources
from django_workflows.models import Event, Execution, Status, StepKind
from tests.api.conftest import Api
from tests.factories import ago, ahead, make_event, make_execution, make_log, make_signal, make_step, make_wait


def test_an_event_is_published(operator: Api) -> None:
    answer = operator.post("events", {"name": "order.created", "data": {"id": 42}, "source": "shop"})

    event = Event.objects.get()
    assert answer.status_code == 201
    assert answer.json()["id"] == str(event.id)
    assert (event.name, event.data, event.source) == ("order.created", {"id": 42}, "shop")


@pytest.mark.parametrize("by_header", [True, False])
def test_the_same_id_is_published_once(operator: Api, by_header: bool) -> None:
    """EVT-08"""
    body = {"name": "order.created"} | ({} if by_header else {"id": "e-1"})
    headers = {"Idempotency_Key": "e-1"} if by_header else {}
    first, again = operator.post("events", body, **headers), operator.post("events", body, **headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert Event.objects.get().event_id == "e-1"


def test_a_batch_is_published_as_a_whole_and_once(operator: Api) -> None:
    batch = [{"name": "order.created"}, {"name": "order.paid", "id": "paid-1"}, {"name": "order.sent"}]
    first = operator.post("events", batch, Idempotency_Key="b")
    again = operator.post("events", batch, Idempotency_Key="b")

    assert first.status_code == 201
    assert again.json() == first.json()
    assert set(Event.objects.values_list("event_id", flat=True)) == {"b#0", "b#2", "paid-1"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "dispatched_at": "2026-01-01T00:00:00Z"}, "dispatched_at"),
        ({"name": "a", "execution": "x"}, "execution"),
        ({"name": "a", "deliver_at": "soon"}, "deliver_at"),
        ({"name": "a", "id": ""}, "id"),
        ({"name": "a", "source": "x\r\ny"}, "source"),
        ([{"name": "a"}, {"nmae": "b"}], "1.nmae"),
        ([{"name": "a"}, {"name": "b", "data": "nul \u0000"}], ""),
        ([{"name": "a"}, 5], "1"),
        ([], ""),
    ],
)
def test_what_cannot_be_published_is_told_and_nothing_is(operator: Api, body: object, field: str) -> None:
    answer = operator.post("events", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field
    assert not Event.objects.exists()


def test_a_batch_has_a_limit(operator: Api, settings: Any) -> None:
    settings.WORKFLOWS = {"API_MAX_BATCH": 2}

    assert operator.post("events", [{"name": "a"}] * 3).status_code == 400


def test_publishing_costs_few_statements(operator: Api, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(5):  # session, user, two of permissions, INSERT
        operator.post("events", {"name": "order.created"})


# the feed


def follow(api: Api, path: str = "events", **query: Any) -> list[dict[str, Any]]:
    """Everything up to now."""
    found = []
    while True:
        page = api.get(path).json()
        found += page["results"]
        path = page["next"]
        if not page["more"]:
            return found


def test_the_feed_tells_everything_that_happened_in_its_order(operator: Api, viewer: Api) -> None:
    execution = make_execution(Status.COMPLETED, created_at=ago(minutes=9), completed_at=ago(minutes=1))
    make_step(execution, "charge", output="4711")
    make_wait(execution, StepKind.SIGNAL, "go", created_at=ago(minutes=6))
    make_log(execution, "operator", "pause", {"by": "Ada"}, created_at=ago(minutes=5))
    make_event("order.created", {"card": "4711"}, created_at=ago(minutes=4))
    waiting = make_execution(Status.WAITING, created_at=ago(minutes=3), workflow="ship")
    make_signal(waiting, "go", created_at=ago(minutes=2))

    items = follow(operator)

    told = [(item["type"], item["name"]) for item in items]
    assert told == [
        ("lifecycle", "created"),
        ("step", "charge"),
        ("step", "go"),
        ("operator", "pause"),
        ("event", "order.created"),
        ("lifecycle", "created"),
        ("signal", "go"),
        ("lifecycle", "completed"),
    ]
    assert [item["workflow"] for item in items][-3:] == ["ship", "ship", "fulfil"]
    assert len({item["id"] for item in items}) == len(items)
    assert "4711" in str(items)
    assert "4711" not in str(follow(viewer))
    assert {item["name"] for item in follow(operator, "events?type=lifecycle&workflow=ship")} == {"created"}
    assert [item["type"] for item in follow(operator, "events?name=go")] == ["step", "signal"]


def test_whoever_follows_gets_every_item_once_however_small_the_pages(operator: Api) -> None:
    for number in range(7):
        make_step(make_execution(Status.COMPLETED), f"step-{number}")

    items = follow(operator, "events?limit=2")

    assert len(items) == 21
    assert len({item["id"] for item in items}) == 21


def test_what_commits_late_is_not_lost(operator: Api) -> None:
    """A transaction stores a time, and another one that stores a later time commits and is read before it."""
    make_event("second", created_at=ago(seconds=2))
    page = operator.get("events").json()
    make_event("first", created_at=ago(seconds=10))
    make_event("third", created_at=ago(seconds=1))

    later = operator.get(page["next"]).json()

    assert [item["name"] for item in page["results"]] == ["second"]
    assert [item["name"] for item in later["results"]] == ["first", "third"]
    assert operator.get(later["next"]).json()["results"] == []


def test_the_feed_holds_back_the_young_beyond_a_number_and_loses_nothing(
    operator: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "UNSETTLED", 3)
    for number in range(5):
        make_event(f"e-{number}", created_at=ago(seconds=5 - number))
    page = operator.get("events").json()
    late = make_event("late", created_at=ago(seconds=20))
    nothing = operator.get(page["next"]).json()
    clock.skip(timedelta(minutes=2))
    try:
        rest = follow(operator, nothing["next"])
    finally:
        clock.reset()

    assert [item["name"] for item in page["results"]] == ["e-0", "e-1", "e-2"]
    assert not page["more"]
    assert nothing["results"] == []
    assert [item["name"] for item in rest] == [late.name, "e-3", "e-4"]


def test_many_rows_of_one_instant_are_read_in_slices(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SCANNED", 3)
    moment = ago(hours=1).replace(microsecond=0)
    for _ in range(8):
        make_event("same", created_at=moment)
        make_execution(created_at=moment)

    items = follow(operator, "events?limit=2")

    assert len(items) == 16
    assert len({item["id"] for item in items}) == 16


def test_who_wants_only_news_begins_now(operator: Api) -> None:
    make_event("old", created_at=ago(hours=1))
    page = operator.get("events?after=now").json()
    make_event("new", created_at=ahead(seconds=0.1))

    assert page["results"] == []
    assert [item["name"] for item in operator.get(page["next"]).json()["results"]] == ["new"]


@pytest.mark.parametrize("cursor", ["x", "W10", "bm8", "WyJ4Il0", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzEwOjAwfjB-MCJd"])
def test_a_cursor_that_is_none_is_told(operator: Api, cursor: str) -> None:
    assert operator.get(f"events?after={cursor}").status_code == 400


def test_the_feed_costs_the_same_whatever_happens(operator: Api, django_assert_max_num_queries: Any) -> None:
    for _ in range(10):
        make_step(make_execution(Status.COMPLETED))
    # who asks: 5; the time, open transactions, six sources of which four may be large, workflows
    with django_assert_max_num_queries(18):
        operator.get("events")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL tells how old open transactions are")
def test_an_open_transaction_holds_the_horizon_back(settings: Any) -> None:
    """What it wrote at its beginning may be committed much later than anything settles."""
    settings.WORKFLOWS = {"FEED_SETTLE": 0}
    opened, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            make_event("slow", created_at=clock.database_now())
            opened.set()
            go_on.wait(20)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        opened.wait(20)
        make_event("fast")
        first = feeds.feed()
        go_on.set()
        thread.join()
        second = feeds.feed(first.cursor)
    finally:
        go_on.set()

    assert [item.name for item in first.items] == ["fast"]
    assert [item.name for item in second.items] == ["slow"]
    assert Execution.objects.count() == 0
