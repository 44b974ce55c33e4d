"""The texts of a stream: news as server-sent events, and a line now and then that says it is still there."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator

from asgiref.sync import sync_to_async
from django.db import connections
from rest_framework.utils.encoders import JSONEncoder

from django_workflows import clock, conf
from django_workflows.api.streams import closing
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
        while clock.monotonic() < end and not closing.is_closing():
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
            release_connection()
            time.sleep(conf.api_stream_poll())
    finally:
        give_back()


async def asend(follower: Follower, give_back: Callable[[], None]) -> AsyncIterator[bytes]:
    """Under ASGI, with no thread of its own once it has begun."""
    center = hub()
    watch = center.join(follower.id)
    closing.event()
    try:
        yield FIRST
        await leave_connections()
        end, beat = clock.monotonic() + conf.api_stream_seconds(), clock.monotonic()
        while clock.monotonic() < end and not closing.is_closing():
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


def release_connection() -> None:
    """As Django does after a request: who sleeps holds no connection, unless the project keeps them."""
    connection = connections[conf.database()]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


async def leave_connections() -> None:
    """Close what was opened in the request's own thread: else each who waits would hold a connection."""
    await sync_to_async(close_connections)()


def close_connections() -> None:
    """All of this thread, but for one with an open transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
