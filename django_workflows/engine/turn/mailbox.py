"""What an execution has got, and what it waits for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django_workflows import codec
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import ChildOutcome, Loaded, Unread
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.events.published import hash_for, keys_of
from django_workflows.engine.turn.effects import ChildWait, MessageWait, Stop, Wait
from django_workflows.engine.turn.flags import TurnFlags


class Mailbox(TurnFlags):
    """Unread messages, ends of children, and the waits that they may answer."""

    def __init__(self, loaded: Loaded, definition: WorkflowDefinition[..., Any], clock: DatabaseClock) -> None:
        super().__init__(loaded, definition, clock)
        self.inbox: list[Unread] = loaded.inbox
        self.children: dict[UUID, ChildOutcome] = loaded.children
        self.seen_inbox = loaded.claimed.inbox
        self.waits: dict[str, Wait] = {}
        self._consumed: set[UUID] = set()
        self._closed: set[str] = set()  # scopes of branches that lost a race

    def resolve(self, wait: Wait) -> Any:
        """What a wait came to, or None while it goes on. A message before the deadline beats the deadline."""
        if isinstance(wait, Stop):
            return None
        if isinstance(wait, MessageWait) and (unread := self.message_for(wait)) is not None:
            return unread
        if isinstance(wait, ChildWait) and sum(id in self.children for id in wait.children) >= wait.needed:
            return True
        return True if wait.deadline is not None and wait.deadline <= self.now() else None

    def message_for(self, wait: MessageWait) -> Unread | None:
        """The oldest that answers it: one that is addressed to it, else an event that the loser of a race has left."""
        left = None
        for unread in self.inbox:
            # of an event the name too: an earlier generation may have left a message to a wait at the same position
            if unread.name != wait.name or not (wait.deadline is None or unread.created_at <= wait.deadline):
                continue
            if unread.step_key == (wait.key if wait.is_event else ""):
                return unread
            if left is None and wait.is_event and unread.step_key and self._is_left(unread, wait):
                left = unread
        return left

    def _is_left(self, unread: Unread, wait: MessageWait) -> bool:
        """Whether it was delivered to a branch that has lost a race, and has what this wait wants."""
        if not self.is_closed(unread.step_key):
            return False
        match = dict(wait.match)
        data = None if unread.data is None else codec.decode(unread.data)
        return hash_for(data, keys_of(match)) == codec.match_hash(match)

    def is_closed(self, key: str) -> bool:
        """Whether this key, or scope, belongs to a branch that has lost a race."""
        return any(key.startswith(prefix) for prefix in self._closed)

    def feed(self, inbox_number: int, unread: list[Unread], children: list[ChildOutcome]) -> None:
        """Hand on what has arrived since the turn began; ignored once the turn has looked for the last time."""
        with self.lock:
            if self.unwinding:
                return
            known = {message.id for message in self.inbox} | self._consumed
            self.inbox.extend(message for message in unread if message.id not in known)
            self.children.update({child.id: child for child in children})
            self.seen_inbox = max(self.seen_inbox, inbox_number)
            self.changed.notify_all()
            self.wake()

    def open_waits(self) -> list[Wait]:
        with self.lock:
            return list(self.waits.values())

    def open_children(self) -> list[UUID]:
        """Children that are not known to have ended. All of them: one may be awaited after its end was noticed."""
        return [entry.child_id for entry in list(self.journal) if entry.child_id is not None and not entry.is_final]

    def suspension(self) -> Ending:
        """The ending of a turn in which everything waits."""
        waits = self.open_waits()
        if self.pausing is not None:
            return Ending(end=End.PAUSE, reason=self.pausing, current_step=self._current_step(waits))
        if self.releasing and any(isinstance(wait, Stop) for wait in waits):
            return Ending(end=End.RELEASE)
        child_waits = [wait for wait in waits if isinstance(wait, ChildWait)]
        deadlines = [wait.deadline for wait in waits if wait.deadline is not None]
        return Ending(
            end=End.SUSPEND,
            deadline=min(deadlines, default=None),
            children=tuple(id for wait in child_waits for id in wait.children),
            needed=self._needed(child_waits),
            only_children=len(child_waits) == len(waits),
            current_step=self._current_step(waits),
        )

    def _needed(self, waits: list[ChildWait]) -> int:
        if len(waits) == 1:
            return waits[0].needed
        finished = sum(id in self.children for wait in waits for id in wait.children)
        return finished + 1 if waits else 0

    def _current_step(self, waits: list[Wait]) -> str:
        entries = [self.journal.get(wait.key) for wait in waits]
        return next((entry.name or entry.kind for entry in entries if entry is not None), "")
