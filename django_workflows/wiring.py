"""Opens the doors: gives the lower layers what the higher ones do for them. Imported when the models are ready."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from django_workflows import checks as checks  # registered by being imported
from django_workflows import client, conf, inspection, operations, services
from django_workflows.authoring.ports import ports as authoring
from django_workflows.authoring.registry import registry
from django_workflows.codec.redaction import RedactingFilter
from django_workflows.declarative.loader import stored
from django_workflows.engine.events import after_commit
from django_workflows.engine.inline.eager import EagerDriver
from django_workflows.models import ports as models


def open_doors(app: AppConfig) -> None:
    """Called once by `apps.ready()`."""
    authoring.client = client.door
    registry.stored = stored
    models.client = client.door
    models.operations = operations.door
    models.inspection = inspection.door
    after_commit.ports.driver = EagerDriver(services.dispatch)
    logging.getLogger("django_workflows").addFilter(RedactingFilter())
    post_migrate.connect(publish_workflows, sender=app, dispatch_uid="django_workflows.publish")


def publish_workflows(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """After `migrate`, what the code declares is rows. Other databases of the project have no such tables."""
    if using == conf.database():
        services.publish(using, only_missing=False)
