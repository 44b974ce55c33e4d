"""The one thread of a worker process that speaks with the engine's tables.

It repeats: take what the turns want stored and write it in one group commit; claim as many due executions as can start
now; hand them out. Under load a commit carries dozens of outcomes; when idle it carries one, at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.clock import DatabaseClock, database_now, grain_of, monotonic
from django_workflows.engine.claims import claims
from django_workflows.engine.worker.chores import Attendant, Chore
from django_workflows.engine.claims.claims import Claimed, Peek
from django_workflows.engine.database.transactions import keep_plans, reading, single
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.worker.claimer import Harvest
from django_workflows.engine.worker.commit_queue import Intake
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.worker.polling import Lookout
from django_workflows.engine.database.outages import UNREACHABLE, Outage, refuse_read_only
from django_workflows.engine.database.pulse import Pulse
from django_workflows.engine.worker.capabilities import Diet, Repertoire
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.in_flight import Watch
from django_workflows.engine.commit.values import Ending, Receipt, Verdict, Write

logger = logging.getLogger("django_workflows")

IDLE_SECONDS = 0.2  # a drain ends when nothing has been due for so long
WORTH_TELLING = 6  # refusals of one write in a row
CLAIM_SECONDS = 0.010  # while most slots are taken, claim only so often: a claim costs as much as a commit


class Crew(Protocol):
    """Executes turns; tells how many more it could take."""

    def free(self) -> tuple[int, int]:
        """Free slots for `def` and for `async def` workflows."""

    def execute(self, loaded: Sequence[Loaded]) -> None:
        """Begin these turns."""


class Reporter(Protocol):
    """Hears what a pump does."""

    def ended(self, turn: Turn, ending: Ending) -> None: ...
    def looked(self, peek: Peek) -> None: ...
    def held(self, count: int) -> None: ...


class Pump:
    """Commits and claims for one worker process. `run()` returns when it has been stopped and holds nothing."""

    crew: Crew
    clock: DatabaseClock

    def __init__(
        self, worker: UUID, diet: Diet, *, alias: str, chores: Sequence[Chore] = (), reporter: Reporter
    ) -> None:
        self.worker, self.repertoire, self.alias = worker, Repertoire(diet, alias), alias
        self.lookout = Lookout(diet.queues, alias)
        self._chores, self._reporter = chores, reporter
        self._held: dict[UUID, Turn] = {}
        self._intake = Intake()
        self._watch = Watch(alias)
        self._harvest = Harvest(worker, self.repertoire, alias=alias, held=self._held, watch=self._watch)
        self._outage = Outage(alias)
        self._stop_by: float | None = None
        self._crashed = False
        self._has_moved = False  # something, by a chore, since this was looked at
        self.pulse = Pulse("the pump")
        self.attendant: Attendant | None = None  # does the chores in a thread of its own; without, they are done here
        self._idle_since: float | None = None
        self.note, self.flush = self._intake.note, self._intake.flush  # for turns, from any thread

    @property
    def diet(self) -> Diet:
        return self.repertoire.diet

    @property
    def held(self) -> int:
        return len(self._held)

    # from any thread

    def wake_up(self, queue: str, priority: int | None = None) -> None:
        """There may be work in this queue; there is where a priority is named."""
        if self.lookout.wake_up(queue, priority):
            self._intake.ring()

    def stop(self, grace: float, *, crashed: bool = False) -> None:
        """Claim no more; after `grace` seconds give back what is still held, as crashed or not."""
        self._crashed = self._crashed or crashed
        stop_by = monotonic() + grace
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self._intake.ring()

    def hold(self, turn: Turn) -> None:
        """The crew has begun this turn."""
        self._held[turn.claimed.id] = turn
        self._reporter.held(len(self._held))

    def drop(self, turn: Turn) -> None:
        """The turn is over, and has nothing to store because its claim was lost."""
        self._intake.forget(turn)
        self._release(turn)
        self._intake.ring()

    def _release(self, turn: Turn) -> None:
        if self._held.get(turn.claimed.id) is turn:
            del self._held[turn.claimed.id]

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
                self._commit(self._intake.take())
                self._claim()
                self._attend()
                self._outage.is_over()
            except UNREACHABLE as error:
                self._wait_out(error)
            self.pulse.rest()
            self._intake.sleep(self._next_at)
        self.pulse.rest()
        self._give_back()

    def _connect(self) -> None:
        connections[self.alias].ensure_connection()  # not to count the time that it takes
        keep_plans(self.alias)
        moment = monotonic()
        self.clock = DatabaseClock(database_now(self.alias), moment, grain_of(connections[self.alias].vendor))

    def _connect_to_write(self) -> None:
        self._connect()
        refuse_read_only(self.alias, self.worker)

    def _is_finished(self, until_idle: float | None) -> bool:
        if self._stop_by is not None:
            for turn in list(self._held.values()):
                turn.releasing = True
            return not self._held or monotonic() > self._stop_by
        return until_idle is not None and self._has_drained(until_idle)

    def _has_drained(self, until_idle: float) -> bool:
        if self.attendant is not None and not self.attendant.is_idle:
            self._idle_since = None
            return False
        if self._has_moved:
            self._has_moved = False
            self._idle_since = None  # what was woken is not due in what was seen
        if self._held or not self._harvest.is_empty or self.lookout.is_due_within(until_idle, self.clock.now()):
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or monotonic()
        last_look = self._idle_since + IDLE_SECONDS
        self.lookout.look_by(last_look)
        return self.lookout.peeked_at >= last_look

    # committing

    def _commit(self, turns: Sequence[Turn]) -> None:
        """Everything that these turns want stored, in one transaction."""
        self._watch.note(turns)
        batch = [(turn, write) for turn in turns if (write := turn.take_write()) is not None]
        if not batch:
            return
        try:
            receipts = store_all(self.alias, [write for _, write in batch], self.clock.sync)
        except UNREACHABLE:
            for turn, write in batch:
                turn.put_back(write)
            self._intake.put_back(turn for turn, _ in batch)
            raise
        self._intake.expect(sum(write.ending is None for _, write in batch))
        for (turn, write), receipt in zip(batch, receipts, strict=True):
            self._settle(turn, write, receipt)

    def _settle(self, turn: Turn, write: Write, receipt: Receipt) -> None:
        if receipt.verdict is Verdict.POSTPONED:
            self._postpone(turn, write, receipt.error)
            return
        self._intake.was_stored(turn)
        turn.receive(write, receipt)
        if receipt.verdict is Verdict.REFUSED:
            self._reporter.ended(turn, self._watch.refuse(turn, receipt))
        elif receipt.verdict is Verdict.STORED and write.ending is not None:
            self._has_ended(turn, write, write.ending, receipt)
        if write.ending is not None or turn.abandoned:
            self._release(turn)
        if write.moves_others:
            self.wake_up("")
            self._watch.wake_others(write, self.lookout.queues, busy=self._is_busy())

    def _postpone(self, turn: Turn, write: Write, error: Exception | None) -> None:
        turn.put_back(write)
        if error is None:  # only locked
            self._intake.postpone(turn)
        elif self._intake.postpone_longer(turn) == WORTH_TELLING:
            self._watch.tell_unstored(turn, error)

    def _has_ended(self, turn: Turn, write: Write, ending: Ending, receipt: Receipt) -> None:
        if self._holds(turn):
            self._reporter.ended(turn, ending.as_told(receipt.requested))
        now = self.clock.now()
        if (due := write.due_after(receipt.inbox, now)) is not None:
            self.lookout.expect(due, now)

    def _holds(self, turn: Turn) -> bool:
        """Not when it was told of before: a function that could not be stopped has come to its end after all."""
        return self._held.get(turn.claimed.id) is turn

    # claiming

    def _free(self) -> dict[bool, int]:
        """Free slots by colour: for `async def` workflows, or not."""
        plain, asynchronous = self.crew.free()
        return {False: plain, True: asynchronous}

    def _is_busy(self) -> bool:
        """Whether slots of one colour are all taken: who is woken may be of that colour."""
        free, diet = self._free(), self.diet
        return bool((diet.plain and free[False] <= 0) or (diet.asynchronous and free[True] <= 0))

    def _claim(self) -> None:
        """Take due executions while slots are free, the highest priority first."""
        if self._stop_by is not None:
            return
        free, now = self._free(), monotonic()
        if not any(count > 0 for count in free.values()):
            if now >= self.lookout.chores_at:
                self._peek()  # nothing can be taken, but events are dispatched and schedules fire all the same
            return
        if (self._harvest.is_empty and now < self.lookout.look_at) or now < self._claim_at(free):
            return
        told = self.lookout.take_told()
        if now >= (self.lookout.see_at if self._harvest.is_empty else self.lookout.peek_at):
            self._peek()  # which sees what is told as well, and what is higher than that
        else:
            self._harvest.hear(told)
        self._harvest.take(free, self._begin, lambda: self.wake_up(""))

    def _claim_at(self, free: dict[bool, int]) -> float:
        """When the next claim is worth its cost: at once while more slots are free than taken."""
        return self._harvest.claimed_at + CLAIM_SECONDS if sum(free.values()) < len(self._held) else 0.0

    def _begin(self, loaded: Sequence[Loaded]) -> None:
        self._intake.expect(len(loaded))
        self.crew.execute(loaded)

    def cannot_begin(self, claimed: Claimed, error: Exception) -> None:
        """What was claimed has no turn: its workflow cannot be read."""
        self._harvest.park(claimed, error)

    def _peek(self) -> None:
        """Look at what is due, and do what else there is to do now and then."""
        self.lookout.discover_queues()
        ask = reading if self._is_draining else single  # who is about to end must have seen everything
        moment, peek = ask(self.alias, self._ask)
        self.clock.sync(peek.now, moment)
        self._harvest.plan(peek)
        self.lookout.plan(peek, moment)
        self._reporter.looked(peek)
        if self.attendant is not None:
            self.attendant.look(peek)
        moved = [chore(self.alias, peek) for chore in self._chores]
        if any(moved):
            self.attended(True)

    def attended(self, has_moved: bool) -> None:
        """The chores of a look are done; whether they have moved anything. From any thread."""
        if has_moved:
            self._has_moved = True
            self.lookout.did_chores(monotonic())
            self.wake_up("")
        self._intake.ring()

    @property
    def _is_draining(self) -> bool:
        """Whether it ends unless the next looks find something."""
        return self._idle_since is not None

    def _ask(self, cursor: CursorWrapper) -> tuple[float, Peek]:
        dialect = dialect_of(connections[self.alias])
        queues, complete = self.lookout.queues, self._is_draining
        return monotonic(), claims.peek(cursor, dialect, queues, alone=self.diet.alone, complete=complete)

    # attending to what is under way

    def _attend(self) -> None:
        for turn in self._watch.attend(self._held, self.clock.at_least()):
            self._intake.note(turn)
        for turn, ending in self._watch.take_timed_out():
            self._reporter.ended(turn, ending)
            self._release(turn)
            self.wake_up("")
        self._reporter.held(len(self._held))
        if self._harvest.release_orphans():
            self.wake_up("")

    def _next_at(self) -> float:
        """When there is something to do that turns do not ask for."""
        moments = [self._watch.next_at(bool(self._held))]
        if self._stop_by is not None:
            moments.append(self._stop_by if self._held else 0.0)
            return min(moments)
        moments.append(self._next_claim_at(self._free()))
        return min(moments)

    def _next_claim_at(self, free: dict[bool, int]) -> float:
        """When `_claim` has something to do."""
        if not any(free.values()):
            return self.lookout.chores_at
        if self._harvest.is_empty:
            look_at = self.lookout.look_at
        else:
            look_at = 0.0 if self._harvest.can_take(free) else self.lookout.peek_at
        return max(look_at, self._claim_at(free))

    # outages, the end

    def _wait_out(self, error: Exception) -> None:
        """The database is away; afterwards go on with what was claimed just before and never reached a turn."""
        self.pulse.rest()
        if not self._outage.wait_out(error, self._connect_to_write, lambda: self._stop_by):
            return
        self.lookout.look_now()
        self._idle_since = None  # what was seen may have been left undone
        self._harvest.expect_orphans()
        try:
            if taken := self._harvest.read_back():
                self._begin(self._harvest.load(taken))
        except UNREACHABLE:
            self._intake.ring()

    def _give_back(self) -> None:
        """The grace is over: bodies still running lose their claims, and somebody else does them again."""
        held = list(self._held.values())
        if held:
            logger.warning("Giving back %d executions whose steps did not end in time.", len(held))
        for turn in held:
            turn.show_long_bodies(monotonic())  # these attempts are lost, and are counted by their rows
        try:
            self._commit(list(dict.fromkeys([*self._intake.take_all(), *held])))
            for turn in held:
                turn.abandon()
            self._harvest.release_all(crashed=self._crashed)
        except UNREACHABLE as error:
            logger.warning("The database cannot be reached (%s); what is held is free when its lease ends.", error)
