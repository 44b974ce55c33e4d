"""/executions/{id}/stream and /executions/{id}/result: answers that take their time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from django_workflows import clock, codec, conf
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import LAST_EVENT_ID, TEXT, describe
from django_workflows.api.problems import invalid
from django_workflows.api.requests import Strict
from django_workflows.api.serializers.common import error_document
from django_workflows.api.serializers.executions import ResultDocument
from django_workflows.api.streams import closing, slots
from django_workflows.api.streams.admission import admission
from django_workflows.api.streams.following import CHECK, Follower
from django_workflows.api.streams.hub import hub
from django_workflows.api.streams.sending import asend, close_connections, leave_connections, release_connection, send
from django_workflows.client.outcomes import Outcome, look
from django_workflows.client.polling import FIRST_PAUSE, longer, poller
from django_workflows.exceptions import PayloadError
from django_workflows.inspection.timeline import InvalidPosition

AT_ONCE = 1.0  # seconds for which a result is looked for as soon as it may be there, under WSGI
PAYLOADS = ("input", "output", "state", "error")


class Waiting(ApiView):
    """An answer that takes its time. It has a slot before it asks the database anything, or none is left."""

    waits = True
    slot: slots.Slot | None = None
    is_turn = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_async = isinstance(request, ASGIRequest)
        self.slot = slots.take(is_async=is_async)
        is_sent = False
        try:
            with slots.opening(is_async=is_async) as self.is_turn:
                response = super().dispatch(request, *args, **kwargs)
                if is_sent := response.streaming and is_async:
                    close_connections()
            is_sent = response.streaming
        finally:
            if self.slot is not None and not is_sent:
                self.slot.give_back()
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if not self.is_turn:
            raise slots.busy()
        super().initial(request, *args, **kwargs)

    def users_slot(self) -> slots.Slot | None:
        """The slot when it is the user's, who has a share of them."""
        return self.slot if self.slot is not None and self.slot.give_to(self.request.user.pk) else None

    def stream(self, texts: Any, content_type: str, slot: slots.Slot) -> StreamingHttpResponse:
        """The texts as an answer that gives the slot back at its end."""
        response = StreamingHttpResponse(texts, content_type=content_type)
        response._resource_closers.append(slot.give_back)  # type: ignore[attr-defined]  # of Django, for who never begins to read
        return response


class Stream(Waiting):
    """What happens, as it happens."""

    queried: ClassVar = ("GET",)  # it has none, but an EventSource has no other place for a token of the project's
    http_method_names = ["get"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.slot is None:
            raise slots.busy()  # before anybody is looked up
        super().initial(request, *args, **kwargs)

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
        reveal = self.access.reveals(execution)
        may_go_on = admission(self, execution.id, reveal=reveal)
        try:
            follower = Follower(execution.id, after=after, reveal=reveal, may_go_on=may_go_on)
        except InvalidPosition as error:
            raise invalid("Last-Event-ID", str(error)) from None
        if (slot := self.users_slot()) is None:
            raise slots.too_many()
        texts: Any = asend(follower, slot.give_back) if is_asgi(request) else send(follower, slot.give_back)
        response = self.stream(texts, "text/event-stream", slot)
        # a proxy must not hold it back, and GZipMiddleware must not collect it
        response.headers["X-Accel-Buffering"], response.headers["Content-Encoding"] = "no", "identity"
        return response


class ResultQuery(Strict):
    """How long to wait."""

    wait = serializers.FloatField(
        required=False, default=0.0, min_value=0, max_value=3_600, help_text="Seconds; no longer than API_MAX_WAIT."
    )


class Result(Waiting):
    """How it ended, or that it has not."""

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
        if (slot := self.users_slot()) is None:
            return Response(result_document(outcome, reveal=reveal))  # who has no slot may ask again
        may_see = admission(self, execution.id, reveal=reveal)
        if is_asgi(request):
            texts = _wait_async(outcome, wait, may_see, reveal, slot.give_back)
            return self.stream(texts, "application/json", slot)
        return Response(result_document(_wait(outcome, wait, may_see), reveal=reveal))


def is_asgi(request: Request) -> bool:
    """Whether the answer may be sent from an event loop."""
    return isinstance(request._request, ASGIRequest)


def _wait(first: Outcome, seconds: float, may_see: Callable[[], bool]) -> Outcome:
    outcome, begun, pause = first, clock.monotonic(), FIRST_PAUSE
    end = begun + seconds
    while not outcome.is_final and (remaining := end - clock.monotonic()) > 0 and not closing.is_closing():
        if clock.monotonic() - begun > AT_ONCE:  # nobody needs it to the hundredth of a second any more
            release_connection()
            pause = conf.api_stream_poll()
        time.sleep(min(pause, remaining))
        outcome = look(conf.database(), [outcome.id]).get(outcome.id, outcome)
        pause = longer(pause)
    return outcome if clock.monotonic() - begun < CHECK or may_see() else first


async def _wait_async(
    first: Outcome, seconds: float, may_see: Callable[[], bool], reveal: bool, give_back: Callable[[], None]
) -> AsyncIterator[bytes]:
    """The document as the only text of a stream: meanwhile the waiting costs neither thread nor connection."""
    try:
        await leave_connections()
        begun = clock.monotonic()
        outcome = await _outcome_within(first, seconds)
        if clock.monotonic() - begun >= CHECK and not await hub().run(may_see):
            outcome = first
        yield json.dumps(result_document(outcome, reveal=reveal), cls=JSONEncoder).encode()
    finally:
        give_back()


async def _final(id: UUID) -> Outcome | None:
    # asked for within the task: a poller that nobody waits for when it begins is gone
    return await poller(conf.database()).wait(id)


async def _outcome_within(first: Outcome, seconds: float) -> Outcome:
    """The final outcome, or the one at the end of the time, or at that of the server."""
    waiter = asyncio.ensure_future(_final(first.id))
    end = asyncio.ensure_future(closing.event().wait())
    try:
        await asyncio.wait([waiter, end], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if waiter.done():
            return await waiter or first
    finally:
        waiter.cancel()
        end.cancel()
    return await poller(conf.database()).look(first.id) or first


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
