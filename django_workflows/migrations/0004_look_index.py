"""The index by which CockroachDB looks for work; it reads nothing that the look does not ask for."""

from __future__ import annotations

from django.db import migrations
from django.db.models import Q

from django_workflows.models.fields import CockroachIndex


class Migration(migrations.Migration):
    atomic = False  # CockroachDB fills an index beside writes, in a statement of its own

    dependencies = (("django_workflows", "0003_made_by_and_rights"),)

    operations = (
        migrations.AddIndex(
            model_name="execution",
            index=CockroachIndex(
                fields=("queue", "priority", "wake_at"),
                name="workflows_execution_look",
                condition=Q(wake_at__isnull=False, requested="", status__in=("pending", "waiting", "running")),
            ),
        ),
    )
