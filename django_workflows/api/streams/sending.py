"""The texts of a stream: news as server-sent events, and a line now and then that says it is still there."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections
from rest_framework.utils.encoders import JSONEncoder

from django_workflows import clock, conf
from django_workflows.api.streams.following import Follower, News, Stamp, stamps
from django_workflows.api.streams.hub import hub

logger = logging.getLogger("django_workflows")

HEARTBEAT = 15.0  # seconds; proxies give up on who says nothing for a minute
COME_BACK = 1_000  # milliseconds after which a reader comes back
FULL_LOOK = 5.0  # seconds after which the history is read even if the row seems unchanged

FIRST = f"retry: {COME_BACK}\n\n".encode()
STILL_HERE = b": still here\n\n"


def as_text(news: News) -> bytes:
    """One server-sent event. JSON has no line breaks of its own, so nothing in it can end the event early."""
    data = json.dumps(news.document, cls=JSONEncoder, separators=(",", ":"))
    head = f"id: {news.position}\n" if news.position else ""
    return f"{head}event: {news.kind}\ndata: {data}\n\n".encode()


def send(follower: Follower, give_back: Callable[[], None]) -> Iterator[bytes]:
    """Under WSGI, in the request's own thread."""
    try:
        yield FIRST
        end, beat, looked = clock.monotonic() + conf.api_stream_seconds(), clock.monotonic(), 0.0
        known: Stamp | None = None
        while clock.monotonic() < end:
            stamp = stamps(conf.database(), [follower.id]).get(follower.id)
            if stamp is None or stamp != known or clock.monotonic() - looked > FULL_LOOK:
                known, looked = stamp, clock.monotonic()
                for news in follower.look():
                    beat = clock.monotonic()
                    yield as_text(news)
                if follower.finished or follower.gone:
                    return
                if follower.more:
                    known = None
                    continue
            if clock.monotonic() - beat > HEARTBEAT:
                beat = clock.monotonic()
                yield STILL_HERE
            time.sleep(conf.api_stream_poll())
    finally:
        give_back()


async def asend(follower: Follower, give_back: Callable[[], None]) -> AsyncIterator[bytes]:
    """Under ASGI, with no thread of its own once it has begun."""
    center = hub()
    watch = center.join(follower.id)
    try:
        yield FIRST
        await leave_connections()
        end, beat = clock.monotonic() + conf.api_stream_seconds(), clock.monotonic()
        while clock.monotonic() < end:
            for news in await center.run(follower.look):
                beat = clock.monotonic()
                yield as_text(news)
            if follower.finished or follower.gone:
                return
            if follower.more:
                continue
            await watch.wait(FULL_LOOK)
            if clock.monotonic() - beat > HEARTBEAT:
                beat = clock.monotonic()
                yield STILL_HERE
    finally:
        center.leave(watch)
        give_back()


async def leave_connections() -> None:
    """Close what the view has opened in the request's own thread: else each who waits would hold a connection."""
    await sync_to_async(_close_all)()


def _close_all(**kwargs: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
