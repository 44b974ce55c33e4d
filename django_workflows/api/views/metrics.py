"""/metrics"""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.api.access import VIEW
from django_workflows.api.actions import metrics as acts
from django_workflows.api.base import ApiView
from django_workflows.api.openapi import describe
from django_workflows.api.serializers.metrics import MetricsDocument


class Metrics(ApiView):
    """Numbers for dashboards."""

    requires: ClassVar = {"GET": (VIEW,)}
    queried: ClassVar = ("GET",)

    @describe(
        "getMetrics",
        "Counts by status, rates, latency percentiles and backlogs",
        tag="metrics",
        answers={200: MetricsDocument},
        query=[acts.MetricsQuery],
        problems=(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return Response(MetricsDocument(acts.get_metrics(self.access, request.query_params)).data)
