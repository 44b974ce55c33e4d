"""Streams end when their server does.

An ASGI server lets requests finish when it is told to stop, and tells nobody: it would wait for minutes. So what it
does on SIGTERM is preceded by ending the streams; their readers come back, to another process.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

_is_closing = False
_wakers: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}
_before: Any = None


def is_closing() -> bool:
    return _is_closing


def event() -> asyncio.Event:
    """Set when the server of the running event loop is told to stop."""
    loop = asyncio.get_running_loop()
    for other in [one for one in _wakers if one.is_closed()]:
        del _wakers[other]
    _listen()
    return _wakers.setdefault(loop, asyncio.Event())


def _listen() -> None:
    """Come before the server's own handler; where there is none, or not in this thread, it is left as it is."""
    global _before
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler) and handler is not _stop:
        _before = handler
        signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    global _is_closing
    _is_closing = True
    for loop, one in list(_wakers.items()):
        if not loop.is_closed():
            loop.call_soon_threadsafe(one.set)
    _before(number, frame)
