"""What runs on in a worker although nothing comes of it: its claim is gone, or its time was up.

Python can stop neither a thread nor a coroutine that swallows its cancellation, so that such a function keeps its slot
until it returns. The worker's row names it, for those who wonder where the slots are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django_workflows.engine.handlers import left_behind
from django_workflows.engine.handlers.left_behind import LeftBody
from django_workflows.engine.turn.turn import Turn

MOST = 100  # that the row of a worker names


class Left(TypedDict):
    """As it stands in the worker's row; `step` is empty where the workflow's own function runs on."""

    execution: str
    workflow: str
    step: str
    since: str


class LeftBehind:
    """Knows the turns that run in this process, and which of them are left behind. Looked at by the pump's thread."""

    def __init__(self, holds: Callable[[Turn], bool]) -> None:
        self._holds = holds
        self._running: dict[Turn, None] = {}
        self._since: dict[Turn | LeftBody, datetime] = {}  # when it was seen first

    # from any thread

    def begin(self, turn: Turn) -> None:
        """Its function is about to be called."""
        self._running[turn] = None

    def end(self, turn: Turn) -> None:
        """Its function is over; a body that lost a race may not be."""
        if not turn.bodies:
            self._running.pop(turn, None)

    def turns(self) -> list[Turn]:
        """Those whose slots are taken, though the pump does not hold them."""
        return [turn for turn in list(self._running) if not self._holds(turn) and self._runs_on(turn)]

    def _runs_on(self, turn: Turn) -> bool:
        if turn.flags.has_ended and not turn.bodies:
            self._running.pop(turn, None)
            return False
        return True

    # from the thread of the pump

    def look(self, now: datetime) -> list[Left]:
        """What is left behind at this moment, and since when that is known."""
        turns, bodies = self.turns(), left_behind.bodies()
        all_left: list[Turn | LeftBody] = [*turns, *bodies]
        self._since = {one: self._since.get(one, now) for one in all_left}
        return [*_named(turns, bodies, self._since)][:MOST]


def _named(turns: list[Turn], bodies: list[LeftBody], since: dict[Turn | LeftBody, datetime]) -> Iterator[Left]:
    for turn in turns:
        step = ", ".join(turn.bodies.names())
        yield _left(turn.claimed.id, turn.claimed.workflow, step, since[turn])
    for body in bodies:
        yield _left(body.execution_id, body.workflow, body.step, since[body])


def _left(execution_id: UUID, workflow: str, step: str, since: datetime) -> Left:
    return {"execution": str(execution_id), "workflow": workflow, "step": step, "since": since.isoformat()}
