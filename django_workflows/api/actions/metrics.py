"""Numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_workflows.api import fields
from django_workflows.api.access import VIEW, Access
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers.metrics import document
from django_workflows.inspection.metrics import metrics
from django_workflows.models import Execution


class MetricsQuery(Strict):
    """Of which workflow; of all without."""

    workflow = fields.Name(required=False)


def get_metrics(access: Access, query: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, rates, percentiles and backlogs."""
    query = checked(MetricsQuery, query)
    access.require(VIEW)
    rows = access.visible(Execution.objects.all())
    return document(metrics(rows, workflow=query.get("workflow", ""), whole=not access.is_scoped))
