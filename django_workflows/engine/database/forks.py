"""Processes that bodies fork off a worker are no workers.

Such a child would have the worker's handlers of signals, so that ending it drains the worker; its sockets, which keep a
dead worker's transactions open at the server; its locks, held by threads that do not exist there; and its body, which
would be brought to its end twice.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

HANDLED = (signal.SIGTERM, signal.SIGINT)  # by the worker

_first_calls: list[Callable[[], None]] = []


class _Thread(threading.local):
    """Whether this thread of the worker is about to fork, and which signals were blocked in it."""

    is_forking = False
    mask: Iterable[int] = ()


class _Process:
    worker: int | None = None  # the process id of the worker
    is_copy = False  # this is what a body of the worker has forked


_thread, _process = _Thread(), _Process()


def in_children(call: Callable[[], None]) -> None:
    """Have `call` called in each process that a body forks, before the body goes on there."""
    _first_calls.append(call)


def this_is_a_worker() -> None:
    """From now on what is forked here is the child of a body."""
    if _process.worker is None:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    _process.worker = os.getpid()


def is_copy() -> bool:
    """Whether this process was forked by a body."""
    return _process.is_copy


def _before() -> None:
    """A signal that comes before the child has handlers of its own waits until it has."""
    _thread.is_forking = os.getpid() == _process.worker
    if _thread.is_forking:
        _thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def _in_parent() -> None:
    if _thread.is_forking:
        signal.pthread_sigmask(signal.SIG_SETMASK, _thread.mask)


def _in_child() -> None:
    if not _thread.is_forking:
        return  # a child's own child: what it inherits is its parent's affair
    _process.is_copy = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, _thread.mask)
    for call in _first_calls:
        call()


def ignore(number: int, frame: Any) -> None:
    """Handle a signal by doing nothing. `SIG_IGN` would be handed on to the programs that bodies start."""


class _Guard:
    """Around a body: a forked child that comes to its end ends there, as a program that has returned or raised."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if _process.is_copy:
            _end(error)


guard = _Guard()


def _end(error: BaseException | None) -> None:
    status = 0 if error is None else 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)
