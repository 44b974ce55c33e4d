"""What an execution has got, and the waits that it may answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django_workflows import codec
from django_workflows.engine.claims.loading import ChildOutcome, Loaded, Unread
from django_workflows.engine.events.published import hash_for, keys_of
from django_workflows.engine.history.journal import branch_prefix
from django_workflows.engine.turn.effects import ChildWait, MessageWait, Stop, Wait
from django_workflows.engine.turn.flags import Flags
from django_workflows.engine.turn.moments import Moments


class Mailbox:
    """Unread messages, ends of children, and open waits of one turn, guarded by the lock of its flags."""

    def __init__(self, loaded: Loaded, moments: Moments, flags: Flags) -> None:
        self.unread: list[Unread] = loaded.inbox
        self.children: dict[UUID, ChildOutcome] = loaded.children
        self.seen = loaded.claimed.inbox  # the number of messages that the execution had got when it was read last
        self.waits: dict[str, Wait] = {}
        self.consumed: set[UUID] = set()
        self._closed: set[str] = set()  # scopes of branches that lost a race
        self._moments, self._flags = moments, flags

    def resolve(self, wait: Wait) -> Any:
        """What a wait came to, or None while it goes on. A message before the deadline beats the deadline."""
        if isinstance(wait, Stop):
            return None
        if isinstance(wait, MessageWait) and (unread := self.message_for(wait)) is not None:
            return unread
        if isinstance(wait, ChildWait) and sum(id in self.children for id in wait.children) >= wait.needed:
            return True
        return True if wait.deadline is not None and wait.deadline <= self._moments.now() else None

    def message_for(self, wait: MessageWait) -> Unread | None:
        """The oldest that answers it: one that is addressed to it, else an event that the loser of a race has left."""
        left = None
        for unread in self.unread:
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

    def consume(self, unread: Unread) -> bool:
        """Take a message out; False when another branch was faster."""
        if unread.id in self.consumed:
            return False
        self.unread.remove(unread)
        self.consumed.add(unread.id)
        return True

    def is_closed(self, key: str) -> bool:
        """Whether this key, or scope, belongs to a branch that has lost a race."""
        return bool(self._closed) and any(key.startswith(prefix) for prefix in self._closed)

    def close(self, key: str, losers: Iterable[int]) -> None:
        """The race at `key` is decided: its other branches get and wait for nothing more."""
        self._closed.update(branch_prefix(key, index) for index in losers)
        for wait in [wait for wait in self.waits if self.is_closed(wait)]:
            del self.waits[wait]

    def feed(self, number: int, unread: list[Unread], children: list[ChildOutcome]) -> None:
        """Hand on what has arrived since the turn began; ignored once the turn has looked for the last time."""
        with self._flags.lock:
            if self._flags.unwinding:
                return
            known = {message.id for message in self.unread} | self.consumed
            self.unread.extend(message for message in unread if message.id not in known)
            self.children.update({child.id: child for child in children})
            self.seen = max(self.seen, number)
            self._flags.tell()

    def open_waits(self) -> list[Wait]:
        """A copy, for other threads."""
        with self._flags.lock:
            return list(self.waits.values())
