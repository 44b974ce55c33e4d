"""An answer is no larger than it has to be, whatever was sent and whatever is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_workflows.api.streams.following import Follower
from django_workflows.client import start
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Event, Execution, Status
from tests.api.conftest import Api
from tests.factories import (
    ago,
    make_event,
    make_execution,
    make_log,
    make_signal,
    make_step,
    make_trigger,
    make_version,
    make_workflow,
)

pytestmark = pytest.mark.usefixtures("greet")

SMALL = 200_000  # bytes
MANY = {f"unknown_{number}": number for number in range(20_000)}
LONG = "n" * 300_000


def call(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("workflows/api_greet/start", {"input": MANY}),
        ("workflows/api_greet/start", {"input": {LONG: 1}}),
        ("workflows/api_greet/start", {"input": {"name": [LONG]}}),
        ("workflows/api_greet/start", MANY),
        ("workflows/api_greet/start", {LONG: 1}),
        ("workflows/api_greet/start", {"on_conflict": LONG}),
        ("workflows/api_greet/start", {"tags": {LONG: 1}}),
        ("workflows/api_greet/start", {"tags": {"a": LONG}}),
        ("workflows", {"name": "a", "steps": [], **MANY}),
        ("workflows", {"name": LONG, "steps": [{LONG: 1}]}),
        ("workflows", {"name": "a", "steps": [{"id": "x", "action": LONG, "input": {LONG: f"$.{LONG}"}}]}),
        ("workflows", {"name": "a", "inputSchema": {"type": LONG, LONG: 1}, "steps": [{"id": "x", "sleep": LONG}]}),
        ("workflows", {"name": "a", "steps": [{LONG: number} for number in range(3)]}),
        ("events", {"name": LONG}),
        ("events", {"name": "a", **MANY}),
        ("events", [{LONG[:9_000]: 1}] * 100),
        ("triggers", {"workflow": "api_greet", "type": "event", "pattern": "a", "config": MANY}),
        ("triggers", {"workflow": "api_greet", "type": "event", "pattern": "a", "config": {LONG: 1}}),
        ("triggers", {"workflow": "api_greet", "type": "event", "pattern": "a", "config": {"where": {LONG: LONG}}}),
        ("triggers", {"workflow": LONG, "type": LONG, "pattern": LONG}),
        ("rpc", call(LONG, {})),
        ("rpc", call("startWorkflow", {"name": "api_greet", "input": MANY})),
        ("rpc", call("startWorkflow", {"name": LONG})),
        ("rpc", call("cancelExecution", {"id": "a", "reason": LONG})),
        ("rpc", call("getExecution", {"id": "a"} | MANY)),
        ("rpc", call("getMetrics", {}) | MANY),
        ("rpc", call("getMetrics", {}) | {LONG: 1}),
        ("rpc", call("getMetrics", {}) | {"id": LONG}),
        ("rpc", [call("startWorkflow", {"name": "api_greet", "input": {LONG[:9_000]: 1}})] * 100),
    ],
)
def test_a_mistake_is_answered_in_few_words(manager: Api, path: str, body: Any) -> None:
    answer = manager.post(path, body)

    assert answer.status_code == 400 or "error" in answer.content.decode()
    assert len(answer.content) < SMALL


def test_the_first_unknown_arguments_are_named_and_the_others_counted(manager: Api) -> None:
    found = manager.post("workflows/api_greet/start", {"input": {"name": "Ada"} | MANY}).json()["errors"]

    assert found[0]["field"] == "input.unknown_0"
    assert found[-1]["message"] == "And 19,900 errors more."
    assert len(found) == 101


def test_from_python_it_is_no_different() -> None:
    with pytest.raises(InvalidInput) as caught:
        start("api_greet", **MANY)

    assert len(caught.value.errors) == 101
    assert len(str(caught.value)) <= 10_000


BIG = "x" * 10_000
PAGE = {"API_MAX_PAGE_BYTES": 35_000, "API_STREAM_POLL": 0.05, "FEED_SETTLE": 60}


def pages(api: Api, path: str) -> list[dict[str, Any]]:
    """All pages of a list, to its end."""
    found: list[dict[str, Any]] = []
    next: str | None = f"{path}{'&' if '?' in path else '?'}limit=200"
    while next:
        found.append(api.get(next).json())
        next = found[-1]["next"] if found[-1].get("more", True) else None
    return found


def make_large(execution: Execution) -> None:
    for number in range(20):
        make_step(execution, f"step {number}", "failed", output=None, error={"type": "E", "message": BIG})
        make_log(execution, "error", f"log {number}", {"step": "1", "text": BIG}, created_at=ago(seconds=30 - number))


@pytest.mark.parametrize("small", [1_024, 35_000, 10**9])
def test_every_list_comes_in_pages_of_so_many_bytes_and_whole(manager: Api, settings: Any, small: int) -> None:
    settings.WORKFLOWS = PAGE | {"API_MAX_PAGE_BYTES": small}
    execution = make_execution(Status.WAITING)
    make_large(execution)
    for number in range(20):
        make_signal(execution, f"signal {number}", BIG)
        make_trigger(f"a.{number}", workflow="fulfil", config={"where": {"a": BIG}})
        make_execution(Status.FAILED, workflow="failing", error={"type": "E", "message": BIG})
        make_version("large", number + 1, definition={"steps": [], "description": BIG})
    make_workflow("large")
    expected = {
        f"executions/{execution.pk}/steps": 20,
        f"executions/{execution.pk}/history": 20 + 20 + 20 + 22,  # outcomes, log, signals; beginnings and the own ones
        "executions?workflow=failing": 20,
        "executions?workflow=failing&error=xxx": 20,
        "triggers?workflow=fulfil": 20,
        "workflows/large/versions": 20,
    }
    for path, count in expected.items():
        found = pages(manager, path)
        results = [row for page in found for row in page["results"]]
        assert (path, len(results)) == (path, count)
        assert len({json.dumps(row, sort_keys=True) for row in results}) == count
        assert len(found) == 1 or all(len(json.dumps(page)) < small + 30_000 for page in found)
        assert (len(found) == 1) is (small == 10**9)


def test_who_may_not_see_payloads_has_no_smaller_pages_for_them(viewer: Api, settings: Any) -> None:
    settings.WORKFLOWS = PAGE
    execution = make_execution(Status.WAITING)
    for number in range(20):
        make_step(execution, f"step {number}", output=BIG)

    assert len(viewer.get(f"executions/{execution.pk}/steps").json()["results"]) == 20


def test_large_news_are_streamed_piece_by_piece(manager: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WORKFLOWS = PAGE
    execution = make_execution(Status.COMPLETED)
    make_large(execution)
    follower = Follower(execution.pk, after="", reveal=True)
    looks = []
    while not follower.finished:
        looks.append(follower.look())

    told = [news.document["title"] for look in looks for news in look if news.kind == "history"]
    history = [item for page in pages(manager, f"executions/{execution.pk}/history") for item in page["results"]]
    assert sorted(told) == sorted(item["title"] for item in history)
    assert len(looks) > 5
    assert all(len(look) < 12 for look in looks)


@pytest.mark.parametrize("settled", [0, 3_600])
def test_large_events_are_followed_piece_by_piece(manager: Api, settings: Any, settled: int) -> None:
    """Of what has not settled, what the reader has already takes no room from what is to come."""
    settings.WORKFLOWS = PAGE | {"FEED_SETTLE": settled}
    for number in range(20):
        make_event(f"a.{number}", BIG, created_at=ago(seconds=30 - number))
    found = pages(manager, "events?type=event")

    names = [item["name"] for page in found for item in page["results"]]
    assert names == [f"a.{number}" for number in range(20)]
    assert all(len(json.dumps(page)) < 60_000 for page in found)


def test_a_batch_answers_so_many_bytes_and_says_what_it_left_out(manager: Api, settings: Any) -> None:
    settings.WORKFLOWS = PAGE
    execution = make_execution(Status.COMPLETED, output=BIG)
    batch = [call("getExecution", [str(execution.pk)]) | {"id": number} for number in range(10)]
    batch += [{"jsonrpc": "2.0", "method": "sendEvent", "params": ["late"]}]

    answers = manager.post("rpc", batch).json()

    assert [one["id"] for one in answers] == [*range(10), None]
    assert ["result" in one for one in answers] == [True] * 4 + [False] * 7
    assert answers[-1]["error"]["code"] == -32053
    assert "not carried out" in answers[-1]["error"]["message"]
    assert not Event.objects.exists()


def test_a_batch_begins_nothing_after_its_time(manager: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call takes longer than all may."""
    now = [0.0]

    def slow(*args: Any, **kwargs: Any) -> dict[str, Any]:
        now[0] += 6.0
        return {}

    monkeypatch.setattr("django_workflows.api.actions.metrics.get_metrics", slow)
    monkeypatch.setattr("django_workflows.api.rpc.clock.monotonic", lambda: now[0])

    answers = manager.post("rpc", [call("getMetrics", {}) | {"id": number} for number in range(4)]).json()

    assert ["result" in one for one in answers] == [True, True, False, False]
    assert [one["error"]["code"] for one in answers[2:]] == [-32053, -32053]
