"""Two sessions whose statements take turns as a schedule says.

A session stops before each statement and each commit. A schedule is a text of the sessions' names: "AAB" lets the first
one execute two statements, then the other one. A session that waits for a lock is left waiting; what a schedule does
not say happens in any order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations, islice
from math import comb
from queue import SimpleQueue
from random import Random
from typing import Any

from django.db import connection, connections

from tests.proof.tapping import tapped

PATIENCE = 30.0
LOOK_SECONDS = 0.001
BLOCKED_SECONDS = 0.02  # without an answer by then a session waits for a lock, where the database does not tell

MOST = 600  # schedules of two works; of more, as many are drawn

Work = Callable[[], Any]


class Session:
    """A thread with a connection of its own, which executes one statement when told to."""

    def __init__(self) -> None:
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._permits = 0
        self._is_free = self._is_at_gate = self._is_done = False
        self._pid: int | None = None
        self.answer: Any = None
        self.error: BaseException | None = None
        self.statements = 0
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def begin(self, work: Work) -> None:
        """Run to the first statement."""
        self._permits = self.statements = 0
        self._is_free = self._is_at_gate = self._is_done = False
        self.answer = self.error = None
        self._works.put(work)
        self._wait_for_rest()

    def step(self) -> None:
        """Execute one statement; returns when the next one is reached, or when this one waits for a lock."""
        with self._changed:
            if self._is_done or not self._is_at_gate:
                return
            self._permits += 1
            self._is_at_gate = False
            self._changed.notify_all()
        self._wait_for_rest()

    def go_free(self) -> None:
        """Execute the rest."""
        with self._changed:
            self._is_free = True
            self._changed.notify_all()

    def end(self) -> None:
        """Wait until all is done."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._is_done, PATIENCE), "A session does not come to its end."

    def close(self) -> None:
        self._works.put(None)
        self._thread.join(PATIENCE)

    # in its thread

    def _live(self) -> None:
        connection.ensure_connection()
        self._pid = _backend_of(connection)
        with tapped(connection, self._gate):
            while (work := self._works.get()) is not None:
                try:
                    self.answer = work()
                except Exception as error:
                    self.error = error
                with self._changed:
                    self._is_done = True
                    self._changed.notify_all()
        connections.close_all()

    def _gate(self, connection: Any, sql: str, proceed: Callable[[], Any]) -> Any:
        with self._changed:
            self.statements += 1
            self._is_at_gate = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._permits or self._is_free)
            self._permits = max(self._permits - 1, 0)
            self._is_at_gate = False
        return proceed()

    # in the other thread

    def _wait_for_rest(self) -> None:
        """Until it is at a gate, done, or held up by the other one."""
        waited = 0.0
        with self._changed:
            while not self._changed.wait_for(lambda: self._is_at_gate or self._is_done, LOOK_SECONDS):
                waited += LOOK_SECONDS
                if self._is_blocked(waited):
                    return

    def _is_blocked(self, waited: float) -> bool:
        if self._pid is None:
            return waited >= BLOCKED_SECONDS
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [self._pid])
            return bool(cursor.fetchone()[0])


def _backend_of(connection: Any) -> int | None:
    return connection.connection.info.backend_pid if connection.vendor == "postgresql" else None


@contextmanager
def two_sessions() -> Iterator[Mapping[str, Session]]:
    sessions = {"A": Session(), "B": Session()}
    yield sessions
    for session in sessions.values():
        session.close()


def interleave(sessions: Mapping[str, Session], schedule: str, works: Mapping[str, Work]) -> None:
    """Let both work as the schedule says; then `answer` or `error` of each tells what came of it."""
    for name, work in works.items():
        sessions[name].begin(work)
    for name in schedule:
        sessions[name].step()
    for session in sessions.values():
        session.go_free()
    for session in sessions.values():
        session.end()


def schedules(of_a: int, of_b: int, seed: int, stride: int) -> Iterator[str]:
    """Orders in which so many statements of A and of B can take place: a share of all, or of `MOST` if there are more.

    The shares of all seeds below `stride` are the whole.
    """
    places = range(of_a + of_b)
    if comb(len(places), of_b) <= MOST:
        every: Iterable[Collection[int]] = islice(combinations(places, of_b), seed, None, stride)
    else:
        random = Random(seed)
        every = (random.sample(places, of_b) for _ in range(MOST // stride))
    for of_others in every:
        yield "".join("B" if place in of_others else "A" for place in places)
