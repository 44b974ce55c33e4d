"""People with few and with many permissions, each with a way to talk to the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from django_workflows import Context, workflow
from django_workflows.api.streams import slots
from django_workflows.authoring.definitions import WorkflowDefinition
from tests.factories import make_workflow

VIEWS = tuple(f"view_{model}" for model in ("execution", "event", "workflow", "trigger"))
OPERATOR = (*VIEWS, "view_payload", "start_execution", "control_execution", "send_event")
MADE = tuple(f"{verb}_{model}" for verb in ("add", "change", "delete") for model in ("workflow", "trigger"))
MANAGER = (*OPERATOR, *MADE, "call_step")


class Api:
    """JSON over the test client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer; `body` is sent as JSON, header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {} if body is None else {"data": body, "content_type": "application/json"}
        call = getattr(self.client, method.lower())
        return call(path if path.startswith("/") else f"/api/{path}", headers=named, **content)

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, {} if body is None else body, **headers)


Login = Callable[..., Api]


@pytest.fixture
def login(db: None) -> Login:
    """Somebody with these permissions."""

    def make(*permissions: str, name: str = "ada", superuser: bool = False) -> Api:
        user = User.objects.create_user(name, is_superuser=superuser)
        found = Permission.objects.filter(content_type__app_label="django_workflows", codename__in=permissions)
        assert len(found) == len(set(permissions))
        user.user_permissions.add(*found)
        client = Client()
        client.force_login(user)
        return Api(client)

    return make


@pytest.fixture
def nobody(db: None) -> Api:
    """Not logged in."""
    return Api(Client())


@pytest.fixture
def viewer(login: Login) -> Api:
    """May look at everything but payloads."""
    return login(*VIEWS, name="viewer")


@pytest.fixture
def operator(login: Login) -> Api:
    """May do what is done every day."""
    return login(*OPERATOR, name="operator")


@pytest.fixture
def manager(login: Login) -> Api:
    """May also change workflows and triggers."""
    return login(*MANAGER, name="manager")


@pytest.fixture
def greet(db: None) -> WorkflowDefinition[..., str]:
    """A workflow with typed arguments."""

    @workflow(name="api_greet")
    def api_greet(ctx: Context, name: str, times: int = 1) -> str:
        ctx.wait_for_signal("go")
        return " ".join([f"hello {name}"] * times)

    make_workflow("api_greet")
    return api_greet


@pytest.fixture(autouse=True)
def every_slot_is_given_back() -> Iterator[None]:
    """The test client closes an answer when it is read: a stream that is not would cost the tests after it a slot."""
    yield
    taken = slots._taken.total()
    slots._taken.clear()
    slots._of_users.clear()
    assert not taken, "the answer of a stream was not read"
