"""Threads of a worker: for turns and bodies, for branches, and for bodies that may have to be left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from django.db import connections

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
            return self._count_unused()

    def _count_unused(self) -> int:
        return max(self.size - self._threads + self._idle - self._queued, 0)

    def submit(self, call: Call) -> None:
        """Have `call` called by the next free thread."""
        with self._lock:
            self._engage()
        self._calls.put(call)

    def try_submit(self, call: Call) -> bool:
        """Have `call` called by a thread that is free now, if there is one; the last goes to one caller."""
        with self._lock:
            if not self._count_unused():
                return False
            self._engage()
        self._calls.put(call)
        return True

    def _engage(self) -> None:
        """A thread that is not idle yet counts as one: it was started for a call that is queued."""
        self._queued += 1
        if self._idle < self._queued and self._threads < self.size:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
            self._threads += 1
            self._idle += 1

    def _serve(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._queued:
                        continue
                    self._idle -= 1
                    self._threads -= 1
                connections.close_all()
                return
            with self._lock:
                self._idle -= 1
                self._queued -= 1
            self._call(call)
            with self._lock:
                self._idle += 1

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
