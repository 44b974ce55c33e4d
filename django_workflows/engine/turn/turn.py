"""One turn: one claim's worth of progress of one execution. What both colours of workflows share.

A turn has what was loaded, what it may do, and what it wants stored; procedures record in it what happens. It does no
I/O: a committer takes its writes and hands it receipts, and a runner calls the workflow's function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol
from uuid import UUID

import msgspec

from django_workflows import codec, conf
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.values import ExecutionInfo
from django_workflows.clock import DatabaseClock
from django_workflows.engine.claims.loading import Loaded, Unread
from django_workflows.engine.commit.values import End, Ending, NewEvent, Receipt, Verdict, Write
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry, Journal
from django_workflows.engine.history.log import plain
from django_workflows.engine.turn.bodies import Bodies
from django_workflows.engine.turn.effects import MessageWait
from django_workflows.engine.turn.flags import Flags
from django_workflows.engine.turn.mailbox import Mailbox
from django_workflows.engine.turn.moments import Moments
from django_workflows.engine.turn.pending_write import PendingWrite
from django_workflows.engine.turn.precedence import Precedence
from django_workflows.engine.turn.secrets import Secrets
from django_workflows.exceptions import LimitExceeded, Parked, TypesChanged


class Committer(Protocol):
    """Takes the writes of turns and stores them: the pump of a worker, or the caller's own thread."""

    def note(self, turn: Turn) -> None:
        """The turn has something to store; there is no hurry."""

    def flush(self, turn: Turn) -> None:
        """The turn has something to store and waits for it."""


class Runner(Protocol):
    """Runs the workflow's function of one turn, and hears what concerns it."""

    def has_changed(self) -> None:
        """Something was stored or has arrived, or the claim is gone. Called from any thread."""

    def unwind(self) -> None:
        """Nobody goes on in this turn. Called by the workflow's own call of `ctx`."""


class Turn:
    """What procedures record, and what its committer takes. Its parts share the lock of its flags."""

    def __init__(
        self,
        loaded: Loaded,
        definition: WorkflowDefinition[..., Any],
        *,
        clock: DatabaseClock,
        committer: Committer,
        alias: str,
        runner: Runner,
    ) -> None:
        self.claimed, self.definition, self.clock = loaded.claimed, definition, clock
        self.committer, self.alias, self._runner = committer, alias, runner
        self.flags = Flags(runner.has_changed)
        self.lock = self.flags.lock
        moments = Moments(clock, loaded.claimed.claimed_at, self.lock)
        self.now, self.after = moments.now, moments.after
        self.journal = Journal(loaded.entries)
        self.mailbox = Mailbox(loaded, moments, self.flags)
        self.pending = PendingWrite(loaded.claimed, self.mailbox, self.flags)
        self.precedence = Precedence(self.flags)
        self.secrets = Secrets()
        self.bodies = Bodies(self.journal, self.pending, self.flags)
        self.started: dict[str, WorkflowDefinition[..., Any]] = {}  # children by key
        self.state: dict[str, Any] = {}  # what the workflow publishes as `ctx.state`
        self.steps = 0  # that came to an outcome in this turn
        self.may_have_children = False  # that they would stand too deep has been ruled out
        self._state_text = loaded.claimed.state
        self._suspects: set[str] = set()
        self._unrecorded: set[str] = set()  # keys of steps under way that have no row yet
        self._limit = conf.max_steps()

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

    def read(self, text: str | None, hint: Any = Any, key: str = "") -> Any:
        """A stored value, of the journal's row at `key`; one that cannot be read pauses the execution.

        One that only the hint does not fit is a mismatch of the code: another worker may know the old type.
        """
        try:
            return codec.decode(text if text is not None else "null", hint)
        except ValueError as error:
            if hint is not Any:
                self.read(text)
                raise TypesChanged(key, "the value that is stored", str(error)) from None
            self.park(f"A stored value cannot be read: {error}")

    def park(self, reason: str) -> NoReturn:
        """Pause the execution for an operator to mend something, and unwind."""
        self.flags.pause(reason)
        raise Parked from None

    def decide(self, ending: Ending) -> None:
        """The workflow asked for its own end; nothing goes on after it."""
        self.flags.decide(ending)
        self._runner.unwind()

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
            self._put(entry)
        self.committer.note(self)
        return entry

    @contextmanager
    def recording(self, key: str) -> Iterator[None]:
        """What is recorded inside gets into one write, or is not: `Parked` in a branch that has lost a race."""
        with self.lock:
            self.refuse_closed(key)
            yield

    def refuse_closed(self, key: str) -> None:
        """Raises `Parked` in a branch that has lost a race."""
        if self.mailbox.is_closed(key):
            raise Parked

    def close_branches(self, key: str, count: int, winner: int) -> None:
        """The race at `key` is decided: its other branches record nothing more."""
        with self.lock:
            self.mailbox.close(key, (index for index in range(count) if index != winner))
            self.flags.changed.notify_all()

    def _put(self, entry: Entry) -> None:
        with self.lock:
            self.journal.put(entry)
            self._unrecorded.discard(entry.key)
            self.pending.write.entries[entry.id] = entry

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
            self._put(msgspec.structs.replace(entry, status="skipped", seq=seq, completed_at=self.now()))
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
            if self.mailbox.message_for(wait) is not None:
                return None
            final = msgspec.structs.replace(entry, status=status, seq=self.journal.next_seq(), completed_at=self.now())
            self.pending.propose(final)
        self.committer.note(self)
        return final

    def add(self, change: Callable[[Write], None]) -> None:
        """Change the next write."""
        with self.lock:
            change(self.pending.write)
        self.committer.note(self)

    def take(self, entry: Entry, unread: Unread, text: str) -> Entry | None:
        """Consume a message and settle the wait that it answers, in one write; None when another branch was faster."""
        with self.lock:
            self.precedence.let_pass()
            self.refuse_closed(entry.key)
            if not self.mailbox.consume(unread):
                return None
            self.pending.write.consumed.append(unread.id)
            taken = self.settle(entry, "succeeded", output=text)
            self.precedence.go_ahead(entry.key)
            return taken

    def fall_back(self, to: int | None = None) -> None:
        """This thread is ahead in a race no more: see `Precedence`. What was held back is stored now."""
        if self.precedence.fall_back(to):
            self.committer.flush(self)

    def log(self, type: str, name: str, data: Mapping[str, Any]) -> None:
        """Add a row to the history of this execution."""
        text = codec.encode(data, max_bytes=4 * conf.max_payload_bytes())
        event = NewEvent(
            id=new_id(), type=type, name=name, execution_id=self.claimed.id, data=text, created_at=self.now()
        )
        with self.lock:
            self.pending.write.events.append(event)

    def publish_state(self) -> None:
        """Add `ctx.state` to the next write when it has changed."""
        if not self.state and self._state_text is None:
            return
        text = codec.encode(self.state, max_bytes=conf.max_payload_bytes())
        if text != self._state_text:
            self._state_text = text
            with self.lock:
                self.pending.write.state = text

    def open_children(self) -> list[UUID]:
        """Children that are not known to have ended. All of them: one may be awaited after its end was noticed."""
        return [entry.child_id for entry in list(self.journal) if entry.child_id is not None and not entry.is_final]

    def lost_attempts(self, scope: str, entry: Entry | None) -> int:
        """Attempts of the step about to be tried that died with their worker: one that has a row, or those that the
        execution counted before it reached the first step of this scope.
        """
        first = scope not in self._suspects
        self._suspects.add(scope)
        if entry is not None and entry.status == "running":
            return 1
        return self.claimed.crashes if first else 0

    # its committer, its end

    def take_write(self) -> Write | None:
        """What is to be stored now, or None."""
        with self.lock:
            if self.flags.abandoned or self.precedence.holds_back():
                return None
            return self.pending.take()

    def put_back(self, write: Write) -> None:
        """A write could not be stored yet."""
        with self.lock:
            self.pending.put_back(write)

    def receive(self, write: Write, receipt: Receipt) -> None:
        """Learn what became of a write."""
        with self.lock:
            if receipt.verdict is Verdict.STORED:
                for entry in self.pending.has_stored(write, receipt):
                    self.journal.put(entry)
                if receipt.requested == "pause" and self.flags.pausing is None and write.ending is None:
                    self.flags.pausing = ""
            else:
                self.flags.abandoned = self.flags.unwinding = True
            self.flags.tell()

    def set_ending(self, ending: Ending) -> None:
        """The last write. What is still open is closed, unless a later turn may need it."""
        with self.lock:
            if ending.end in {End.COMPLETE, End.RENEW}:
                for entry in [entry for entry in self.journal if not entry.is_final]:
                    self.skip(entry)
            if ending.end is End.RENEW:  # the new input takes the place of the old one
                past = {"generation": self.claimed.generation, "input": plain(self.claimed.input)}
                self.log("lifecycle", "continued as new", past)
            self.pending.write.ending = ending
