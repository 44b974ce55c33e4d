"""What the tests of webhooks share: webhooks as rows, and a sender."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from django_workflows.models import Execution, Trigger
from django_workflows.triggers import registering
from tests.triggers.webhooks.samples import hook_anything
from tests.triggers.webhooks.signing import KEY, SECRET

SECRETS = {"IT": [SECRET], "KEY": KEY, "LOGIN": "ada:lovelace", "EMPTY": ["", ""]}

Hook = Callable[..., Trigger]


@pytest.fixture(autouse=True)
def secrets(settings: Settings) -> None:
    settings.WORKFLOWS = {**getattr(settings, "WORKFLOWS", {}), "WEBHOOK_SECRETS": SECRETS}


@pytest.fixture
def hook(db: None) -> Hook:
    """Registers a webhook: `hook("github", path="repo", secret="IT")`."""

    def register(verify: str, *, path: str = "hook", workflow: Any = hook_anything, **config: Any) -> Trigger:
        if verify != "none":
            config.setdefault("secret", "KEY" if verify == "standard" else "IT")
        return registering.create(workflow.name, "webhook", path, {"verify": verify, **config})

    return register


class Sender:
    """Somebody out there."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    def __call__(
        self,
        body: Any = b"{}",
        headers: dict[str, str] | None = None,
        *,
        path: str = "hook",
        type: str = "application/json",
        method: str = "POST",
    ) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        address = reverse("django_workflows:webhook", args=[path])
        return self.client.generic(method, address, data, content_type=type, headers=headers or {})


@pytest.fixture
def deliver() -> Sender:
    return Sender()


def started() -> int:
    return Execution.objects.count()


def received() -> dict[str, Any]:
    """What the only execution got."""
    event: dict[str, Any] = Execution.objects.get().input["event"]
    return event
