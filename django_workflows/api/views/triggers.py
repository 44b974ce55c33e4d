"""/triggers"""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.actions import triggers as acts
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe
from django_workflows.api.requests import idempotency_key
from django_workflows.api.serializers import executions as execution_shapes
from django_workflows.api.serializers import triggers as shapes

TAG = "triggers"
NEW = {"workflow": "fulfil", "type": "event", "pattern": "order.created"}


class Triggers(ApiView):
    """The triggers."""

    requires: ClassVar = {"GET": ("view_trigger",), "POST": ("add_trigger",)}
    queried: ClassVar = ("GET",)

    @describe(
        "listTriggers",
        "List triggers by workflow",
        tag=TAG,
        answers={200: shapes.TriggerPage},
        query=[acts.TriggerQuery],
        answer={"results": [shapes.EXAMPLE], "next": None, "cursor": None},
        problems=(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return self.page(acts.list_triggers(self.access, request.query_params))

    @describe(
        "registerTrigger",
        "Register a trigger",
        tag=TAG,
        answers={201: shapes.TriggerDocument, 200: shapes.TriggerDocument},
        body=acts.TriggerBody,
        examples={
            "An event": NEW | {"config": {"where": {"country": "DE"}}},
            "A schedule": NEW
            | {"type": "schedule", "pattern": "every weekday at 9am", "config": {"tz": "Europe/Berlin"}},
        },
        answer=shapes.EXAMPLE,
        problems=(400, 401, 403, 413, 415),
        key=True,
    )
    def post(self, request: Request) -> Response:
        document, is_new = acts.register(self.access, request.data, idempotency_key(request))
        return Response(document, status=201 if is_new else 200)


class Trigger(ApiView):
    """One trigger."""

    @describe(
        "getTrigger",
        "Look at one trigger",
        tag=TAG,
        answers={200: shapes.TriggerDocument},
        answer=shapes.EXAMPLE,
        problems=(401, 403, 404),
    )
    def get(self, request: Request, id: str) -> Response:
        return Response(acts.get_trigger(self.access, id))

    @describe(
        "changeTrigger",
        "Change, enable or disable a trigger",
        tag=TAG,
        answers={200: shapes.TriggerDocument},
        body=acts.TriggerChange,
        examples={"Disable": {"enabled": False}, "Another filter": {"config": {"where": {"country": "FR"}}}},
        problems=(400, 401, 403, 404, 409, 413, 415),
    )
    def patch(self, request: Request, id: str) -> Response:
        return Response(acts.change(self.access, id, request.data))

    @describe(
        "unregisterTrigger",
        "Remove a trigger; what it started stays",
        tag=TAG,
        answers={204: None},
        problems=(401, 403, 404, 409),
    )
    def delete(self, request: Request, id: str) -> Response:
        acts.remove(self.access, id)
        return Response(status=204)


class Fire(ApiView):
    """A trial of a trigger."""

    @describe(
        "fireTrigger",
        "Start what a trigger starts, now",
        tag=TAG,
        answers={201: execution_shapes.ExecutionDocument, 200: execution_shapes.ExecutionDocument},
        body=acts.FireBody,
        examples={"As if an event had come": {"data": {"order_id": 42}}},
        problems=(400, 401, 403, 404, 409, 413, 415),
        key=True,
    )
    def post(self, request: Request, id: str) -> Response:
        document, is_new = acts.fire(self.access, id, request.data, idempotency_key(request))
        return Response(document, status=201 if is_new else 200)
