"""What a worker does beside commits and claims, in a thread of its own: verbs, events, schedules.

It is told what each look of the pump has found. So nothing that users have stored, nor their code where it is called
there, holds up a commit or a claim; and a chore that fails holds up no other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from django.db import connections

from django_workflows.clock import monotonic
from django_workflows.engine.claims.claims import Peek
from django_workflows.engine.database.isolation import pause_after
from django_workflows.engine.database.outages import UNREACHABLE
from django_workflows.engine.database.pulse import Pulse
from django_workflows.engine.worker.core import Core

logger = logging.getLogger("django_workflows")

Chore = Callable[[str, Peek], bool]  # whether it has moved anything

FIRST_PAUSE = 0.1


class Attendant:
    """Does the chores for one pump. All but the chores themselves is for the pump's thread.

    Until it is started, as in tests, the chores are done where it is told of a look.
    """

    def __init__(self, core: Core, chores: Sequence[Chore]) -> None:
        self._core, self._alias, self._chores = core, core.alias, chores
        self._has_moved = False
        self._peek: Peek | None = None
        self._change = threading.Condition()
        self._is_busy = self._is_stopping = False
        self._failures: dict[Chore, tuple[int, float]] = {}  # how often in a row; until when it is left alone
        self.pulse = Pulse("what attends to verbs, events and schedules")
        self._thread = threading.Thread(target=self._run, name="workflows-attendant", daemon=True)

    def start(self) -> None:
        """Do the chores in a thread of its own from now on."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Begin nothing more, and give what is under way so long."""
        with self._change:
            self._is_stopping = True
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self, peek: Peek) -> None:
        """This was found; what was found before and nobody has attended to yet is forgotten."""
        if self._thread.ident is None:
            self._tell([chore(self._alias, peek) for chore in self._chores])
            return
        with self._change:
            self._peek = peek
            self._change.notify()

    @property
    def is_idle(self) -> bool:
        """Whether it has attended to all that it was told of."""
        with self._change:
            return not self._is_busy and self._peek is None

    def has_moved(self) -> bool:
        """Whether a chore has moved anything since this was asked the last time."""
        moved, self._has_moved = self._has_moved, False
        return moved

    def _tell(self, moved: Sequence[bool]) -> None:
        """A round is over."""
        if any(moved):
            self._has_moved = True
            self._core.polling.did_chores(monotonic())
            self._core.wake_up("")
        self._core.commit_queue.ring()

    def _run(self) -> None:
        self.pulse.adopt()
        try:
            while (peek := self._next()) is not None:
                self._tell([self._do(chore, peek) for chore in self._chores])
        finally:
            connections.close_all()

    def _next(self) -> Peek | None:
        with self._change:
            self._is_busy = False
            while self._peek is None and not self._is_stopping:
                self._change.wait()
            peek, self._peek = self._peek, None
            self._is_busy = peek is not None
            return None if self._is_stopping else peek

    def _do(self, chore: Chore, peek: Peek) -> bool:
        failures, until = self._failures.get(chore, (0, 0.0))
        if monotonic() < until:
            return False
        try:
            moved = chore(self._alias, peek)
        except Exception as error:
            pause = pause_after(failures + 1, FIRST_PAUSE)
            self._failures[chore] = failures + 1, monotonic() + pause
            self._complain(chore, error, pause)
            return True  # there is something left to do
        self._failures.pop(chore, None)
        return moved

    def _complain(self, chore: Chore, error: Exception, pause: float) -> None:
        name = getattr(chore, "__name__", type(chore).__name__)
        if isinstance(error, UNREACHABLE):
            logger.warning("%s: the database cannot be used (%s); again in %.1f s.", name, str(error).strip(), pause)
            connections[self._alias].close()
        else:
            logger.error("%s has failed, and is tried again in %.1f s.", name, pause, exc_info=error)
