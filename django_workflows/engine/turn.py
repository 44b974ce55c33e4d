"""One turn: one claim's worth of progress of one execution. What both colours share.

A turn holds what was loaded, collects what is to be stored, and knows whether it may go on. It does no I/O: a committer
takes its writes and hands it receipts; `threads.py` and `loops.py` run the workflow's function.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Protocol
from uuid import UUID

import msgspec

from django_workflows import codec, conf
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.values import ExecutionInfo
from django_workflows.clock import DatabaseClock
from django_workflows.engine.effects import ChildWait, MessageWait, Stop, Wait
from django_workflows.engine.ids import new_id
from django_workflows.engine.journal import Entry, Journal
from django_workflows.engine.loading import ChildOutcome, Loaded, Unread
from django_workflows.engine.writes import End, Ending, NewEvent, Receipt, Verdict, Write
from django_workflows.exceptions import LimitExceeded, NonDeterminism, Parked

LATEST = datetime(9999, 12, 31, tzinfo=UTC)


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


class Turn:
    """State of one turn, guarded by `changed` (threads of branches, the committer and the caller share it)."""

    def __init__(
        self,
        loaded: Loaded,
        definition: WorkflowDefinition[..., Any],
        *,
        clock: DatabaseClock,
        committer: Committer,
        alias: str,
    ) -> None:
        self.claimed = claimed = loaded.claimed
        self.definition = definition
        self.clock = clock
        self.committer = committer
        self.alias = alias
        self.journal = Journal(loaded.entries)
        self.inbox: list[Unread] = loaded.inbox
        self.children: dict[UUID, ChildOutcome] = loaded.children
        self.seen_inbox = claimed.inbox
        self.state: dict[str, Any] = {}
        self.waits: dict[str, Wait] = {}
        self.in_flight: dict[str, InFlight] = {}
        self.started: dict[str, WorkflowDefinition[..., Any]] = {}  # children by key
        self.changed = threading.Condition(threading.RLock())
        self.unwinding = False  # nobody goes on in this turn
        self.abandoned = False  # the claim is gone
        self.has_ended = False  # the function is over
        self.pausing: str | None = None  # the reason, when the execution is to be paused
        self.releasing = False  # the worker is to end: the next barrier gives the execution back
        self.decided: Ending | None = None  # the workflow asked for its end
        self.mismatch: NonDeterminism | None = None
        self.swallowed = 0
        self.steps = 0  # that came to an outcome in this turn
        self._write = self.empty_write()
        self._state_text = claimed.state
        self._taken = self._stored = 0  # numbers of writes: the last one taken, the last one stored
        self._consumed: set[UUID] = set()
        self._unstored: set[UUID] = set()
        self._suspects: set[str] = set()
        self._closed: set[str] = set()  # scopes of branches that lost a race
        self._unrecorded: set[str] = set()  # keys of steps under way that have no row yet
        self._limit = conf.max_steps()
        self.secrets: set[str] = set()  # addresses that the workflow holds, which the journal must not show

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

    def now(self) -> datetime:
        return self.clock.now()

    def at_least(self) -> datetime:
        """A moment that has certainly come, by the database's clock: what was claimed was due."""
        return max(self.claimed.claimed_at, self.clock.at_least())

    def after(self, delay: timedelta) -> datetime:
        """The moment after a delay, no later than the calendar goes. After no delay it has come."""
        now = self.now() if delay > timedelta() else self.at_least()
        return LATEST if delay > LATEST - now else now + delay

    # recording

    def new_entry(self, key: str, kind: str, name: str, status: str = "scheduled", **values: Any) -> Entry:
        """A row that is not in the journal yet. Raises `LimitExceeded`."""
        with self.changed:
            self._unrecorded.add(key)
            count = len(self.journal) + len(self._unrecorded)
        if count > self._limit:
            raise LimitExceeded(
                f"This execution has {self._limit} steps, the most that WORKFLOWS['MAX_STEPS'] allows. Use ctx.loop() "
                "or ctx.continue_as_new() for what goes on for long."
            )
        with self.changed:
            seq = self.journal.next_seq()
        return Entry(
            id=new_id(), key=key, kind=kind, name=name, status=status, seq=seq, created_at=self.now(), **values
        )

    def record(self, entry: Entry) -> Entry:
        """Put an entry into the journal and into the next write. Raises `Parked` in a branch that has lost a race."""
        with self.changed:
            self.refuse_closed(entry.key)
            self._record(entry)
        self.committer.note(self)
        return entry

    @contextmanager
    def recording(self, key: str) -> Iterator[None]:
        """What is recorded inside gets into one write, or is not: `Parked` in a branch that has lost a race."""
        with self.changed:
            self.refuse_closed(key)
            yield

    def refuse_closed(self, key: str) -> None:
        if self._closed and self.is_closed(key):
            raise Parked

    def is_closed(self, key: str) -> bool:
        """Whether this key, or scope, belongs to a branch that has lost a race."""
        return any(key.startswith(prefix) for prefix in self._closed)

    def _record(self, entry: Entry) -> None:
        with self.changed:
            self.journal.put(entry)
            self._unrecorded.discard(entry.key)
            self._write.entries[entry.id] = entry

    def settle(self, entry: Entry, status: str, **values: Any) -> Entry:
        """Record the outcome of an entry."""
        with self.changed:
            final = msgspec.structs.replace(
                entry, status=status, seq=self.journal.next_seq(), completed_at=self.now(), **values
            )
            return self.record(final)

    def skip(self, entry: Entry) -> None:
        """Close an open entry that nobody waits for any more, whoever has recorded it."""
        with self.changed:
            seq = self.journal.next_seq()
            self._record(msgspec.structs.replace(entry, status="skipped", seq=seq, completed_at=self.now()))
        self.committer.note(self)

    def final_entry(self, entry: Entry, text: str | None) -> Entry:
        """The row of a step that succeeded, for those who store it themselves."""
        with self.changed:
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
        with self.changed:
            self.refuse_closed(entry.key)
            if self.message_for(wait) is not None:
                return None
            if not self._write.unless_moved:
                self._write.seen_inbox = self.seen_inbox
            final = msgspec.structs.replace(entry, status=status, seq=self.journal.next_seq(), completed_at=self.now())
            self._write.unless_moved[final.id] = final
        self.committer.note(self)
        return final

    def log(self, type: str, name: str, data: Mapping[str, Any]) -> None:
        """Add a row to the history of this execution."""
        text = codec.encode(data, max_bytes=4 * conf.max_payload_bytes())
        event = NewEvent(
            id=new_id(), type=type, name=name, execution_id=self.claimed.id, data=text, created_at=self.now()
        )
        with self.changed:
            self._write.events.append(event)

    def add(self, change: Callable[[Write], None]) -> None:
        """Change the next write."""
        with self.changed:
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

    def read(self, text: str | None, hint: Any = Any) -> Any:
        """A stored value; one that cannot be read pauses the execution instead of failing it."""
        try:
            return codec.decode(text if text is not None else "null", hint)
        except ValueError as error:
            self.park(f"A stored value cannot be read: {error}")

    def park(self, reason: str) -> NoReturn:
        """Pause the execution for an operator to mend something, and unwind."""
        with self.changed:
            self.pausing = reason
            self.unwinding = True
            self.changed.notify_all()
        raise Parked from None

    # storing

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
        with self.changed:
            write = self._write
            if self.abandoned or not self._has_something(write):
                return None
            self._write = self.empty_write()
            self._taken += 1
            if not write.unless_moved:
                write.seen_inbox = self.seen_inbox
            return write

    @property
    def has_something_to_store(self) -> bool:
        return self._has_something(self._write)

    @property
    def has_progress_to_store(self) -> bool:
        """Whether a replay would come further: an attempt that has only begun is none."""
        with self.changed:
            entries = [*self._write.entries.values(), *self._write.unless_moved.values()]
        return any(entry.status != "running" for entry in entries)

    def _has_something(self, write: Write) -> bool:
        return bool(
            write.entries
            or write.ending
            or write.unless_moved
            or write.events
            or write.children
            or write.signals
            or write.consumed
            or write.forgotten
            or write.cancelled
            or write.state is not None
        )

    def put_back(self, write: Write) -> None:
        """A write could not be stored yet: it goes in front of what was recorded since."""
        with self.changed:
            later, self._write = self._write, write  # it keeps the number that the later one would have got
            write.entries.update(later.entries)
            write.unless_moved.update(later.unless_moved)
            for name in ("forgotten", "children", "events", "signals", "consumed", "cancelled"):
                getattr(write, name).extend(getattr(later, name))
            write.state = later.state if later.state is not None else write.state
            write.ending = later.ending or write.ending

    def set_ending(self, ending: Ending) -> None:
        """The last write. What is still open is closed, unless a later turn may need it."""
        with self.changed:
            if ending.end in {End.COMPLETE, End.RENEW}:
                for entry in [entry for entry in self.journal if not entry.is_final]:
                    self.skip(entry)
            self._write.ending = ending

    def publish_state(self) -> None:
        """Add `ctx.state` to the next write when it has changed."""
        if not self.state and self._state_text is None:
            return
        text = codec.encode(self.state, max_bytes=conf.max_payload_bytes())
        if text != self._state_text:
            self._state_text = text
            with self.changed:
                self._write.state = text

    def receive(self, write: Write, receipt: Receipt) -> None:
        """Learn what became of a write."""
        with self.changed:
            if receipt.verdict is Verdict.STORED:
                self._stored = self._taken
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
        with self.changed:
            if entry_id not in self._unstored:
                return True
            self._unstored.discard(entry_id)
            return False

    @property
    def mark(self) -> int:
        """The number of the write that will contain all that was recorded so far."""
        with self.changed:
            return self._taken + int(self._has_something(self._write))

    def is_stored(self, mark: int) -> bool:
        return self._stored >= mark

    # waiting

    def resolve(self, wait: Wait) -> Any:
        """What a wait came to, or None while it goes on. A message before the deadline beats the deadline."""
        if isinstance(wait, Stop):
            return None
        if isinstance(wait, MessageWait) and (unread := self.message_for(wait)) is not None:
            return unread
        if isinstance(wait, ChildWait) and sum(id in self.children for id in wait.children) >= wait.needed:
            return True
        return True if wait.deadline is not None and wait.deadline <= self.at_least() else None

    def message_for(self, wait: MessageWait) -> Unread | None:
        for unread in self.inbox:
            # of an event the name too: an earlier generation may have left a message to a wait at the same position
            addressed = unread.step_key == (wait.key if wait.is_event else "") and unread.name == wait.name
            if addressed and (wait.deadline is None or unread.created_at <= wait.deadline):
                return unread
        return None

    def feed(self, inbox_number: int, unread: list[Unread], children: list[ChildOutcome]) -> None:
        """Hand on what has arrived since the turn began; ignored once the turn has looked for the last time."""
        with self.changed:
            if self.unwinding:
                return
            known = {message.id for message in self.inbox} | self._consumed
            self.inbox.extend(message for message in unread if message.id not in known)
            self.children.update({child.id: child for child in children})
            self.seen_inbox = max(self.seen_inbox, inbox_number)
            self.changed.notify_all()
            self.wake()

    def wake(self) -> None:
        """Called with every change; the loop's colour overrides it."""

    @property
    def may_start(self) -> bool:
        """Whether a new effect may begin in this turn."""
        return self.pausing is None and not self.releasing

    def open_waits(self) -> list[Wait]:
        with self.changed:
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

    # long bodies

    def enter(self, entry: Entry) -> None:
        self.in_flight[entry.key] = InFlight(entry, time.monotonic())

    def leave(self, key: str) -> None:
        with self.changed:
            self.in_flight.pop(key, None)

    def show_long_bodies(self, since: float) -> None:
        """Give a `running` row to bodies that began before `since`, and update their progress."""
        with self.changed:
            for body in self.in_flight.values():
                if body.since > since or (body.shown and body.progress is None):
                    continue
                output = body.progress if body.progress is not None else body.entry.output
                entry = msgspec.structs.replace(body.entry, status="running", output=output)
                body.entry, body.progress, body.shown = entry, None, True
                self.journal.put(entry)
                self._write.entries[entry.id] = entry

    # ends

    def decide(self, ending: Ending) -> None:
        """The workflow asked for its own end; nothing goes on after it."""
        with self.changed:
            self.decided = self.decided or ending
            self.unwinding = True
            self.changed.notify_all()

    def abandon(self) -> None:
        """The claim is gone or given back: whatever this turn still does is ignored."""
        with self.changed:
            self.abandoned = self.unwinding = True
            self.changed.notify_all()
        self.wake()
