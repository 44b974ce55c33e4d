"""Opens the doors: gives the lower layers what the higher ones do for them. Imported when the models are ready."""

from __future__ import annotations

from django_workflows import client
from django_workflows.authoring.doors import doors as authoring
from django_workflows.engine import announcing
from django_workflows.engine.eager import EagerDriver
from django_workflows.models import doors as models


def open_doors() -> None:
    """Called once by `apps.ready()`."""
    authoring.client = client.door
    models.client = client.door
    announcing.doors.driver = EagerDriver()
