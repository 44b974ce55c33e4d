"""A real server over HTTP, somebody who may do everything there, and both clients with one face."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from django_workflows import Context, step, workflow
from django_workflows.remote import AsyncClient, Attempts, Client
from tests.factories import make_workflow
from tests.remote.proxies import Proxy, losing_proxy

FAST = Attempts(first_pause=timedelta(milliseconds=1))
ADA = ("ada", "lovelace")


class Blocking:
    """An `AsyncClient` whose methods wait, so that one test tries both clients."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return self._loop.run_until_complete(result) if inspect.isawaitable(result) else result

        return call

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


Connect = Callable[..., Any]


# The clients share all but sending and waiting: a few tests with both are enough.
both = pytest.mark.parametrize("colour", ["sync", "async"])


@pytest.fixture
def colour() -> str:
    return "sync"


@pytest.fixture
def connect(colour: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """`connect(url)`: a client of this colour."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    opened: list[Any] = []

    def make(url: str, **options: Any) -> Any:
        given = {"auth": ADA, "attempts": FAST, **options}
        opened.append(Client(url, **given) if colour == "sync" else Blocking(AsyncClient(url, **given)))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def api(live_server: LiveServer) -> str:
    """The address of the API of a real server, where Ada may do everything."""
    User.objects.create_superuser("ada", password="lovelace")
    make_workflow("remote_greet")
    return f"{live_server.url}/api/"


@pytest.fixture
def client(api: str, connect: Connect) -> Any:
    return connect(api)


@pytest.fixture
def proxy(api: str) -> Iterator[Proxy]:
    with losing_proxy(api) as proxy:
        yield proxy


@workflow
def remote_greet(ctx: Context, name: str, times: int = 1) -> str:
    ctx.state["greeting"] = name
    ctx.wait_for_signal("go")
    return ctx.do(remote_say, name, times)


@step
def remote_say(name: str, times: int) -> str:
    if name == "nobody":
        raise ValueError("There is nobody to greet.")
    return " ".join([f"hello {name}"] * times)
