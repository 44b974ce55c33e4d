"""The one thread of a worker process that speaks with the engine's tables.

It repeats: take what the turns want stored and write it in one group commit; claim as many due executions as can start
now; hand them out. Under load a commit carries dozens of outcomes; when idle it carries one, at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.clock import DatabaseClock, database_now, grain_of, monotonic
from django_workflows.engine.claims import claims
from django_workflows.engine.claims.claims import Claimed, Peek
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.after_turn import forecast
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Ending, Receipt, Verdict, Write
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.outages import UNREACHABLE, Outage, refuse_read_only
from django_workflows.engine.database.pulse import Pulse
from django_workflows.engine.database.transactions import keep_plans, reading, single
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.capabilities import Capabilities, LearnedCapabilities
from django_workflows.engine.worker.chores import Attendant
from django_workflows.engine.worker.claimer import Claimer
from django_workflows.engine.worker.core import Core
from django_workflows.engine.worker.in_flight import Watch

logger = logging.getLogger("django_workflows")

IDLE_SECONDS = 0.2  # a drain ends when nothing has been due for so long
WORTH_TELLING = 6  # refusals of one write in a row
CLAIM_SECONDS = 0.010  # while most slots are taken, claim only so often: a claim costs as much as a commit


class Executor(Protocol):
    """Executes turns; tells how many more it could take."""

    def free(self) -> tuple[int, int]:
        """Free slots for `def` and for `async def` workflows."""

    def execute(self, loaded: Sequence[Loaded], clock: DatabaseClock) -> Sequence[tuple[Claimed, Exception]]:
        """Begin these turns; the claims that cannot have one, because their workflow cannot be read, and why."""


class Reporter(Protocol):
    """Hears what a pump does."""

    def ended(self, turn: Turn, ending: Ending) -> None: ...
    def looked(self, peek: Peek) -> None: ...


class Pump:
    """Commits and claims for one worker process. `run()` returns when it has been stopped and holds nothing."""

    def __init__(
        self,
        core: Core,
        worker: UUID,
        capabilities: Capabilities,
        *,
        executor: Executor,
        attendant: Attendant,
        reporter: Reporter,
    ) -> None:
        self.worker, self.alias = worker, core.alias
        self.core, self._polling, self._commit_queue = core, core.polling, core.commit_queue
        self._learned = LearnedCapabilities(capabilities, core.alias)
        self._executor, self._attendant, self._reporter = executor, attendant, reporter
        self._watch = Watch(core.alias)
        self._claimer = Claimer(worker, self._learned, alias=core.alias, held=core.held, watch=self._watch)
        self._outage = Outage(core.alias)
        self._clock = DatabaseClock(datetime.now(UTC), monotonic())  # until the database is asked
        self._stop_by: float | None = None
        self._crashed = False
        self.pulse = Pulse("the pump")
        self._idle_since: float | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What it takes now: definitions that it meets are added."""
        return self._learned.capabilities

    # from any thread

    def stop(self, grace: float, *, crashed: bool = False) -> None:
        """Claim no more; after `grace` seconds give back what is still held, as crashed or not."""
        self._crashed = self._crashed or crashed
        stop_by = monotonic() + grace
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self._commit_queue.ring()

    # the cycle

    def run(self, *, until_idle: float | None = None) -> None:
        """Work until stopped, or until nothing has been due for `until_idle` seconds nor will be within them."""
        self.pulse.adopt()
        try:
            self._connect()
        except UNREACHABLE as error:
            self._wait_out(error)
        while not self._is_finished(until_idle):
            self.pulse.work()
            try:
                self._commit(self._commit_queue.take())
                self._claim()
                self._attend()
                self._outage.is_over()
            except UNREACHABLE as error:
                self._wait_out(error)
            self.pulse.rest()
            self._commit_queue.sleep(self._next_at)
        self.pulse.rest()
        self._give_back()

    def _connect(self) -> None:
        connections[self.alias].ensure_connection()  # not to count the time that it takes
        keep_plans(self.alias)
        moment = monotonic()
        self._clock = DatabaseClock(database_now(self.alias), moment, grain_of(connections[self.alias].vendor))

    def _connect_to_write(self) -> None:
        self._connect()
        refuse_read_only(self.alias, self.worker)

    def _is_finished(self, until_idle: float | None) -> bool:
        if self._stop_by is not None:
            for turn in list(self.core.held.values()):
                turn.flags.releasing = True
            return not self.core.held or monotonic() > self._stop_by
        return until_idle is not None and self._has_drained(until_idle)

    def _has_drained(self, until_idle: float) -> bool:
        if not self._attendant.is_idle:
            self._idle_since = None
            return False
        if self._attendant.has_moved():
            self._idle_since = None  # what was woken is not due in what was seen
        if self.core.held or not self._claimer.is_empty or self._polling.is_due_within(until_idle, self._clock.now()):
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or monotonic()
        last_look = self._idle_since + IDLE_SECONDS
        self._polling.look_by(last_look)
        return self._polling.peeked_at >= last_look

    # committing

    def _commit(self, turns: Sequence[Turn]) -> None:
        """Everything that these turns want stored, in one transaction."""
        self._watch.note(turns)
        batch = [(turn, write) for turn in turns if (write := turn.take_write()) is not None]
        if not batch:
            return
        try:
            receipts = store_all(self.alias, [write for _, write in batch], self._clock.sync)
        except UNREACHABLE:
            for turn, write in batch:
                turn.put_back(write)
            self._commit_queue.put_back(turn for turn, _ in batch)
            raise
        self._commit_queue.expect(sum(write.ending is None for _, write in batch))
        for (turn, write), receipt in zip(batch, receipts, strict=True):
            self._settle(turn, write, receipt)

    def _settle(self, turn: Turn, write: Write, receipt: Receipt) -> None:
        if receipt.verdict is Verdict.POSTPONED:
            self._postpone(turn, write, receipt.error)
            return
        self._commit_queue.was_stored(turn)
        turn.receive(write, receipt)
        if receipt.verdict is Verdict.REFUSED:
            self._reporter.ended(turn, self._watch.refuse(turn, receipt))
        elif receipt.verdict is Verdict.STORED and write.ending is not None:
            self._has_ended(turn, write, write.ending, receipt)
        if write.ending is not None or turn.flags.abandoned:
            self.core.release(turn)
        if write.moves_others:
            self.core.wake_up("")
            self._watch.wake_others(write, self._polling.queues, busy=self._is_busy())

    def _postpone(self, turn: Turn, write: Write, error: Exception | None) -> None:
        turn.put_back(write)
        if error is None:  # only locked
            self._commit_queue.postpone(turn)
        elif self._commit_queue.postpone_longer(turn) == WORTH_TELLING:
            self._watch.tell_unstored(turn, error)

    def _has_ended(self, turn: Turn, write: Write, ending: Ending, receipt: Receipt) -> None:
        if self.core.holds(turn):  # else it was told of before: a function that could not be stopped comes to its end
            self._reporter.ended(turn, ending.as_told(receipt.requested))
        now = self._clock.now()
        if (due := forecast(write, receipt, now)) is not None:
            self._polling.expect(due, now)

    # claiming

    def _free(self) -> dict[bool, int]:
        """Free slots by colour: for `async def` workflows, or not."""
        plain, asynchronous = self._executor.free()
        return {False: plain, True: asynchronous}

    def _is_busy(self) -> bool:
        """Whether slots of one colour are all taken: who is woken may be of that colour."""
        free, capabilities = self._free(), self.capabilities
        return bool((capabilities.plain and free[False] <= 0) or (capabilities.asynchronous and free[True] <= 0))

    def _claim(self) -> None:
        """Take due executions while slots are free, the highest priority first."""
        if self._stop_by is not None:
            return
        free, now = self._free(), monotonic()
        if not any(count > 0 for count in free.values()):
            if now >= self._polling.chores_at:
                self._peek()  # nothing can be taken, but events are dispatched and schedules fire all the same
            return
        if (self._claimer.is_empty and now < self._polling.look_at) or now < self._claim_at(free):
            return
        told = self._polling.take_told()
        if now >= (self._polling.see_at if self._claimer.is_empty else self._polling.peek_at):
            self._peek()  # which sees what is told as well, and what is higher than that
        else:
            self._claimer.hear(told)
        self._claimer.take(free, self._begin, lambda: self.core.wake_up(""))

    def _claim_at(self, free: dict[bool, int]) -> float:
        """When the next claim is worth its cost: at once while more slots are free than taken."""
        return self._claimer.claimed_at + CLAIM_SECONDS if sum(free.values()) < len(self.core.held) else 0.0

    def _begin(self, loaded: Sequence[Loaded]) -> None:
        self._commit_queue.expect(len(loaded))
        for claimed, error in self._executor.execute(loaded, self._clock):
            self._claimer.park(claimed, error)

    def _peek(self) -> None:
        """Look at what is due, and do what else there is to do now and then."""
        self._polling.discover_queues()
        ask = reading if self._is_draining else single  # who is about to end must have seen everything
        moment, peek = ask(self.alias, self._ask)
        self._clock.sync(peek.now, moment)
        self._claimer.plan(peek)
        self._polling.plan(peek, moment)
        self._reporter.looked(peek)
        self._attendant.look(peek)

    @property
    def _is_draining(self) -> bool:
        """Whether it ends unless the next looks find something."""
        return self._idle_since is not None

    def _ask(self, cursor: CursorWrapper) -> tuple[float, Peek]:
        dialect = dialect_of(connections[self.alias])
        queues, complete = self._polling.queues, self._is_draining
        return monotonic(), claims.peek(cursor, dialect, queues, alone=self.capabilities.alone, complete=complete)

    # attending to what is under way

    def _attend(self) -> None:
        for turn in self._watch.attend(self.core.held, self._clock.at_least()):
            self._commit_queue.note(turn)
        for turn, ending in self._watch.take_timed_out():
            self._reporter.ended(turn, ending)
            self.core.release(turn)
            self.core.wake_up("")
        self.core.tell_held()
        if self._claimer.release_orphans():
            self.core.wake_up("")

    def _next_at(self) -> float:
        """When there is something to do that turns do not ask for."""
        moments = [self._watch.next_at(bool(self.core.held))]
        if self._stop_by is not None:
            moments.append(self._stop_by if self.core.held else 0.0)
            return min(moments)
        moments.append(self._next_claim_at(self._free()))
        return min(moments)

    def _next_claim_at(self, free: dict[bool, int]) -> float:
        """When `_claim` has something to do."""
        if not any(free.values()):
            return self._polling.chores_at
        if self._claimer.is_empty:
            look_at = self._polling.look_at
        else:
            look_at = 0.0 if self._claimer.can_take(free) else self._polling.peek_at
        return max(look_at, self._claim_at(free))

    # outages, the end

    def _wait_out(self, error: Exception) -> None:
        """The database is away; afterwards go on with what was claimed just before and never reached a turn."""
        self.pulse.rest()
        if not self._outage.wait_out(error, self._connect_to_write, lambda: self._stop_by):
            return
        self._polling.look_now()
        self._idle_since = None  # what was seen may have been left undone
        self._claimer.expect_orphans()
        try:
            if taken := self._claimer.read_back():
                self._begin(self._claimer.load(taken))
        except UNREACHABLE:
            self._commit_queue.ring()

    def _give_back(self) -> None:
        """The grace is over: bodies still running lose their claims, and somebody else does them again."""
        held = list(self.core.held.values())
        if held:
            logger.warning("Giving back %d executions whose steps did not end in time.", len(held))
        for turn in held:
            turn.bodies.show_long(monotonic())  # these attempts are lost, and are counted by their rows
        try:
            self._commit(list(dict.fromkeys([*self._commit_queue.take_all(), *held])))
            for turn in held:
                turn.flags.abandon()
            self._claimer.release_all(crashed=self._crashed)
        except UNREACHABLE as error:
            logger.warning("The database cannot be reached (%s); what is held is free when its lease ends.", error)
