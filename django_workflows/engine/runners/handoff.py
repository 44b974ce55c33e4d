"""Threads that may go on, one after the other.

A commit answers dozens of threads at once. Woken together, they would fight with each other and with the pump for the
interpreter's lock, and most wake-ups would be in vain. So who wakes up wakes the next, and then goes about its work.
"""

from __future__ import annotations

import threading
from collections import deque


class Handoff:
    """What one thread waits for, once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Until it is this thread's turn to go on. Who has a baton that was handed over must wait for it."""
        self._lock.acquire()
        _handoffs.pass_on()

    def release(self) -> None:
        """Its thread may go on, after those that were told so before. From any thread."""
        _handoffs.enter(self._lock)


class _Handoffs:
    """Wakes one thread at a time: there is one interpreter, so there is one relay in a process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_running = False  # a thread has been woken that has not woken the next yet

    def enter(self, lock: threading.Lock) -> None:
        with self._guard:
            if self._is_running:
                self._waiting.append(lock)
                return
            self._is_running = True
        lock.release()

    def pass_on(self) -> None:
        with self._guard:
            if not self._waiting:
                self._is_running = False
                return
            lock = self._waiting.popleft()
        lock.release()


_handoffs = _Handoffs()
