"""/executions"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.actions import executions as acts
from django_workflows.api.actions import verbs
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe
from django_workflows.api.paging import Paging
from django_workflows.api.requests import idempotency_key
from django_workflows.api.serializers import events as event_shapes
from django_workflows.api.serializers import executions as shapes
from django_workflows.api.serializers import history as histories
from django_workflows.models.statuses import OPERATOR_VERBS

TAG = "executions"
BELOW = ("history", "steps", "timeline", "stream", "result", *OPERATOR_VERBS)
REASON = {"With a reason": {"reason": "The supplier asked for it."}, "Without": {}}


class Executions(ApiView):
    """The executions."""

    queried: ClassVar = ("GET",)

    @describe(
        "listExecutions",
        "List executions, newest first",
        tag=TAG,
        answers={200: shapes.ExecutionPage},
        query=[acts.ExecutionQuery],
        answer={"results": [shapes.EXAMPLE], "next": None, "cursor": None},
        problems=(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return self.page(acts.list_executions(self.access, request.query_params))


class Execution(ApiView):
    """One execution."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """What follows another address of an execution is a slip of the pen, and no id."""
        super().initial(request, *args, **kwargs)
        if "/" in kwargs["id"]:
            below = ", ".join(BELOW)
            raise NotFound(_("There is no such address. Those of an execution are: %(below)s.") % {"below": below})

    @describe(
        "getExecution",
        "Look at one execution, and why it waits",
        tag=TAG,
        answers={200: shapes.ExecutionDetail},
        answer=shapes.EXAMPLE | {"input": {"order_id": 42}, "why": "waits for the signal delivered until 31 January"},
        problems=(401, 403, 404),
    )
    def get(self, request: Request, id: str) -> Response:
        return Response(acts.get_execution(self.access, id))


class VerbView(ApiView):
    """One of the operator's verbs."""

    verb: ClassVar[str]

    def apply(self, request: Request, id: str) -> Response:
        return Response(verbs.apply(self.access, self.verb, id, request.data))


def _verb(name: str, summary: str) -> type[VerbView]:
    """The view of a verb; each has an address and a description of its own."""

    @describe(
        f"{name}Execution",
        summary,
        tag=TAG,
        answers={200: shapes.ExecutionDocument},
        body=verbs.VerbBody,
        examples=REASON,
        problems=(400, 401, 403, 404, 409, 413, 415),
    )
    def post(self: VerbView, request: Request, id: str) -> Response:
        return self.apply(request, id)

    return type(f"{name.capitalize()}Execution", (VerbView,), {"verb": name, "post": post, "__doc__": summary})


Pause = _verb("pause", "Park it: running steps finish and are stored, nothing new begins")
Resume = _verb("resume", "Let a paused execution go on")
Cancel = _verb("cancel", "End it for good, and its children")
Retry = _verb("retry", "Go on from the step that failed")


class Signal(ApiView):
    """A message to one execution."""

    @describe(
        "signalExecution",
        "Send a message to one execution; it is kept until the execution asks for it",
        tag=TAG,
        answers={201: event_shapes.SignalDocument},
        body=verbs.SignalBody,
        examples={"A delivery": {"name": "delivered", "data": {"by": "Ada"}}},
        problems=(400, 401, 403, 404, 409, 413, 415),
        key=True,
    )
    def post(self, request: Request, id: str) -> Response:
        return Response(verbs.signal(self.access, id, request.data, idempotency_key(request)), status=201)


class History(ApiView):
    """What happened."""

    queried: ClassVar = ("GET",)

    @describe(
        "getHistory",
        "Everything that happened to an execution, oldest first",
        tag=TAG,
        answers={200: histories.HistoryPage},
        query=[acts.HistoryQuery],
    )
    def get(self, request: Request, id: str) -> Response:
        return self.page(acts.get_history(self.access, id, request.query_params))


class Steps(ApiView):
    """The journal."""

    queried: ClassVar = ("GET",)

    @describe(
        "getSteps",
        "The journal: the outcome of each step, in the order in which they were recorded",
        tag=TAG,
        answers={200: histories.StepPage},
        query=[Paging],
    )
    def get(self, request: Request, id: str) -> Response:
        return self.page(acts.get_steps(self.access, id, request.query_params))


class Timeline(ApiView):
    """Spans for drawing."""

    @describe(
        "getTimeline",
        "From when to when the execution and each of its steps took",
        tag=TAG,
        answers={200: histories.TimelineDocument},
        problems=(401, 403, 404),
    )
    def get(self, request: Request, id: str) -> Response:
        document: dict[str, Any] = acts.get_timeline(self.access, id)
        return Response(histories.TimelineDocument(document).data)
