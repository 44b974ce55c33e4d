"""Under ASGI: any number of streams on one event loop share one thread, one connection and one query per look.

In a request's own context, sync code would have a thread and a connection for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from django_workflows import conf
from django_workflows.api.streams import closing
from django_workflows.api.streams.following import Stamp, stamps

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Watch:
    """One stream that waits for its execution to change."""

    id: UUID
    stamp: Stamp | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> bool:
        """Whether it changed within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        was_changed = self.changed.is_set()
        self.changed.clear()
        return was_changed


class Hub:
    """Looks for all streams of one event loop; lives as long as there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, alias: str) -> None:
        self._loop, self._alias = loop, alias
        self._watches: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, id: UUID) -> Watch:
        watch = Watch(id)
        self._watches.add(watch)
        if self._task is None:
            self._task = self._loop.create_task(self._poll(), context=contextvars.Context())
        return watch

    def leave(self, watch: Watch) -> None:
        self._watches.discard(watch)

    async def run(self, work: Callable[[], T]) -> T:
        """Do what needs the database in the shared thread."""
        return await self._loop.create_task(sync_to_async(_tidily)(self._alias, work), context=contextvars.Context())

    async def _poll(self) -> None:
        try:
            while self._watches:
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(conf.api_stream_poll()):
                        await closing.event().wait()
                        self._wake_all()
                        return
        finally:
            # from here on who joins gets another hub
            self._task = None
            _hubs.pop((self._loop, self._alias), None)
            await sync_to_async(_leave_connection)(self._alias)

    def _wake_all(self) -> None:
        for watch in self._watches:
            watch.changed.set()

    async def _look(self) -> None:
        watches = list(self._watches)
        try:
            found = await sync_to_async(_tidily)(
                self._alias, lambda: stamps(self._alias, {watch.id for watch in watches})
            )
        except Exception:  # told to each stream when it looks for itself
            found = {}
        for watch in watches:
            stamp = found.get(watch.id)
            if stamp is None or stamp != watch.stamp:
                watch.stamp = stamp
                watch.changed.set()


# Loops of other threads have hubs of their own.
_hubs: dict[tuple[asyncio.AbstractEventLoop, str], Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    place = (asyncio.get_running_loop(), conf.database())
    if place not in _hubs:
        _hubs[place] = Hub(*place)
    return _hubs[place]


def _tidily(alias: str, work: Callable[[], Any]) -> Any:
    """The connection is kept from look to look, unless it is broken."""
    try:
        return work()
    except Exception:
        _leave_connection(alias)
        raise


def _leave_connection(alias: str) -> None:
    """As Django does after a request: close it unless it is to be kept."""
    connections[alias].close_if_unusable_or_obsolete()
