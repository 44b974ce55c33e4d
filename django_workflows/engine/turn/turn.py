"""One turn: one claim's worth of progress of one execution. What both colours share.

A turn holds what was loaded, collects what is to be stored, and knows whether it may go on. It does no I/O: a committer
takes its writes and hands it receipts; `threads.py` and `loops.py` run the workflow's function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from django_workflows import codec, conf
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.values import ExecutionInfo
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded, Unread
from django_workflows.engine.commit.values import End, Ending, Write
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry, branch_prefix
from django_workflows.engine.history.log import plain
from django_workflows.engine.turn.effects import MessageWait
from django_workflows.engine.turn.pending_write import PendingWrite
from django_workflows.exceptions import LimitExceeded, Parked


class Committer(Protocol):
    """Takes the writes of turns and stores them."""

    def note(self, turn: Turn) -> None:
        """The turn has something to store; there is no hurry."""

    def flush(self, turn: Turn) -> None:
        """The turn has something to store and waits for it."""


class InFlight(msgspec.Struct):
    """A body that is running: its row, since when, and what it published."""

    entry: Entry
    since: float
    progress: str | None = None
    shown: bool = False


class Turn(PendingWrite):
    """What procedures record, and what its committer takes; the classes below it hold what is known and collected."""

    def __init__(
        self,
        loaded: Loaded,
        definition: WorkflowDefinition[..., Any],
        *,
        clock: DatabaseClock,
        committer: Committer,
        alias: str,
    ) -> None:
        super().__init__(loaded, definition, clock)
        self.committer = committer
        self.alias = alias
        self.in_flight: dict[str, InFlight] = {}
        self.started: dict[str, WorkflowDefinition[..., Any]] = {}  # children by key
        self.secrets: set[str] = set()  # addresses that the workflow holds, which the journal must not show
        self.steps = 0  # that came to an outcome in this turn
        self.may_have_children = False  # that they would stand too deep has been ruled out
        self._suspects: set[str] = set()
        self._unrecorded: set[str] = set()  # keys of steps under way that have no row yet
        self._limit = conf.max_steps()

    def without_secrets(self, value: Any) -> Any:
        """What people are to read, without the addresses that the workflow was given for one of them alone."""
        if isinstance(value, dict):
            return {name: self.without_secrets(inner) for name, inner in value.items()} if self.secrets else value
        for secret in tuple(self.secrets):  # other branches may add to them
            value = value.replace(secret, "…") if isinstance(value, str) else value
        return value

    # what a workflow may know

    @property
    def info(self) -> ExecutionInfo:
        claimed = self.claimed
        return ExecutionInfo(
            id=claimed.id,
            workflow=claimed.workflow,
            version=claimed.version,
            generation=claimed.generation,
            key=claimed.key,
            tags=codec.decode(claimed.tags) if claimed.tags else {},
            parent=claimed.parent_id,
            queue=claimed.queue,
            attempt=claimed.crashes + 1,
        )

    # recording

    def new_entry(self, key: str, kind: str, name: str, status: str = "scheduled", **values: Any) -> Entry:
        """A row that is not in the journal yet. Raises `LimitExceeded`."""
        with self.lock:
            self._unrecorded.add(key)
            count = len(self.journal) + len(self._unrecorded)
        if count > self._limit:
            raise LimitExceeded(
                f"This execution has {self._limit} steps, the most that WORKFLOWS['MAX_STEPS'] allows. Use ctx.loop() "
                "or ctx.continue_as_new() for what goes on for long."
            )
        with self.lock:
            seq = self.journal.next_seq()
        return Entry(
            id=new_id(), key=key, kind=kind, name=name, status=status, seq=seq, created_at=self.now(), **values
        )

    def record(self, entry: Entry) -> Entry:
        """Put an entry into the journal and into the next write. Raises `Parked` in a branch that has lost a race."""
        with self.lock:
            self.refuse_closed(entry.key)
            self._record(entry)
        self.committer.note(self)
        return entry

    @contextmanager
    def recording(self, key: str) -> Iterator[None]:
        """What is recorded inside gets into one write, or is not: `Parked` in a branch that has lost a race."""
        with self.lock:
            self.refuse_closed(key)
            yield

    def refuse_closed(self, key: str) -> None:
        if self._closed and self.is_closed(key):
            raise Parked

    def close_branches(self, key: str, count: int, winner: int) -> None:
        """The race at `key` is decided: its other branches record nothing more."""
        with self.lock:
            self._closed.update(branch_prefix(key, index) for index in range(count) if index != winner)

    def _record(self, entry: Entry) -> None:
        with self.lock:
            self.journal.put(entry)
            self._unrecorded.discard(entry.key)
            self._write.entries[entry.id] = entry

    def settle(self, entry: Entry, status: str, **values: Any) -> Entry:
        """Record the outcome of an entry."""
        with self.lock:
            final = msgspec.structs.replace(
                entry, status=status, seq=self.journal.next_seq(), completed_at=self.now(), **values
            )
            return self.record(final)

    def skip(self, entry: Entry) -> None:
        """Close an open entry that nobody waits for any more, whoever has recorded it."""
        with self.lock:
            seq = self.journal.next_seq()
            self._record(msgspec.structs.replace(entry, status="skipped", seq=seq, completed_at=self.now()))
        self.committer.note(self)

    def final_entry(self, entry: Entry, text: str | None) -> Entry:
        """The row of a step that succeeded, for those who store it themselves."""
        with self.lock:
            return msgspec.structs.replace(
                entry,
                status="succeeded",
                seq=self.journal.next_seq(),
                output=text,
                error=None,
                deadline=None,
                completed_at=self.now(),
            )

    def settle_unless_moved(self, entry: Entry, status: str, wait: MessageWait) -> Entry | None:
        """Propose an outcome that holds only if nothing has arrived in the inbox since it was read; None if it has."""
        with self.lock:
            self.refuse_closed(entry.key)
            if self.message_for(wait) is not None:
                return None
            if not self._write.unless_moved:
                self._write.seen_inbox = self.seen_inbox
            final = msgspec.structs.replace(entry, status=status, seq=self.journal.next_seq(), completed_at=self.now())
            self._write.unless_moved[final.id] = final
        self.committer.note(self)
        return final

    def add(self, change: Callable[[Write], None]) -> None:
        """Change the next write."""
        with self.lock:
            change(self._write)
        self.committer.note(self)

    def take(self, entry: Entry, unread: Unread, text: str) -> Entry | None:
        """Consume a message and settle the wait that it answers, in one write; None when another branch was faster."""
        with self.recording(entry.key):
            if unread.id in self._consumed:
                return None
            self.inbox.remove(unread)
            self._consumed.add(unread.id)
            self._write.consumed.append(unread.id)
            return self.settle(entry, "succeeded", output=text)

    def lost_attempts(self, scope: str, entry: Entry | None) -> int:
        """Attempts of the step about to be tried that died with their worker: one that has a row, or those that the
        execution counted before it reached the first step of this scope.
        """
        first = scope not in self._suspects
        self._suspects.add(scope)
        if entry is not None and entry.status == "running":
            return 1
        return self.claimed.crashes if first else 0

    # its end

    def set_ending(self, ending: Ending) -> None:
        """The last write. What is still open is closed, unless a later turn may need it."""
        with self.lock:
            if ending.end in {End.COMPLETE, End.RENEW}:
                for entry in [entry for entry in self.journal if not entry.is_final]:
                    self.skip(entry)
            if ending.end is End.RENEW:  # the new input takes the place of the old one
                past = {"generation": self.claimed.generation, "input": plain(self.claimed.input)}
                self.log("lifecycle", "continued as new", past)
            self._write.ending = ending

    # long bodies

    def enter(self, entry: Entry) -> None:
        self.in_flight[entry.key] = InFlight(entry, time.monotonic())

    def leave(self, key: str) -> None:
        with self.lock:
            self.in_flight.pop(key, None)

    def show_long_bodies(self, since: float) -> None:
        """Give a `running` row to bodies that began before `since`, and update their progress."""
        with self.lock:
            for body in self.in_flight.values():
                if body.since > since or (body.shown and body.progress is None):
                    continue
                output = body.progress if body.progress is not None else body.entry.output
                entry = msgspec.structs.replace(body.entry, status="running", output=output)
                body.entry, body.progress, body.shown = entry, None, True
                self.journal.put(entry)
                self._write.entries[entry.id] = entry
