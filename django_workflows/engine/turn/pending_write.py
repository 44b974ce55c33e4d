"""What an execution wants stored, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django_workflows import codec, conf
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import NewEvent, Receipt, Verdict, Write
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.mailbox import Mailbox


class PendingWrite(Mailbox):
    """Collects the next write while the one before is under way; numbers tell who waits for which."""

    def __init__(self, loaded: Loaded, definition: WorkflowDefinition[..., Any], clock: DatabaseClock) -> None:
        super().__init__(loaded, definition, clock)
        self.state: dict[str, Any] = {}
        self._write = self.empty_write()
        self._state_text = loaded.claimed.state
        self._taken = self._stored = 0  # numbers of writes: the last one taken, the last one stored
        self._binding = 0  # the last one taken that has more in it than what is certain
        self._certain: set[UUID] = set()  # outcomes that every replay would find, until they are stored
        self._unstored: set[UUID] = set()

    def empty_write(self) -> Write:
        claimed = self.claimed
        return Write(
            execution_id=claimed.id,
            claim=claimed.claim,
            generation=claimed.generation,
            parent_id=claimed.parent_id,
            deadline=claimed.deadline,
            seen_inbox=self.seen_inbox,
            had_crashes=claimed.crashes > 0,
        )

    def take_write(self) -> Write | None:
        """What is to be stored now, or None. One write of a turn is under way at a time."""
        with self.lock:
            write = self._write
            if self.abandoned or not self._has_something(write):
                return None
            self._write = self.empty_write()
            self._taken += 1
            if not self._is_certain(write):
                self._binding = self._taken
            if not write.unless_moved:
                write.seen_inbox = self.seen_inbox
            return write

    @property
    def has_something_to_store(self) -> bool:
        return self._has_something(self._write)

    @property
    def has_progress_to_store(self) -> bool:
        """Whether a replay would come further: an attempt that has only begun is none."""
        with self.lock:
            entries = [*self._write.entries.values(), *self._write.unless_moved.values()]
        return any(entry.status != "running" for entry in entries)

    def _has_something(self, write: Write) -> bool:
        return bool(write.entries or write.consumed) or self._has_more_than_outcomes(write)

    def _has_more_than_outcomes(self, write: Write) -> bool:
        return bool(
            write.ending
            or write.unless_moved
            or write.events
            or write.children
            or write.signals
            or write.forgotten
            or write.cancelled
            or write.state is not None
        )

    def put_back(self, write: Write) -> None:
        """A write could not be stored yet: it goes in front of what was recorded since."""
        with self.lock:
            later, self._write = self._write, write  # it keeps the number that the later one would have got
            write.entries.update(later.entries)
            write.unless_moved.update(later.unless_moved)
            for name in ("forgotten", "children", "events", "signals", "consumed", "cancelled"):
                getattr(write, name).extend(getattr(later, name))
            write.state = later.state if later.state is not None else write.state
            write.ending = later.ending or write.ending

    def publish_state(self) -> None:
        """Add `ctx.state` to the next write when it has changed."""
        if not self.state and self._state_text is None:
            return
        text = codec.encode(self.state, max_bytes=conf.max_payload_bytes())
        if text != self._state_text:
            self._state_text = text
            with self.lock:
                self._write.state = text

    def receive(self, write: Write, receipt: Receipt) -> None:
        """Learn what became of a write."""
        with self.lock:
            if receipt.verdict is Verdict.STORED:
                self._stored = self._taken
                self._certain.difference_update(write.entries)
                if write.unless_moved and receipt.inbox != write.seen_inbox:
                    self._unstored.update(write.unless_moved)
                else:
                    for entry in write.unless_moved.values():
                        self.journal.put(entry)
                if receipt.requested == "pause" and self.pausing is None and write.ending is None:
                    self.pausing = ""
            else:
                self.abandoned = self.unwinding = True
            self.changed.notify_all()
            self.wake()

    def was_stored(self, entry_id: UUID) -> bool:
        """Whether an entry that was to count `unless_moved` did."""
        with self.lock:
            if entry_id not in self._unstored:
                return True
            self._unstored.discard(entry_id)
            return False

    def mark(self, *, but_certain: bool = False) -> int:
        """The number of the write that will contain all that was recorded so far, or all but what is certain."""
        with self.lock:
            if but_certain and self._is_certain(self._write):
                return self._binding
            return self._taken + int(self._has_something(self._write))

    def call_certain(self, entry: Entry) -> Entry:
        """This outcome follows from what other commits have stored for good: a moment that has passed, the oldest
        message to a wait, the output of a child. So whoever replays would come to the same, and a body may begin
        before it is stored. Not where branches could come to it in another order; nor where the wait began in this
        turn, and may have no row by which changed code would be noticed.
        """
        with self.lock:
            if self.is_single_file and entry.created_at <= self.claimed.claimed_at:
                self._certain.add(entry.id)
        return entry

    @property
    def is_single_file(self) -> bool:
        """Whether no branch goes on beside the call that asks; each colour knows."""
        return False

    def _is_certain(self, write: Write) -> bool:
        """Whether there is nothing in it that a replay could miss, or find otherwise."""
        return not self._has_more_than_outcomes(write) and write.entries.keys() <= self._certain

    def is_stored(self, mark: int) -> bool:
        return self._stored >= mark

    def log(self, type: str, name: str, data: Mapping[str, Any]) -> None:
        """Add a row to the history of this execution."""
        text = codec.encode(data, max_bytes=4 * conf.max_payload_bytes())
        event = NewEvent(
            id=new_id(), type=type, name=name, execution_id=self.claimed.id, data=text, created_at=self.now()
        )
        with self.lock:
            self._write.events.append(event)
