"""What the threads of a worker share: the turns under way, what they want stored, and where to look for more."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.commit_queue import CommitQueue
from django_workflows.engine.worker.polling import Polling


class Core:
    """Made first, and handed to the pump, the executor, the attendant and the listener. From any thread."""

    def __init__(
        self, alias: str, queues: tuple[str, ...], tell_held: Callable[[int], None] = lambda count: None
    ) -> None:
        """`tell_held` is called with the number of turns under way whenever one begins."""
        self.alias = alias
        self.commit_queue = CommitQueue()
        self.polling = Polling(queues, alias)
        self.held: dict[UUID, Turn] = {}  # by execution
        self._tell_held = tell_held

    def wake_up(self, queue: str, priority: int | None = None) -> None:
        """There may be something to do in this queue; where a priority is named, there is."""
        if self.polling.wake_up(queue, priority):
            self.commit_queue.ring()

    def hold(self, turn: Turn) -> None:
        """This turn begins."""
        self.held[turn.claimed.id] = turn
        self.tell_held()

    def holds(self, turn: Turn) -> bool:
        """Whether it is the turn of its execution: one that could not be stopped may have a successor here."""
        return self.held.get(turn.claimed.id) is turn

    def release(self, turn: Turn) -> None:
        """This turn is over."""
        if self.holds(turn):
            del self.held[turn.claimed.id]

    def drop(self, turn: Turn) -> None:
        """The turn is over, and has nothing to store because its claim was lost."""
        self.commit_queue.forget(turn)
        self.release(turn)
        self.commit_queue.ring()

    def tell_held(self) -> None:
        """Tell how many turns are under way."""
        self._tell_held(len(self.held))
