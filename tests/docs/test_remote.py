"""The Python of the page on the client for other services, against a real server."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from django_workflows import Context, remote, workflow
from django_workflows.models import Event, EventType, Execution
from django_workflows.remote.methods import Method, Methods
from tests.docs.test_pages import PYTHON, ROOT
from tests.factories import make_workflow

PAGE = (ROOT / "docs" / "remote.md").read_text("utf-8")


@pytest.mark.usefixtures("own_registry")
def test_the_page_does_what_it_says(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")

    @workflow
    def greet(ctx: Context, name: str) -> str:
        return f"hello {name}"

    make_workflow("greet")
    User.objects.create_superuser("ada", password="lovelace")
    namespace: dict[str, Any] = {"__name__": "page", "print": lambda *values: None}
    for block in PYTHON.findall(PAGE):
        exec(compile(block.replace("https://example.com", live_server.url), "remote.md", "exec"), namespace)

    assert Execution.objects.get().status == "cancelled"
    assert Event.objects.filter(type=EventType.EVENT, name="person.greeted").count() == 1
    assert asyncio.run(namespace["greet"]("Alan")) == "pending"
    Execution.objects.update(status="failed")
    with remote.Client(f"{live_server.url}/api/", auth=("ada", "lovelace")) as client:
        assert len(list(namespace["failed_ones"](client))) == 2
        assert namespace["problems_with"](client, {"nome": "Ada"}).keys() == {"input.name", "input.nome"}


def test_every_method_and_every_error_is_in_the_tables() -> None:
    methods = {name for name, value in vars(Methods).items() if isinstance(value, Method)}
    short = {"resume_execution": "resume_…", "cancel_execution": "cancel_…"}
    assert [name for name in methods if f"`{short.get(name, name)}" not in PAGE] == []
    errors = {name for name in remote.__all__ if issubclass_of_error(getattr(remote, name))}
    assert [name for name in errors if not re.search(rf"`{name}`", PAGE)] == []


def issubclass_of_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)
