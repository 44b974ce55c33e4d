"""What the description says of the addresses that have no login: for them a secret stands. They are no REST views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_workflows.api.openapi import PROBLEM_TYPE, PROBLEMS

OUTSIDE = (("webhooks/{path}", "Receive a delivery"), ("tokens/{secret}", "Answer a one-time link"))

_MORE = {
    401: "The signature, or what stands for it, is wrong.",
    404: "There is no such address.",
    405: "Only POST is taken here.",
    410: "It was answered already, or its time is over.",
    415: "The body is of a type that cannot be read.",
}


def paths(mount: str) -> dict[str, Any]:
    """The path items of the description, below the place where the API is mounted."""
    started = {"execution": "0b54a4b5-6a8c-4d4e-9a39-6d8a3a6f6c11", "delivery": "72d3162e", "duplicate": False}
    webhook = _operation(
        "receiveWebhook",
        "Receive a delivery; what it must be signed with is said where the webhook is declared",
        "webhooks",
        {202: "It starts an execution.", 200: "It was delivered before, or is not wanted; nothing starts."},
        {"action": "opened", "issue": {"number": 7}},
        started,
        (400, 401, 404, 405, 413, 415, 503),
    )
    token = _operation(
        "answerToken",
        "Answer a one-time link: the body is what the execution that waits for it gets",
        "tokens",
        {202: "The answer is stored."},
        {"approved": True},
        {"status": "accepted"},
        (400, 404, 405, 410, 413, 503),
    )
    return {
        f"{mount}webhooks/{{path}}": {"post": {**webhook, "parameters": [_parameter("path")]}},
        f"{mount}tokens/{{secret}}": {"post": {**token, "parameters": [_parameter("secret")]}},
    }


def _operation(
    id: str,
    summary: str,
    tag: str,
    good: dict[int, str],
    body: dict[str, Any],
    answer: dict[str, Any],
    problems: Sequence[int],
) -> dict[str, Any]:
    taken = {"application/json": {"schema": {}, "examples": {"Body": {"value": body}}}}
    content = {"application/json": {"schema": {"type": "object"}, "examples": {"Answer": {"value": answer}}}}
    problem = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses = {str(code): {"description": text, "content": content} for code, text in good.items()}
    for code in problems:
        responses[str(code)] = {"description": _MORE.get(code) or PROBLEMS[code], "content": problem}
    return {
        "operationId": id,
        "summary": summary,
        "tags": [tag],
        "security": [],
        "requestBody": {"content": taken},
        "responses": responses,
    }


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
