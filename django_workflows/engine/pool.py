"""Threads of a worker: for turns and bodies, for branches, and for bodies that may have to be left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

logger = logging.getLogger("django_workflows")

IDLE_SECONDS = 60.0

Call = Callable[[], None]


class Pool:
    """At most `size` threads, started when needed; they stay for a minute without work, and their connections too."""

    def __init__(self, size: int, name: str) -> None:
        self.size, self._name = size, name
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._idle = self._queued = 0

    @property
    def unused(self) -> int:
        """Threads that could take a call now."""
        with self._lock:
            return max(self.size - self._threads + self._idle - self._queued, 0)

    def submit(self, call: Call) -> None:
        """Have `call` called by the next free thread."""
        with self._lock:
            self._queued += 1
            starts = self._idle < self._queued and self._threads < self.size
            self._threads += starts
        self._calls.put(call)
        if starts:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def try_submit(self, call: Call) -> bool:
        """Have `call` called by a thread that is free now, if there is one."""
        if not self.unused:
            return False
        self.submit(call)
        return True

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                call = self._calls.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    self._idle -= 1
                    if self._queued:
                        continue
                    self._threads -= 1
                return
            with self._lock:
                self._idle -= 1
                self._queued -= 1
            self._call(call)

    def _call(self, call: Call) -> None:
        try:
            call()
        except Exception:
            logger.exception("A thread of the worker met an error of the engine")


class Helpers:
    """Further threads for the turns of `def` workflows."""

    def __init__(self, branch_threads: int) -> None:
        self._branches = Pool(branch_threads, "workflows-branch")
        self._apart = Pool(10_000, "workflows-apart")

    def try_branch(self, fn: Call) -> bool:
        return self._branches.try_submit(fn)

    def run_apart(self, fn: Call) -> None:
        self._apart.submit(fn)
