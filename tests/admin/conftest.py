"""People with few and with many permissions, each with a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

Login = Callable[..., Client]

VIEWS = [f"view_{model}" for model in ("execution", "event", "signal", "stepresult", "worker", "workflow", "trigger")]


@pytest.fixture
def login(db: None) -> Login:
    """The browser of a member of the staff who may look at everything but payloads, and what is named."""

    def make(*permissions: str, name: str = "ada") -> Client:
        user = User.objects.create_user(name, is_staff=True)
        found = Permission.objects.filter(
            content_type__app_label="django_workflows", codename__in=[*VIEWS, *permissions]
        )
        user.user_permissions.add(*found)
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def operator(login: Login) -> Client:
    """May do everything that an operator does."""
    return login(
        "view_payload", "control_execution", "delete_execution", "change_workflow", "change_trigger", name="op"
    )
