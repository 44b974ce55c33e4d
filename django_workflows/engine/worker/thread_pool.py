"""Threads of a worker: for turns and bodies, for branches, and for bodies that may have to be left behind."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from django.db import connections

from django_workflows.engine.database import sessions
from django_workflows.engine.handlers.contexts import own_context, prepare_thread

logger = logging.getLogger("django_workflows")

IDLE_SECONDS = 60.0

Call = Callable[[], None]


class Pool:
    """At most `size` threads, started when needed; they stay for a minute without work, and their connections too.

    Of many calls one is offered at a time, and who takes it offers the next: see `relay`, for the same reason.
    """

    def __init__(self, size: int, name: str) -> None:
        self.size, self._name = size, name
        self._calls: deque[Call] = deque()
        self._offers: SimpleQueue[None] = SimpleQueue()  # at most one
        self._lock = threading.Lock()
        self._threads = self._idle = 0
        self._is_offering = False

    @property
    def unused(self) -> int:
        """Threads that could take a call now."""
        with self._lock:
            return self._count_unused()

    def _count_unused(self) -> int:
        return max(self.size - self._threads + self._idle - len(self._calls), 0)

    def submit(self, call: Call) -> None:
        """Have `call` called by the next free thread."""
        with self._lock:
            self._engage(call)

    def try_submit(self, call: Call) -> bool:
        """Have `call` called by a thread that is free now, if there is one; the last goes to one caller."""
        with self._lock:
            if not self._count_unused():
                return False
            self._engage(call)
        return True

    def _engage(self, call: Call) -> None:
        """A thread that is not idle yet counts as one: it was started for a call that is queued."""
        self._calls.append(call)
        if not self._is_offering:
            self._is_offering = True
            self._offers.put(None)
        if self._idle < len(self._calls) and self._threads < self.size:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
            self._threads += 1
            self._idle += 1

    def _serve(self) -> None:
        prepare_thread()
        sessions.own_this_thread()
        while True:
            try:
                self._offers.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._calls:
                        continue
                    self._idle -= 1
                    self._threads -= 1
                connections.close_all()
                return
            with self._lock:
                self._idle -= 1
                call = self._calls.popleft()
                self._is_offering = bool(self._calls)
                if self._calls:
                    self._offers.put(None)
            self._call(call)
            with self._lock:
                self._idle += 1

    def _call(self, call: Call) -> None:
        try:
            own_context().run(call)
            sessions.after_call()
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
