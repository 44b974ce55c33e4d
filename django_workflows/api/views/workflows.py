"""/workflows"""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.acts import starting
from django_workflows.api.acts import workflows as acts
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe
from django_workflows.api.paging import Paging
from django_workflows.api.requests import idempotency_key
from django_workflows.api.shapes import executions as execution_shapes
from django_workflows.api.shapes import workflows as shapes

TAG = "workflows"


class Workflows(ApiView):
    """The workflows."""

    requires: ClassVar = {"GET": ("view_workflow",)}

    @describe(
        "listWorkflows",
        "List workflows by name",
        tag=TAG,
        answers={200: shapes.WorkflowPage},
        query=[Paging],
        problems=(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return self.page(acts.list_workflows(self.access, request.query_params))


class Workflow(ApiView):
    """One workflow, by its name or id."""

    @describe(
        "getWorkflow",
        "Look at one workflow",
        tag=TAG,
        answers={200: shapes.WorkflowDocument},
        answer=shapes.EXAMPLE | {"definition": None},
        problems=(401, 403, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(acts.get_workflow(self.access, name))

    @describe(
        "changeWorkflow",
        "Switch a workflow on or off",
        tag=TAG,
        answers={200: shapes.WorkflowDocument},
        body=acts.WorkflowChange,
        examples={"Off": {"enabled": False}},
        problems=(400, 401, 403, 404, 413, 415),
    )
    def patch(self, request: Request, name: str) -> Response:
        return Response(acts.change_workflow(self.access, name, request.data))


class Versions(ApiView):
    """The versions of a workflow."""

    @describe(
        "listVersions",
        "List the versions of a workflow, newest first, with the number of executions on each",
        tag=TAG,
        answers={200: shapes.VersionPage},
        query=[Paging],
    )
    def get(self, request: Request, name: str) -> Response:
        return self.page(acts.list_versions(self.access, name, request.query_params))


class Start(ApiView):
    """A new execution."""

    @describe(
        "startWorkflow",
        "Start an execution; 200 when a key says that it exists already",
        tag=TAG,
        answers={201: execution_shapes.ExecutionDocument, 200: execution_shapes.ExecutionDocument},
        body=starting.StartBody,
        examples={
            "Arguments": {"input": {"order_id": 42}},
            "Once, later": {
                "input": {"order_id": 42},
                "key": "order-42",
                "delay": "1 hour",
                "tags": {"tenant": "acme"},
            },
        },
        answer=execution_shapes.EXAMPLE | {"status": "pending", "current_step": "", "input": {"order_id": 42}},
        problems=(400, 401, 403, 404, 409, 413, 415),
        key=True,
    )
    def post(self, request: Request, name: str) -> Response:
        document, is_new = starting.start(self.access, name, request.data, idempotency_key(request))
        return Response(document, status=201 if is_new else 200)
