"""/rpc"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api import fields, rpc
from django_workflows.api.base import ApiView
from django_workflows.api.methods import METHODS
from django_workflows.api.openapi import describe, either
from django_workflows.api.requests import idempotency_key
from django_workflows.api.serializers.common import Shape


class CallBody(Shape):
    """A request of JSON-RPC 2.0; without an id it is a notification."""

    jsonrpc = serializers.ChoiceField(choices=["2.0"])
    method = serializers.ChoiceField(choices=list(METHODS))
    params = fields.AnyJson(required=False, help_text="An object, or a list in the order of the documentation.")
    id = fields.AnyJson(required=False, help_text="A text or a number.")


class AnswerDocument(Shape):
    """The result, or the error."""

    jsonrpc = serializers.CharField()
    result = fields.AnyJson(required=False)
    error = fields.JsonObject(required=False)
    id = fields.AnyJson()


class Rpc(ApiView):
    """JSON-RPC 2.0."""

    @describe(
        "rpc",
        "Call one method or a batch of them by JSON-RPC 2.0; 204 for notifications",
        tag="rpc",
        answers={200: either("RpcAnswer", AnswerDocument, AnswerDocument(many=True)), 204: None},
        body=either("RpcRequest", CallBody, CallBody(many=True)),
        examples={
            "Start": {"jsonrpc": "2.0", "method": "startWorkflow", "params": {"name": "fulfil", "input": {}}, "id": 1},
            "A batch": [{"jsonrpc": "2.0", "method": "getMetrics", "id": 1}],
        },
        problems=(400, 401, 403, 413, 415),
        key=True,
    )
    def post(self, request: Request) -> Response:
        key = idempotency_key(request)
        try:
            body: Any = request.data
        except ParseError as error:
            return Response(rpc.failure(None, rpc.RpcError(rpc.PARSE_ERROR, str(error.detail))))
        answer = rpc.answer(rpc.Caller(access=self.access, key=key), body)
        return Response(status=204) if answer is None else Response(answer)
