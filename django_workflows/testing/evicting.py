"""The hostile mode: an execution leaves its turn after everything it records, and replays all of it in the next one."""

from __future__ import annotations

from django_workflows.engine.inline.driver import InlineCommitter
from django_workflows.engine.turn.turn import Turn


class EvictingCommitter(InlineCommitter):
    """Stores as the inline one does, and lets no new effect begin in a turn that has recorded something.

    It asks for what a worker asks for when it shuts down: the next barrier gives the execution back, due at once.
    """

    def note(self, turn: Turn) -> None:
        if turn.pending.has_progress:
            turn.flags.releasing = True
