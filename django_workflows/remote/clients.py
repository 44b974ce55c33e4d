"""The two clients: one waits, the other is awaited; all else they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self, TypeVar

import httpx

from django_workflows.remote.calls import Call
from django_workflows.remote.exchange import Answer, Attempts, Lost, Pause, Received, Send, exchange
from django_workflows.remote.methods import Awaiting, Methods, Waiting

R = TypeVar("R")

Auth = httpx.Auth | tuple[str, str] | None

TIMEOUT = timedelta(seconds=10)


class Client(Methods, Waiting):
    """Talks to the API at `url` ("https://example.com/api/"). Thread-safe; close it, or use it in a `with`.

    `auth` and `headers` say who asks, as the project's authentication wants it: `auth=("user", "password")`,
    `headers={"Authorization": "Token …"}`. `timeout` is that of one attempt; `attempts` says how often and with which
    pauses. Each call that makes something has an idempotency key, the same one in all its attempts.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = TIMEOUT,
        attempts: Attempts | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._attempts = attempts or Attempts()
        self._http = httpx.Client(**_options(url, auth, headers, timeout), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def perform(self, call: Call[R]) -> R:
        steps, answer = exchange(call, self._attempts), None
        try:
            while True:
                answer = self._carry_out(steps.send(answer))
        except StopIteration as end:
            result: R = end.value
            return result

    def _carry_out(self, step: Send | Pause) -> Answer:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return _received(self._http.request(**_request(step)))
        except httpx.RequestError as error:
            return _lost(error)


class AsyncClient(Methods, Awaiting):
    """`Client` for async code: the same methods, to be awaited; `async with`, or `await client.close()`."""

    def __init__(
        self,
        url: str,
        *,
        auth: Auth = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = TIMEOUT,
        attempts: Attempts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._attempts = attempts or Attempts()
        self._http = httpx.AsyncClient(**_options(url, auth, headers, timeout), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def perform(self, call: Call[R]) -> R:
        steps, answer = exchange(call, self._attempts), None
        try:
            while True:
                answer = await self._carry_out(steps.send(answer))
        except StopIteration as end:
            result: R = end.value
            return result

    async def _carry_out(self, step: Send | Pause) -> Answer:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return _received(await self._http.request(**_request(step)))
        except httpx.RequestError as error:
            return _lost(error)


def _options(url: str, auth: Auth, headers: Mapping[str, str] | None, timeout: timedelta) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f'The address begins with "https://" or "http://", like "https://example.com/api/"; not {url!r}.'
        )
    return {"base_url": url, "auth": auth, "headers": dict(headers or {}), "timeout": timeout.total_seconds()}


def _request(step: Send) -> dict[str, Any]:
    return {"method": step.method, "url": step.path, "content": step.body, "headers": dict(step.headers)}


def _received(response: httpx.Response) -> Received:
    return Received(status=response.status_code, headers=response.headers, body=response.content)


def _lost(error: httpx.RequestError) -> Lost:
    return Lost(reason=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
