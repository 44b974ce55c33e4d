"""/workflows"""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.actions import definitions, starting
from django_workflows.api.actions import workflows as acts
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe
from django_workflows.api.paging import Paging
from django_workflows.api.requests import idempotency_key
from django_workflows.api.serializers import executions as execution_shapes
from django_workflows.api.serializers import workflows as shapes

TAG = "workflows"


class Workflows(ApiView):
    """The workflows."""

    requires: ClassVar = {"GET": ("view_workflow",), "POST": ("add_workflow",)}
    queried: ClassVar = ("GET",)

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

    @describe(
        "createWorkflow",
        "Create a workflow from a definition",
        tag=TAG,
        answers={201: shapes.WorkflowDocument, 200: shapes.WorkflowDocument},
        body=shapes.DEFINITION,
        examples={"Two steps": shapes.DEFINITION_EXAMPLE},
        problems=(400, 401, 403, 409, 413, 415),
        key=True,
    )
    def post(self, request: Request) -> Response:
        document, is_new = definitions.create(self.access, request.data, idempotency_key(request))
        return Response(document, status=201 if is_new else 200)


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
        "replaceWorkflow",
        "Save another version of a definition; executions keep theirs",
        tag=TAG,
        answers={200: shapes.WorkflowDocument},
        body=shapes.DEFINITION,
        examples={"Two steps": shapes.DEFINITION_EXAMPLE},
        problems=(400, 401, 403, 404, 409, 413, 415),
    )
    def put(self, request: Request, name: str) -> Response:
        return Response(definitions.replace(self.access, name, request.data))

    @describe(
        "changeWorkflow",
        "Switch a workflow on or off, or change members of its definition (null removes one)",
        tag=TAG,
        answers={200: shapes.WorkflowDocument},
        body=shapes.DEFINITION,
        examples={"Off": {"enabled": False}, "Another timeout": {"timeout": "2 days"}},
        problems=(400, 401, 403, 404, 409, 413, 415),
    )
    def patch(self, request: Request, name: str) -> Response:
        return Response(definitions.change(self.access, name, request.data))

    @describe(
        "deleteWorkflow",
        "Remove a workflow that is a definition; its executions stay",
        tag=TAG,
        answers={204: None},
        problems=(401, 403, 404, 409),
    )
    def delete(self, request: Request, name: str) -> Response:
        definitions.remove(self.access, name)
        return Response(status=204)


class Versions(ApiView):
    """The versions of a workflow."""

    queried: ClassVar = ("GET",)

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
