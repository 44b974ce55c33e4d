"""An answer is no larger than it has to be, whatever was sent and whatever is stored."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.client import start
from django_workflows.exceptions import InvalidInput
from tests.api.conftest import Api

pytestmark = pytest.mark.usefixtures("greet")

SMALL = 200_000  # bytes
MANY = {f"unknown_{number}": number for number in range(100_000)}
LONG = "n" * 1_000_000


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
    assert found[-1]["message"] == "And 99,900 errors more."
    assert len(found) == 101


def test_from_python_it_is_no_different() -> None:
    with pytest.raises(InvalidInput) as caught:
        start("api_greet", **MANY)

    assert len(caught.value.errors) == 101
    assert len(str(caught.value)) <= 10_000
