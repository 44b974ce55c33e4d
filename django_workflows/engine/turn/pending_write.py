"""What an execution wants stored next, and which of its writes were stored."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.commit.values import Receipt, Write
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.flags import Flags
from django_workflows.engine.turn.mailbox import Mailbox


class PendingWrite:
    """Collects the next write while the one before is under way; numbers tell who waits for which."""

    def __init__(self, claimed: Claimed, mailbox: Mailbox, flags: Flags) -> None:
        self._claimed, self._mailbox, self._flags, self._lock = claimed, mailbox, flags, flags.lock
        self.write = self.empty()
        self._taken = self._stored = 0  # numbers of writes: the last one taken, the last one stored
        self._binding = 0  # the last one taken that has more in it than what is certain
        self._certain: set[UUID] = set()  # outcomes that every replay would find, until they are stored
        self._unstored: set[UUID] = set()  # proposals `unless_moved` that did not count

    def empty(self) -> Write:
        """A write of this claim with nothing in it."""
        claimed = self._claimed
        return Write(
            execution_id=claimed.id,
            claim=claimed.claim,
            generation=claimed.generation,
            parent_id=claimed.parent_id,
            deadline=claimed.deadline,
            seen_inbox=self._mailbox.seen,
            had_crashes=claimed.crashes > 0,
        )

    @property
    def has_something(self) -> bool:
        """Whether there is anything to store."""
        return self.write.has_something

    @property
    def has_progress(self) -> bool:
        """Whether a replay would come further: an attempt that has only begun is none."""
        with self._lock:
            entries = [*self.write.entries.values(), *self.write.unless_moved.values()]
        return any(entry.status != "running" for entry in entries)

    # for procedures, under the turn's lock

    def propose(self, entry: Entry) -> None:
        """An entry that counts only if nothing has arrived in the inbox since it was read."""
        if not self.write.unless_moved:
            self.write.seen_inbox = self._mailbox.seen
        self.write.unless_moved[entry.id] = entry

    def call_certain(self, entry: Entry) -> Entry:
        """This outcome follows from what other commits have stored for good: a moment that has passed, the oldest
        message to a wait, the output of a child. So whoever replays would come to the same, and a body may begin
        before it is stored. Not where branches could come to it in another order; nor where the wait began in this
        turn, and may have no row by which changed code would be noticed.
        """
        with self._lock:
            if not self._flags.parallel and entry.created_at <= self._claimed.claimed_at:
                self._certain.add(entry.id)
        return entry

    # for the committer, under the turn's lock

    def take(self) -> Write | None:
        """What is to be stored now, or None. One write of a turn is under way at a time."""
        write = self.write
        if not write.has_something:
            return None
        self.write = self.empty()
        self._taken += 1
        if not self._is_certain(write):
            self._binding = self._taken
        if not write.unless_moved:
            write.seen_inbox = self._mailbox.seen
        return write

    def put_back(self, write: Write) -> None:
        """A write could not be stored yet: it goes in front of what was recorded since."""
        later, self.write = self.write, write  # it keeps the number that the later one would have got
        write.extend(later)

    def has_stored(self, write: Write, receipt: Receipt) -> Iterable[Entry]:
        """The write was stored; the proposed entries that count."""
        self._stored = self._taken
        self._certain.difference_update(write.entries)
        if write.unless_moved and receipt.inbox != write.seen_inbox:
            self._unstored.update(write.unless_moved)
            return ()
        return write.unless_moved.values()

    # for who waits

    def was_stored(self, entry_id: UUID) -> bool:
        """Whether an entry that was to count `unless_moved` did."""
        with self._lock:
            if entry_id not in self._unstored:
                return True
            self._unstored.discard(entry_id)
            return False

    def mark(self, *, but_certain: bool = False) -> int:
        """The number of the write that will contain all that was recorded so far, or all but what is certain."""
        with self._lock:
            if but_certain and self._is_certain(self.write):
                return self._binding
            return self._taken + int(self.write.has_something)

    def is_stored(self, mark: int) -> bool:
        """Whether the write of this number is stored."""
        return self._stored >= mark

    def _is_certain(self, write: Write) -> bool:
        """Whether there is nothing in it that a replay could miss, or find otherwise."""
        return not write.has_more_than_outcomes and write.entries.keys() <= self._certain
