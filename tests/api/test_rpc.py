"""JSON-RPC 2.0."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import step
from django_workflows.api.methods import METHODS
from django_workflows.models import Event, Execution, Status
from tests.api.conftest import MANAGER, Api, Login
from tests.factories import make_execution, make_trigger

pytestmark = pytest.mark.usefixtures("greet")

MISSING = "00000000-0000-4000-8000-000000000000"


def rpc(api: Api, method: str, params: Any = None, **more: Any) -> Any:
    body = {"jsonrpc": "2.0", "method": method, "id": 1} | ({} if params is None else {"params": params}) | more
    answer = api.post("rpc", body)
    assert answer.status_code == 200
    return answer.json()


def result(api: Api, method: str, params: Any = None) -> Any:
    found = rpc(api, method, params)
    assert "error" not in found, found
    return found["result"]


def test_executions_are_started_looked_at_and_steered(manager: Api) -> None:
    started = result(manager, "startWorkflow", {"name": "api_greet", "input": {"name": "Ada"}, "key": "k"})
    same = result(manager, "startWorkflow", {"name": "api_greet", "input": {"name": "Ada"}, "key": "k"})
    by_place = result(manager, "startWorkflow", ["api_greet", {"name": "Bob"}])
    id = started["id"]

    assert same["id"] == id != by_place["id"]
    assert result(manager, "getExecution", {"id": id})["input"] == {"name": "Ada"}
    assert result(manager, "pauseExecution", {"id": id, "reason": "wait"}) is True
    assert result(manager, "pauseExecution", [id]) is False
    assert result(manager, "resumeExecution", [id]) is True
    assert result(manager, "cancelExecution", [id]) is True
    assert result(manager, "cancelExecution", [MISSING]) is False
    listed = result(manager, "listExecutions", {"workflow": "api_greet", "limit": 1})
    assert len(listed["results"]) == 1
    assert listed["cursor"]
    assert result(manager, "getHistory", {"id": id})["results"][0]["name"] == "created"


def test_a_failed_execution_is_retried(manager: Api) -> None:
    failed = make_execution(Status.FAILED, workflow="api_greet")

    assert result(manager, "retryExecution", [str(failed.id)])["status"] == "pending"
    assert rpc(manager, "retryExecution", [str(failed.id)])["error"]["code"] == -32009


def test_workflows_triggers_events_and_numbers(manager: Api) -> None:
    @step(name="api_note")
    def note() -> None: ...

    definition = {"name": "api_defined", "steps": [{"id": "note", "action": "api_note"}]}
    assert result(manager, "createWorkflow", {"definition": definition})["version"] == 1
    changed = result(manager, "updateWorkflow", ["api_defined", definition | {"description": "x"}])
    assert changed["version"] == 2
    assert result(manager, "updateWorkflow", {"name": "api_defined", "enabled": False})["enabled"] is False
    assert result(manager, "getWorkflow", ["api_defined"])["definition"]["description"] == "x"
    trigger = result(manager, "registerTrigger", ["api_greet", "event", "order.created"])
    assert trigger["id"] in [row["id"] for row in result(manager, "listTriggers", {})["results"]]
    assert result(manager, "unregisterTrigger", [trigger["id"]]) is True
    assert result(manager, "unregisterTrigger", [trigger["id"]]) is False
    assert result(manager, "deleteWorkflow", ["api_defined"]) is True
    assert result(manager, "deleteWorkflow", ["api_defined"]) is False
    assert result(manager, "deleteWorkflow", ["api_greet"]) is False
    assert result(manager, "sendEvent", ["order.created", {"id": 1}, "e-1"])["event_id"] == "e-1"
    assert "backlogs" in result(manager, "getMetrics")
    assert {"api_greet"} <= {row["name"] for row in result(manager, "listWorkflows", {"limit": 200})["results"]}


@pytest.mark.parametrize("method", ["getWorkflow", "getExecution", "getHistory"])
def test_what_is_missing_is_null(manager: Api, method: str) -> None:
    name = "name" if method == "getWorkflow" else "id"

    assert result(manager, method, {name: MISSING}) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "id": 1, "params": {"a": NaN}}', -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b"{}", -32600),
        (b'{"method": "getMetrics", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": 5, "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "id": {"a": 1}}', -32600),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "id": true}', -32600),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "params": "x", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "method": "getMetrcis", "id": 1}', -32601),
        (b'{"jsonrpc": "2.0", "method": "__class__", "id": 1}', -32601),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "params": {"who": 1}, "id": 1}', -32602),
        (b'{"jsonrpc": "2.0", "method": "getMetrics", "params": [1, 2, 3], "id": 1}', -32602),
        (b'{"jsonrpc": "2.0", "method": "startWorkflow", "id": 1}', -32602),
        (b'{"jsonrpc": "2.0", "method": "startWorkflow", "params": {"name": "nothing"}, "id": 1}', -32004),
    ],
)
def test_errors_have_the_codes_of_the_protocol(manager: Api, body: bytes, code: int) -> None:
    answer = manager.client.post("/api/rpc", body, content_type="application/json")

    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == code
    assert answer.json()["jsonrpc"] == "2.0"


def test_a_wrong_parameter_is_told_by_its_name(manager: Api) -> None:
    error = rpc(manager, "startWorkflow", {"name": "api_greet", "input": {"nmae": "x"}})["error"]

    assert "input.nmae" in [found["field"] for found in error["data"]["errors"]]


def test_a_batch_is_answered_in_its_order_without_the_notifications(manager: Api) -> None:
    batch = [
        {"jsonrpc": "2.0", "method": "sendEvent", "params": ["first"]},
        {"jsonrpc": "2.0", "method": "getMetrics", "id": "a"},
        {"jsonrpc": "2.0", "method": "nothing"},
        {"jsonrpc": "2.0", "method": "nothing", "id": 2},
        5,
    ]
    answer = manager.post("rpc", batch).json()

    assert [one["id"] for one in answer] == ["a", 2, None]
    assert [one.get("error", {}).get("code") for one in answer] == [None, -32601, -32600]
    assert Event.objects.get().name == "first"


def test_notifications_alone_are_answered_with_nothing(manager: Api) -> None:
    answer = manager.post("rpc", {"jsonrpc": "2.0", "method": "sendEvent", "params": ["x"]})

    assert (answer.status_code, answer.content) == (204, b"")
    assert Event.objects.count() == 1


def test_a_batch_has_a_limit(manager: Api, settings: Any) -> None:
    settings.WORKFLOWS = {"API_MAX_BATCH": 2}

    assert (
        manager.post("rpc", [{"jsonrpc": "2.0", "method": "getMetrics", "id": 1}] * 3).json()["error"]["code"] == -32600
    )


def test_a_key_makes_a_call_idempotent(manager: Api) -> None:
    call = {"jsonrpc": "2.0", "method": "startWorkflow", "params": ["api_greet", {"name": "Ada"}], "id": 1}
    for _ in range(2):
        manager.post("rpc", call, Idempotency_Key="k")
        manager.post("rpc", [call, call], Idempotency_Key="b")
    named = call | {"params": {"name": "api_greet", "input": {"name": "Ada"}, "idempotency_key": "k"}}
    manager.post("rpc", named)

    assert Execution.objects.count() == 3


def test_long_keys_of_two_batches_are_two_keys(manager: Api) -> None:
    """Cut from the front, they would be the same: the second batch would get what the first one started."""
    call = {"jsonrpc": "2.0", "method": "startWorkflow", "params": ["api_greet", {"name": "Ada"}], "id": 1}
    for first in "ab":
        for _ in range(2):
            answers = manager.post("rpc", [call, call], Idempotency_Key=first + "x" * 254).json()
            assert ["result" in answer for answer in answers] == [True, True]

    assert Execution.objects.count() == 4


NEEDED = {
    "createWorkflow": "add_workflow",
    "getWorkflow": "view_workflow",
    "updateWorkflow": "change_workflow",
    "deleteWorkflow": "delete_workflow",
    "listWorkflows": "view_workflow",
    "startWorkflow": "start_execution",
    "getExecution": "view_execution",
    "pauseExecution": "control_execution",
    "resumeExecution": "control_execution",
    "cancelExecution": "control_execution",
    "retryExecution": "control_execution",
    "listExecutions": "view_execution",
    "sendEvent": "send_event",
    "registerTrigger": "add_trigger",
    "unregisterTrigger": "delete_trigger",
    "listTriggers": "view_trigger",
    "getHistory": "view_execution",
    "getMetrics": "view_execution",
}


def test_every_method_has_a_permission() -> None:
    assert set(METHODS) == set(NEEDED)


@pytest.mark.parametrize("method", NEEDED)
def test_each_method_needs_its_permission(login: Login, method: str) -> None:
    """Whether or not what it is about exists."""
    api = login(*(set(MANAGER) - {NEEDED[method]}))
    execution, trigger = make_execution(Status.FAILED), make_trigger(workflow="api_greet", config={})
    params: dict[str, Any] = {
        "createWorkflow": {"definition": {"name": "x", "steps": []}},
        "updateWorkflow": {"name": "api_greet", "definition": {}},
        "unregisterTrigger": {"id": str(trigger.id)},
        "registerTrigger": {"workflow": "api_greet", "type": "event", "pattern": "x"},
        "sendEvent": {"name": "x"},
        "startWorkflow": {"name": "api_greet", "input": {"name": "Ada"}},
    }
    by_name = {"name": "api_greet"} if method.endswith("Workflow") else {"id": str(execution.id)}
    default = {} if method.startswith("list") or method == "getMetrics" else by_name

    error = rpc(api, method, params.get(method, default))["error"]

    assert error["code"] == -32003
    assert NEEDED[method] in error["message"]
    assert not Event.objects.exists()


def test_an_error_of_ours_does_not_leak(manager: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("password 4711")

    monkeypatch.setattr("django_workflows.api.actions.metrics.metrics", broken)
    manager.client.raise_request_exception = False

    answer = manager.post("rpc", {"jsonrpc": "2.0", "method": "getMetrics", "id": 1})

    assert answer.json()["error"]["code"] == -32603
    assert "4711" not in answer.content.decode()
