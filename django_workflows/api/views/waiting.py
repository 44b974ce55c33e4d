"""/executions/{id}/stream and /executions/{id}/result: answers that take their time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from django_workflows import clock, codec, conf
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import LAST_EVENT_ID, TEXT, describe
from django_workflows.api.problems import invalid
from django_workflows.api.requests import Strict
from django_workflows.api.shapes.common import error_document
from django_workflows.api.shapes.executions import ResultDocument
from django_workflows.api.streams import slots
from django_workflows.api.streams.following import Follower
from django_workflows.api.streams.sending import asend, leave_connections, send
from django_workflows.client.outcomes import Outcome, look
from django_workflows.client.polling import FIRST_PAUSE, longer, poller
from django_workflows.exceptions import PayloadError
from django_workflows.inspection.timeline import InvalidPosition

PAYLOADS = ("input", "output", "state", "error")


class Stream(ApiView):
    """What happens, as it happens."""

    waits = True
    queried: ClassVar = ("GET",)  # it has none, but an EventSource has no other place for a token of the project's
    http_method_names = ["get"]

    @describe(
        "streamExecution",
        "Server-sent events of what happens to an execution, until it has finished",
        tag="executions",
        answers={(200, "text/event-stream"): TEXT, 204: None},
        query=[LAST_EVENT_ID],
    )
    def get(self, request: Request, id: str) -> Response | StreamingHttpResponse:
        """Who comes back after the end gets 204, which tells an EventSource to stay away."""
        execution = self.access.execution(id, without=PAYLOADS)
        after = request.headers.get("Last-Event-ID", "")
        if after == "end":
            return Response(status=204)
        try:
            follower = Follower(execution.id, after=after, reveal=self.access.reveals(execution))
        except InvalidPosition as error:
            raise invalid("Last-Event-ID", str(error)) from None
        is_async = is_asgi(request)
        if (give_back := slots.take(is_async=is_async)) is None:
            raise slots.busy()
        texts: Any = asend(follower, give_back) if is_async else send(follower, give_back)
        response = StreamingHttpResponse(texts, content_type="text/event-stream")
        response._resource_closers.append(give_back)  # type: ignore[attr-defined]  # of Django, for who never begins to read
        # a proxy must not hold it back, and GZipMiddleware must not collect it
        response.headers["X-Accel-Buffering"], response.headers["Content-Encoding"] = "no", "identity"
        return response


class ResultQuery(Strict):
    """How long to wait."""

    wait = serializers.FloatField(
        required=False, default=0.0, min_value=0, max_value=3_600, help_text="Seconds; no longer than API_MAX_WAIT."
    )


class Result(ApiView):
    """How it ended, or that it has not."""

    waits = True
    queried: ClassVar = ("GET",)

    @describe(
        "getResult",
        "The result of an execution; with `wait`, as soon as there is one",
        tag="executions",
        answers={200: ResultDocument},
        query=[ResultQuery],
        answer={"id": "0b54a4b5-6a8c-4d4e-9a39-6d8a3a6f6c11", "workflow": "fulfil", "status": "completed"}
        | {"finished": True, "output": {"charge": "ch-1"}, "error": None, "reason": ""},
    )
    def get(self, request: Request, id: str) -> Response | StreamingHttpResponse:
        wait = min(self.query(ResultQuery)["wait"], conf.api_max_wait())
        execution = self.access.execution(id, without=PAYLOADS)
        reveal = self.access.reveals(execution)
        outcome = look(conf.database(), [execution.id])[execution.id]
        if outcome.is_final or not wait:
            return Response(result_document(outcome, reveal=reveal))
        is_async = is_asgi(request)
        if (give_back := slots.take(is_async=is_async)) is None:
            return Response(result_document(outcome, reveal=reveal))  # who has no slot may ask again
        if is_async:
            texts = _wait_async(outcome, wait, reveal, give_back)
            response = StreamingHttpResponse(texts, content_type="application/json")
            response._resource_closers.append(give_back)  # type: ignore[attr-defined]  # as above
            return response
        try:
            return Response(result_document(_wait(outcome, wait), reveal=reveal))
        finally:
            give_back()


def is_asgi(request: Request) -> bool:
    """Whether the answer may be sent from an event loop."""
    return isinstance(request._request, ASGIRequest)


def _wait(outcome: Outcome, seconds: float) -> Outcome:
    end, pause = clock.monotonic() + seconds, FIRST_PAUSE
    while not outcome.is_final and (remaining := end - clock.monotonic()) > 0:
        time.sleep(min(pause, remaining))
        outcome = look(conf.database(), [outcome.id]).get(outcome.id, outcome)
        pause = longer(pause)
    return outcome


async def _wait_async(
    outcome: Outcome, seconds: float, reveal: bool, give_back: Callable[[], None]
) -> AsyncIterator[bytes]:
    """The document as the only text of a stream: meanwhile the waiting costs neither thread nor connection."""
    try:
        await leave_connections()
        try:
            async with asyncio.timeout(seconds):
                outcome = await poller(conf.database()).wait(outcome.id) or outcome
        except TimeoutError:
            outcome = await poller(conf.database()).look(outcome.id) or outcome
        yield json.dumps(result_document(outcome, reveal=reveal), cls=JSONEncoder).encode()
    finally:
        give_back()


def result_document(outcome: Outcome, *, reveal: bool) -> dict[str, Any]:
    """How it ended, as far as the user may see it."""
    document: dict[str, Any] = {
        "id": str(outcome.id),
        "workflow": outcome.workflow,
        "status": outcome.status,
        "finished": outcome.is_final,
        "error": error_document(_decoded(outcome.error), reveal=reveal),
    }
    if not reveal:
        return document
    output, reason = codec.redact(_decoded(outcome.output)), codec.redact_text(outcome.reason)
    return document | {"output": output, "reason": reason}


def _decoded(text: str | None) -> Any:
    """A damaged text is shown as it is."""
    try:
        return None if text is None else codec.decode(text)
    except PayloadError:
        return text
