"""/events"""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.access import SEND_EVENT, VIEW
from django_workflows.api.actions import events as acts
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe, either
from django_workflows.api.requests import idempotency_key
from django_workflows.api.serializers import events as shapes

TAG = "events"


class Events(ApiView):
    """What is published, and the feed of everything."""

    requires: ClassVar = {"GET": ("view_event", VIEW), "POST": (SEND_EVENT,)}
    queried: ClassVar = ("GET",)

    @describe(
        "followEvents",
        "Follow everything that happens, and go on where you stopped",
        tag=TAG,
        answers={200: shapes.FeedPageDocument},
        query=[acts.FeedQuery],
        problems=(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return Response(acts.with_next(acts.follow(self.access, request.query_params), request))

    @describe(
        "sendEvent",
        "Publish an event, or all of a batch; 200 when its id says that it was published before",
        tag=TAG,
        answers={
            201: either("PublishedEvents", shapes.EventDocument, shapes.EventsDocument),
            200: shapes.EventDocument,
        },
        body=either("EventOrBatch", acts.EventBody, acts.EventBody(many=True)),
        examples={
            "One": {"name": "order.created", "data": {"order_id": 42}, "id": "order-42-created"},
            "A batch": [{"name": "order.created", "data": {"order_id": 42}}, {"name": "order.paid"}],
        },
        answer=shapes.EXAMPLE,
        problems=(400, 401, 403, 413, 415),
        key=True,
    )
    def post(self, request: Request) -> Response:
        key = idempotency_key(request)
        if isinstance(request.data, list):
            return Response({"events": acts.publish_many(self.access, request.data, key)}, status=201)
        document, is_new = acts.publish(self.access, request.data, key)
        return Response(document, status=201 if is_new else 200)


class Redrive(ApiView):
    """An event that was set aside."""

    @describe(
        "redriveEvent",
        "Have an event dispatched again that was set aside because its dispatch failed",
        tag=TAG,
        answers={200: shapes.RedrivenDocument},
        body=acts.RedriveBody,
        examples={"Mended": {"reason": "The definition is mended."}},
        answer={**shapes.EXAMPLE, "redriven": True},
        problems=(400, 401, 403, 404, 413, 415),
    )
    def post(self, request: Request, id: str) -> Response:
        return Response(acts.redrive(self.access, id, request.data))
