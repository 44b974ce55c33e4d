"""Streams and results that are waited for, under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.test import AsyncClient, Client

from django_workflows.api.streams import slots
from django_workflows.models import Execution, Status, StepKind
from tests.api.conftest import Api, Login
from tests.factories import ERROR, ago, make_execution, make_log, make_step, make_wait

T = TypeVar("T")

FAST = {"API_STREAM_POLL": 0.05, "API_STREAM_SECONDS": 20, "API_MAX_WAIT": 20}


@pytest.fixture(autouse=True)
def fast(settings: Any) -> None:
    settings.WORKFLOWS = FAST


def parse(texts: bytes) -> list[dict[str, Any]]:
    """Server-sent events as an EventSource would see them."""
    events = []
    for block in texts.decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines()]
        event = {name: value for name, _, value in lines if name in {"id", "event", "data"}}
        if event:
            events.append(event | {"data": json.loads(event["data"])})
    return events


def read(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    return parse(b"".join(answer.streaming_content))


def make_history() -> Execution:
    execution = make_execution(Status.COMPLETED, output={"card": "4711"})
    make_step(execution, "charge")
    make_log(execution, "error", "charge", {"step": "1", "attempt": 1, "error": ERROR})
    return execution


def test_a_stream_tells_what_happened_until_the_end(operator: Api) -> None:
    execution = make_history()

    answer = operator.get(f"executions/{execution.id}/stream")
    events = read(answer)

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert [event["event"] for event in events] == ["history"] * 6 + ["execution", "end"]
    history = operator.get(f"executions/{execution.id}/history").json()["results"]
    assert [event["data"]["title"] for event in events[:6]] == [item["title"] for item in history]
    assert events[-1]["data"]["status"] == "completed"


def test_a_stream_goes_on_where_the_reader_stopped(operator: Api) -> None:
    execution = make_history()
    path = f"executions/{execution.id}/stream"
    events = read(operator.get(path))

    rest = read(operator.get(path, Last_Event_ID=events[2]["id"]))

    assert rest == events[3:]
    assert operator.get(path, Last_Event_ID="end").status_code == 204


def test_a_stream_hides_payloads(viewer: Api) -> None:
    execution = make_history()

    assert "4711" not in str(read(viewer.get(f"executions/{execution.id}/stream")))


@pytest.mark.parametrize("position", ["x", "a~b~c", "9999-12-31T23:59:59-23:00~0~" + "0" * 32])
def test_a_position_that_is_none_is_told(operator: Api, position: str) -> None:
    execution = make_history()

    assert operator.get(f"executions/{execution.id}/stream", Last_Event_ID=position).status_code == 400


def test_what_happens_meanwhile_is_told(operator: Api) -> None:
    execution = make_execution(Status.WAITING, created_at=ago(minutes=1))
    answer = operator.get(f"executions/{execution.id}/stream")
    texts = iter(answer.streaming_content)
    told = b""
    while b"event: execution" not in told:
        told += next(texts)
    make_step(execution, "late")
    execution.cancel("enough")

    rest = parse(b"".join(texts))

    assert "Step late succeeded" in [event["data"].get("title") for event in rest]
    assert rest[-1]["event"] == "end"


def test_a_stream_ends_after_its_time_and_its_reader_comes_back(operator: Api, settings: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_STREAM_SECONDS": 1}
    execution = make_execution(Status.WAITING)

    answer = operator.get(f"executions/{execution.id}/stream")
    texts = b"".join(answer.streaming_content)

    assert texts.startswith(b"retry: ")
    assert b"event: end" not in texts


def test_only_so_many_streams_are_open_at_once(operator: Api, settings: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_MAX_SYNC_STREAMS": 1}
    execution = make_history()
    path = f"executions/{execution.id}/stream"
    first = operator.get(path)

    refused = operator.get(path)
    read(first)

    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert len(read(operator.get(path))) == 8
    assert len(read(operator.get(path))) == 8
    assert not slots._taken[False]


def test_each_user_has_a_share_of_the_streams(operator: Api, viewer: Api, settings: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_MAX_SYNC_USER_STREAMS": 1}
    path = f"executions/{make_history().id}/stream"
    first = operator.get(path)

    refused, of_another = operator.get(path), viewer.get(path)

    assert (refused.status_code, of_another.status_code) == (503, 200)
    assert "You have too many" in refused.json()["detail"]
    assert read(first)
    assert read(of_another)
    assert read(operator.get(path))
    assert not slots._of_users
    assert not slots._taken[False]


def test_who_has_had_his_share_of_results_is_answered_at_once(operator: Api, settings: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_MAX_SYNC_USER_STREAMS": 0}
    execution = make_execution(Status.WAITING)

    assert operator.get(f"executions/{execution.id}/result?wait=20").json()["finished"] is False
    assert not slots._taken[False]


def test_who_is_turned_away_costs_no_query(operator: Api, settings: Any, django_assert_num_queries: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_MAX_SYNC_STREAMS": 0}
    path = f"executions/{make_execution(Status.WAITING).id}/stream"

    with django_assert_num_queries(0):
        assert operator.get(path).status_code == 503


@pytest.mark.parametrize("path", ["executions/{}/stream", "executions/{}/result?wait=1", "executions/{}/result?wait=x"])
def test_an_error_gives_the_slot_back(operator: Api, nobody: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = path.format("00000000-0000-4000-8000-000000000000")
    for api in (operator, nobody):
        assert api.get(missing).status_code in {400, 401, 403, 404}
    monkeypatch.setattr("django_workflows.api.access.Access.execution", lambda *args, **kwargs: 1 / 0)
    operator.client.raise_request_exception = False
    assert operator.get(missing).status_code in {400, 500}

    assert not slots._taken[False]
    assert not slots._of_users


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def log_out(user: User) -> None:
    Session.objects.all().delete()


def forbid(user: User) -> None:
    user.user_permissions.clear()


def hide_payloads(user: User) -> None:
    user.user_permissions.remove(Permission.objects.get(codename="view_payload"))


def delete(user: User) -> None:
    user.delete()


@pytest.mark.parametrize("what", [deactivate, log_out, forbid, hide_payloads, delete])
def test_a_stream_ends_when_its_reader_would_not_be_let_in_again(
    operator: Api, monkeypatch: pytest.MonkeyPatch, what: Callable[[User], None]
) -> None:
    monkeypatch.setattr("django_workflows.api.streams.following.CHECK", 0)
    execution = make_execution(Status.WAITING, created_at=ago(minutes=1))
    texts = iter(operator.get(f"executions/{execution.id}/stream").streaming_content)
    told = b""
    while b"event: execution" not in told:
        told += next(texts)
    what(User.objects.get())
    make_step(execution, "secret")

    rest = b"".join(texts)

    assert b"secret" not in rest
    assert b"event: end" not in rest
    assert not slots._taken[False]


def test_who_logs_in_by_a_header_is_judged_by_it_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_workflows.api.streams.following.CHECK", 0)
    user = User.objects.create_superuser("root", password="secret")
    credentials = "Basic " + base64.b64encode(b"root:secret").decode()
    execution = make_execution(Status.WAITING)
    path = f"/api/executions/{execution.id}/stream"
    answer: Any = Client().get(path, headers={"authorization": credentials})
    texts = iter(answer.streaming_content)
    while b"event: execution" not in next(texts):
        pass
    user.set_password("another")
    user.save()

    assert b"event" not in b"".join(texts)


def test_who_stays_what_he_is_goes_on(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_workflows.api.streams.following.CHECK", 0)

    assert read(operator.get(f"executions/{make_history().id}/stream"))[-1]["event"] == "end"


def test_a_result_that_came_later_is_not_told_to_who_may_not_see_it_any_more(
    operator: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_workflows.api.views.waiting.CHECK", 0)
    execution = make_execution(Status.WAITING)

    def finish(seconds: float) -> None:
        Execution.objects.filter(pk=execution.pk).update(status="completed", output={"card": "4711"})
        User.objects.update(is_active=False)

    monkeypatch.setattr("django_workflows.api.views.waiting.time.sleep", finish)

    document = operator.get(f"executions/{execution.id}/result?wait=20").json()

    assert (document["status"], document["output"]) == ("waiting", None)


def test_a_stream_holds_no_connection_while_it_sleeps(operator: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[bool] = []
    execution = make_execution(Status.WAITING)
    sending = "django_workflows.api.streams.sending"
    monkeypatch.setattr(f"{sending}.release_connection", lambda: released.append(True))
    monkeypatch.setattr(f"{sending}.time.sleep", lambda seconds: execution.cancel("enough"))

    assert read(operator.get(f"executions/{execution.id}/stream"))[-1]["event"] == "end"
    assert released == [True]


def test_a_deleted_execution_ends_its_stream(operator: Api) -> None:
    execution = make_execution(Status.WAITING)
    answer = operator.get(f"executions/{execution.id}/stream")
    Execution.objects.all().delete()

    assert parse(b"".join(answer.streaming_content)) == []


# results


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.COMPLETED, {"finished": True, "output": {"charge": "ch-1"}, "error": None, "reason": ""}),
        (Status.CANCELLED, {"finished": True, "output": None, "error": None, "reason": "ordered twice"}),
        (Status.FAILED, {"finished": True, "output": None, "error": ERROR, "reason": ""}),
        (Status.WAITING, {"finished": False, "output": None, "error": None, "reason": ""}),
    ],
)
def test_a_result_says_how_it_ended(operator: Api, viewer: Api, status: str, expected: dict[str, Any]) -> None:
    execution = make_execution(status)

    document = operator.get(f"executions/{execution.id}/result").json()
    hidden = viewer.get(f"executions/{execution.id}/result").json()

    assert document == {"id": str(execution.id), "workflow": "fulfil", "status": status, **expected}
    assert not {"output", "reason"} & hidden.keys()
    assert hidden["error"] == ({"type": "ProviderError"} if status == Status.FAILED else None)


def test_a_result_that_does_not_come_is_answered_after_the_wait(operator: Api) -> None:
    execution = make_execution(Status.WAITING)

    assert operator.get(f"executions/{execution.id}/result?wait=0.05").json()["finished"] is False


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf", "1e9"])
def test_a_wait_that_cannot_be_is_told(operator: Api, wait: str) -> None:
    execution = make_execution(Status.WAITING)

    assert operator.get(f"executions/{execution.id}/result?wait={wait}").status_code == 400


def test_who_has_no_slot_is_answered_at_once(operator: Api, settings: Any) -> None:
    settings.WORKFLOWS = FAST | {"API_MAX_SYNC_STREAMS": 0}
    execution = make_execution(Status.WAITING)

    assert operator.get(f"executions/{execution.id}/result?wait=20").json()["finished"] is False


@pytest.mark.django_db(transaction=True)
def test_a_result_is_answered_as_soon_as_it_is_there(login: Login) -> None:
    operator = login("view_execution", "view_payload")
    execution = make_execution(Status.WAITING)

    def finish() -> None:
        Execution.objects.filter(pk=execution.pk).update(status="completed", output={"done": 1})
        connection.close()

    timer = threading.Timer(0.1, finish)
    timer.start()
    document = operator.get(f"executions/{execution.id}/result?wait=20").json()
    timer.join()

    assert (document["finished"], document["output"]) == (True, {"done": 1})


# under ASGI


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_superuser("ada")


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """On an event loop of its own; the thread for sync code leaves no connection to the test's database behind."""

    async def tidily() -> T:
        try:
            return await scenario
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 20)
            await sync_to_async(connections.close_all)()

    return asyncio.run(tidily())


async def client_of(user: User) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(user)
    return client


async def collect(texts: AsyncIterator[bytes], into: list[bytes]) -> list[dict[str, Any]]:
    async for text in texts:
        into.append(text)
    return parse(b"".join(into))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_many_streams_under_asgi_share_one_thread(ada: User) -> None:
    """EXE-13"""
    execution = make_execution(Status.WAITING)
    make_wait(execution, StepKind.SIGNAL, "go")

    async def scenario() -> tuple[list[list[dict[str, Any]]], int]:
        client = await client_of(ada)
        answers: list[Any] = [await client.get(f"/api/executions/{execution.id}/stream") for _ in range(10)]
        before = threading.active_count()
        told: list[list[bytes]] = [[] for _ in answers]
        readers = [
            asyncio.create_task(collect(answer.streaming_content, into))
            for answer, into in zip(answers, told, strict=True)
        ]
        await until(lambda: all(b"event: execution" in b"".join(into) for into in told))
        more = threading.active_count() - before
        await sync_to_async(execution.cancel)("enough")
        return await asyncio.wait_for(asyncio.gather(*readers), 20), more

    streams, more = run(scenario())

    assert more <= 2
    assert all(stream[-1]["event"] == "end" for stream in streams)
    assert all(stream == streams[0] for stream in streams)
    assert not slots._taken[True]


def test_results_under_asgi_are_waited_for_without_threads(ada: User) -> None:
    """EXE-13"""
    execution = make_execution(Status.WAITING)

    async def one(client: AsyncClient) -> dict[str, Any]:
        answer: Any = await client.get(f"/api/executions/{execution.id}/result?wait=20")
        text = b"".join([text async for text in answer.streaming_content])
        found: dict[str, Any] = json.loads(text)
        return found

    async def scenario() -> list[dict[str, Any]]:
        client = await client_of(ada)
        waiting = [asyncio.create_task(one(client)) for _ in range(10)]
        await until(lambda: slots._taken[True] == 10)
        await sync_to_async(execution.cancel)("enough")
        return await asyncio.wait_for(asyncio.gather(*waiting), 20)

    assert {document["status"] for document in run(scenario())} == {"cancelled"}
    assert not slots._taken[True]


def test_who_goes_away_gives_the_slot_back(ada: User) -> None:
    execution = make_execution(Status.WAITING)

    async def scenario() -> None:
        client = await client_of(ada)
        answer: Any = await client.get(f"/api/executions/{execution.id}/stream")
        told: list[bytes] = []
        reader = asyncio.create_task(collect(answer.streaming_content, told))
        await until(lambda: bool(told))
        assert slots._taken[True] == 1
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    run(scenario())

    assert not slots._taken[True]
