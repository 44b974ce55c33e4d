"""The one thread of a worker process that speaks with the engine's tables.

It repeats: take what the turns want stored and write it in one group commit; claim as many due executions as can start
now; hand them out. Under load a commit carries dozens of outcomes; when idle it carries one, at once.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.clock import DatabaseClock, database_now, monotonic
from django_workflows.engine import claiming, loading
from django_workflows.engine.claiming import QUARANTINE_AFTER, Appetite, Claimed, Peek
from django_workflows.engine.database import AmbiguousCommit, ConnectionLost, Dialect, dialect_of, keep_plans, single
from django_workflows.engine.loading import Loaded
from django_workflows.engine.repertoire import Diet, Repertoire
from django_workflows.engine.storing import store_all
from django_workflows.engine.turn import Turn
from django_workflows.engine.watching import Watch
from django_workflows.engine.writes import End, Ending, Receipt, Verdict, Write

logger = logging.getLogger("django_workflows")

UNREACHABLE = (ConnectionLost, AmbiguousCommit, DatabaseError, InterfaceError)
LONGEST_PAUSE = 5.0

NOTED_SECONDS = 0.005  # a result without hurry is stored together with what follows within this time
LOCKED_SECONDS = 0.05  # when somebody else has locked its row, it is tried again this much later
AGAIN_SECONDS = (0.010, 0.025)  # after a wake-up, look again: NOTIFY is throttled, and CockroachDB hides fresh rows
ORPHANS_SECONDS = 5.0  # a worker looks this often for claims of its own that no turn has
DISCOVER_SECONDS = 2.0  # a worker of all queues looks this often for new ones
IDLE_SECONDS = 0.2  # a drain ends when nothing has been due for so long
GATHER_SECONDS = 0.002  # a commit waits so long for those who went on with the last one: they share its cost
CLAIM_SECONDS = 0.010  # while most slots are taken, claim only so often: a claim costs as much as a commit
PEEK_SECONDS = 0.050  # while claims find work, look this often for a higher priority


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


Chore = Callable[[str, Peek], bool]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where due executions of one colour may be: a queue and priority."""

    place: tuple[str, int]
    is_async: bool


@dataclass(slots=True)
class _Schedule:
    """When to look at the database next, in local monotonic seconds."""

    look_at: float = 0.0
    peek_at: float = 0.0
    chores_at: float = 0.0  # without a free slot
    again_at: list[float] = field(default_factory=list)
    next_due: datetime | None = None


class Pump:
    """Commits and claims for one worker process. `run()` returns when it has been stopped and holds nothing."""

    def __init__(
        self, worker: UUID, diet: Diet, *, alias: str, chores: Sequence[Chore] = (), reporter: Reporter
    ) -> None:
        self.worker, self.repertoire, self.alias = worker, Repertoire(diet, alias), alias
        self.crew: Crew
        self.is_listening: Callable[[], bool] = lambda: False
        self._chores, self._reporter = chores, reporter
        self._bell = threading.Event()
        self._urgent: deque[Turn] = deque()
        self._noted: dict[Turn, float] = {}
        self._held: dict[UUID, Turn] = {}
        self._queues = diet.queues
        self._discover_at = self._orphans_at = 0.0
        self._has_claimed = False  # since it last looked for claims without a turn
        self._ready: list[_Source] = []
        self._peeked_at = 0.0
        self._fruitful: set[tuple[str, int]] = set()  # places that gave something since the last peek
        self._schedule = _Schedule()
        self._expected = 0  # turns that went on with the last commit or claim
        self._gather_until = self._claimed_at = self._asleep_until = 0.0
        self._watch = Watch(alias)
        self._stop_by: float | None = None
        self._crashed = False
        self._idle_since: float | None = None
        self.clock: DatabaseClock
        self._pause = threading.Event()  # never set: a sleep
        self._failures = 0

    @property
    def diet(self) -> Diet:
        return self.repertoire.diet

    # for turns, from any thread

    def note(self, turn: Turn) -> None:
        """Store it with the next commit, but not before a moment has passed: more may follow."""
        if turn not in self._noted:
            self._noted[turn] = now = monotonic()
            if now + NOTED_SECONDS < self._asleep_until:
                self._bell.set()

    def flush(self, turn: Turn) -> None:
        """Store it now."""
        self._noted.pop(turn, None)
        self._urgent.append(turn)
        if len(self._urgent) >= self._expected or self._gather_until < self._asleep_until:
            self._bell.set()

    def wake_up(self, queue: str) -> None:
        """There may be work in this queue."""
        if not queue or queue in self._queues or not self.diet.queues:
            if queue and queue not in self._queues:
                self._queues = (*self._queues, queue)
            now = monotonic()
            self._schedule.look_at = now
            self._schedule.again_at = [now + seconds for seconds in AGAIN_SECONDS]
            self._bell.set()

    def stop(self, grace: float, *, crashed: bool = False) -> None:
        """Claim no more; after `grace` seconds give back what is still held, as crashed or not."""
        self._crashed = self._crashed or crashed
        stop_by = monotonic() + grace
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        self._bell.set()

    # the cycle

    def run(self, *, until_idle: float | None = None) -> None:
        """Work until stopped, or until nothing has been due for `until_idle` seconds nor will be within them."""
        try:
            self._read_clock()
        except UNREACHABLE as error:
            self._wait_out(error)
        while not self._is_finished(until_idle):
            try:
                self._commit()
                self._claim()
                self._attend()
                self._failures = 0
            except UNREACHABLE as error:
                self._wait_out(error)
            self._sleep()
        self._give_back()

    def _read_clock(self) -> None:
        connections[self.alias].ensure_connection()  # not to count the time that it takes
        keep_plans(self.alias)
        moment = monotonic()
        self.clock = DatabaseClock(database_now(self.alias), moment)

    @property
    def dialect(self) -> Dialect:
        return dialect_of(connections[self.alias])

    @property
    def held(self) -> int:
        return len(self._held)

    def _is_finished(self, until_idle: float | None) -> bool:
        if self._stop_by is not None:
            for turn in list(self._held.values()):
                turn.releasing = True
            return not self._held or monotonic() > self._stop_by
        if until_idle is None:
            return False
        if self._held or self._ready or self._is_due_within(until_idle):
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or monotonic()
        last_look = self._idle_since + IDLE_SECONDS
        self._schedule.look_at = min(self._schedule.look_at, last_look)
        return self._peeked_at >= last_look

    def _is_due_within(self, seconds: float) -> bool:
        next_due = self._schedule.next_due
        return next_due is not None and next_due <= self.clock.now() + timedelta(seconds=seconds)

    # committing

    def _commit(self) -> None:
        """Everything that turns want stored now, in one transaction; again while more has come in meanwhile."""
        self._expected = 0
        batch = [(turn, write) for turn in self._take_turns() if (write := turn.take_write()) is not None]
        if not batch:
            return
        try:
            receipts = store_all(self.alias, [write for _, write in batch], self.clock.sync)
        except (ConnectionLost, AmbiguousCommit):
            for turn, write in batch:
                turn.put_back(write)
                self._urgent.append(turn)
            raise
        self._expect(sum(write.ending is None for _, write in batch))
        for (turn, write), receipt in zip(batch, receipts, strict=True):
            self._settle(turn, write, receipt)

    def _expect(self, turns: int) -> None:
        """So many turns go on now, and most of them will have something to store in a moment."""
        self._expected += turns
        self._gather_until = monotonic() + GATHER_SECONDS

    def _take_turns(self) -> list[Turn]:
        turns = dict.fromkeys(self._urgent.popleft() for _ in range(len(self._urgent)))
        ripe = monotonic() - NOTED_SECONDS
        for turn in [turn for turn, since in list(self._noted.items()) if since <= ripe]:
            self._noted.pop(turn, None)
            turns[turn] = None
        return list(turns)

    def _settle(self, turn: Turn, write: Write, receipt: Receipt) -> None:
        if receipt.verdict is Verdict.POSTPONED:
            turn.put_back(write)
            self._noted[turn] = monotonic() + LOCKED_SECONDS
            return
        turn.receive(write, receipt)
        if receipt.verdict is Verdict.REFUSED:
            ending = self._watch.refuse(turn, receipt)
            self._reporter.ended(turn, ending)
        elif receipt.verdict is Verdict.STORED and write.ending is not None:
            self._reporter.ended(turn, write.ending)
        if write.ending is not None or turn.abandoned:
            self._release(turn)
        cancels = write.ending is not None and write.ending.end is End.CANCEL
        if write.children or write.signals or write.cancelled or cancels or (write.ending and write.parent_id):
            self.wake_up("")
            self._watch.wake_others(write, self._queues, busy=self._is_busy())

    def _is_busy(self) -> bool:
        """Whether slots of one colour are all taken: who is woken may be of that colour."""
        plain, asynchronous = self.crew.free()
        return bool((self.diet.plain and plain <= 0) or (self.diet.asynchronous and asynchronous <= 0))

    def _release(self, turn: Turn) -> None:
        if self._held.get(turn.claimed.id) is turn:
            del self._held[turn.claimed.id]

    # claiming

    def _claim(self) -> None:
        """Take due executions while slots are free, the highest priority first."""
        plain, asynchronous = self.crew.free()
        now = monotonic()
        if self._stop_by is None and plain + asynchronous <= 0 and now >= self._schedule.chores_at:
            self._peek()  # nothing can be taken, but events are dispatched and schedules fire all the same
        if self._stop_by is not None or plain + asynchronous <= 0 or not (self._ready or now >= self._look_at()):
            return
        if now < self._claim_at():
            return
        if not self._ready or now >= self._schedule.peek_at:
            self._peek()
        free = {False: plain, True: asynchronous}
        for source in list(self._ready):
            if (limit := free[source.is_async]) <= 0:
                continue
            taken = self._take(source, limit)
            free[source.is_async] -= len(taken)
            if taken:
                self._fruitful.add(source.place)
            if len(taken) < limit:
                self._exhausted(source)
            self._begin(taken)

    def _exhausted(self, source: _Source) -> None:
        """Less was there than could be taken. When none was, what is due is new here, or needs code that is not here:
        then it steps back.
        """
        self._ready.remove(source)
        if source.place not in self._fruitful and all(other.place != source.place for other in self._ready):
            if self.repertoire.learn([source.place]):
                self.wake_up("")
            else:
                self._defer_unknown(source.place)

    def _look_at(self) -> float:
        return min([self._schedule.look_at, *self._schedule.again_at])

    def _peek(self) -> None:
        self._discover_queues()
        moment, peek = single(self.alias, self._ask)
        self.clock.sync(peek.now, moment)
        ready = peek.ready()
        if ready and self.repertoire.is_time():
            self.repertoire.learn(ready)
        self._ready = [
            _Source(place, is_async)
            for place in ready
            for is_async, served in ((False, self.diet.plain), (True, self.diet.asynchronous))
            if served
        ]
        self._fruitful.clear()
        self._peeked_at = moment
        self._plan_next_look(peek, moment)
        self._reporter.looked(peek)
        for chore in self._chores:
            if chore(self.alias, peek):
                self.wake_up("")
                self._schedule.chores_at = moment + PEEK_SECONDS

    def _ask(self, cursor: CursorWrapper) -> tuple[float, Peek]:
        return monotonic(), claiming.peek(cursor, self.dialect, self._queues, alone=self.diet.alone)

    def _discover_queues(self) -> None:
        """A worker that names no queues serves those that are in use."""
        if self.diet.queues or monotonic() < self._discover_at:
            return
        self._discover_at = monotonic() + DISCOVER_SECONDS
        found = single(self.alias, claiming.queues_in_use)
        self._queues = tuple(dict.fromkeys([conf.default_queue(), *found]))

    def _plan_next_look(self, peek: Peek, moment: float) -> None:
        schedule = self._schedule
        schedule.again_at = [at for at in schedule.again_at if at > moment]
        schedule.next_due = peek.next_due()
        pause = conf.listen_poll_interval() if self.is_listening() else conf.poll_interval()
        schedule.look_at = moment + pause * random.uniform(0.9, 1.0)
        if peek.next_schedule is not None and not peek.schedules_due:
            schedule.look_at = min(schedule.look_at, moment + (peek.next_schedule - peek.now).total_seconds())
        schedule.chores_at = schedule.look_at
        if schedule.next_due is not None:
            schedule.look_at = min(schedule.look_at, moment + max((schedule.next_due - peek.now).total_seconds(), 0))
        schedule.peek_at = moment + PEEK_SECONDS

    def _take(self, source: _Source, limit: int) -> list[Claimed]:
        appetite = Appetite(self.diet.asynchronous if source.is_async else self.diet.plain, limit)
        try:
            return single(
                self.alias,
                lambda cursor: claiming.claim(
                    cursor,
                    self.dialect,
                    source.place,
                    appetite,
                    worker=self.worker,
                    lease=conf.lease(),
                    alone=self.diet.alone,
                ),
            )
        except AmbiguousCommit:
            return self._read_back()

    def _read_back(self) -> list[Claimed]:
        """After a claim whose commit is in doubt: what is held under this worker's name and not known here."""
        while True:
            try:
                mine = single(self.alias, lambda cursor: claiming.claimed_by(cursor, self.dialect, self.worker))
            except AmbiguousCommit:
                continue
            return [claimed for claimed in mine if not self._knows(claimed)]

    def _knows(self, claimed: Claimed) -> bool:
        turn = self._held.get(claimed.id)
        return turn is not None and turn.claimed.claim == claimed.claim

    def _begin(self, taken: list[Claimed]) -> None:
        """Load the journals of a claimed batch and start its turns; what must run alone is given back."""
        if not taken:
            return
        self._has_claimed = True
        self._claimed_at = monotonic()
        mine = [claimed for claimed in taken if self._may_run(claimed)]
        loaded = single(self.alias, lambda cursor: loading.load(cursor, self.dialect, mine)) if mine else []
        self._expect(len(loaded))
        self.crew.execute(loaded)

    def _claim_at(self) -> float:
        """When the next claim is worth its cost: at once while more slots are free than taken."""
        return self._claimed_at + CLAIM_SECONDS if sum(self.crew.free()) < len(self._held) else 0.0

    def _may_run(self, claimed: Claimed) -> bool:
        """An expired lease counts as a crash: the execution may have become a suspect by being claimed."""
        if claimed.crashes >= QUARANTINE_AFTER:
            reason = (
                f"Quarantined: its worker died {claimed.crashes} times without progress, three times alone. "
                "Resume it when the cause is mended."
            )
            self._watch.end_unstarted(claimed, Ending(end=End.PAUSE, reason=reason))
            logger.error("Execution %s (%s) is paused. %s", claimed.id, claimed.workflow, reason)
            return False
        if claimed.crashes >= claiming.ALONE_AFTER and not self.diet.alone:
            self._watch.end_unstarted(claimed, Ending(end=End.RELEASE))
            return False
        return True

    def drop(self, turn: Turn) -> None:
        """The turn is over, and has nothing to store because its claim was lost."""
        self._noted.pop(turn, None)
        self._release(turn)
        self._bell.set()

    def hold(self, turn: Turn) -> None:
        """The crew has begun this turn."""
        self._held[turn.claimed.id] = turn
        self._reporter.held(len(self._held))

    def _defer_unknown(self, place: tuple[str, int]) -> None:
        """Due, and none of it was for us: let what nobody here can execute step back."""
        if self.diet.alone:
            return
        deferred = single(
            self.alias, lambda cursor: claiming.defer_unknown(cursor, self.dialect, place, self.diet.served)
        )
        if deferred:
            logger.debug("%d due executions in %r need code that is not here", deferred, place[0])

    # attending to what is under way

    def _attend(self) -> None:
        for turn in self._watch.attend(list(self._held.values()), self.clock.at_least()):
            self._noted.setdefault(turn, monotonic())
        for turn, ending in self._watch.take_timed_out():
            self._reporter.ended(turn, ending)
            self._release(turn)
            self.wake_up("")
        self._reporter.held(len(self._held))
        if (self._has_claimed or self._held) and monotonic() >= self._orphans_at:
            self._orphans_at = monotonic() + ORPHANS_SECONDS
            self._release_orphans()

    def _release_orphans(self) -> None:
        """A claim without a turn, whose last write could not be stored, would be extended for ever by the keeper."""
        held = single(self.alias, lambda cursor: claiming.held_by(cursor, self.dialect, self.worker))
        orphans = [id for id, claim in held if (turn := self._held.get(id)) is None or turn.claimed.claim != claim]
        self._has_claimed = bool(orphans)  # one whose row is locked is given back in another round
        if orphans:
            logger.warning("Giving back %d executions that have no turn here.", len(orphans))
            single(self.alias, lambda cursor: claiming.give_back(cursor, self.dialect, self.worker, orphans))
            self.wake_up("")

    # sleeping, outages, the end

    def _sleep(self) -> None:
        now = monotonic()
        if self._urgent and (len(self._urgent) >= self._expected or now >= self._gather_until):
            return
        if self._stop_by is None and self._can_claim() and now >= self._claim_at():
            return
        moments = [self._watch.next_at(bool(self._held))]
        if self._urgent:
            moments.append(self._gather_until)
        if self._can_claim():
            moments.append(self._claim_at())
        if self._stop_by is None:
            moments.append(self._look_at() if self.crew.free() != (0, 0) else self._schedule.chores_at)
        if self._stop_by is not None:
            moments.append(self._stop_by if self._held else 0.0)
        if noted := list(self._noted.values()):
            moments.append(min(noted) + NOTED_SECONDS)
        self._asleep_until = min(moments)
        self._bell.wait(max(self._asleep_until - now, 0.0))
        self._asleep_until = 0.0
        self._bell.clear()

    def _can_claim(self) -> bool:
        plain, asynchronous = self.crew.free()
        return any((asynchronous if source.is_async else plain) > 0 for source in self._ready)

    def _wait_out(self, error: Exception) -> None:
        """The database is away: say so once, try again with growing pauses, forget nothing."""
        began = monotonic()
        if not self._failures:
            logger.warning("The database cannot be used (%s). Waiting for it; nothing is lost.", str(error).strip())
        while self._stop_by is None or monotonic() < self._stop_by:
            self._failures += 1
            self._pause.wait(min(0.05 * 2 ** min(self._failures, 7), LONGEST_PAUSE) * random.uniform(0.5, 1.0))
            connections[self.alias].close()
            try:
                self._read_clock()
            except UNREACHABLE:
                continue
            break
        else:
            return
        if monotonic() - began > 1.0:
            logger.warning("The database answers again after %.1f s.", monotonic() - began)
        self._schedule.look_at = 0.0
        self._has_claimed = True
        self._recover_claims()

    def _recover_claims(self) -> None:
        """What was claimed just before the outage and never reached a turn."""
        try:
            self._begin(self._read_back())
        except UNREACHABLE:
            self._bell.set()

    def _give_back(self) -> None:
        """The grace is over: bodies still running lose their claims, and somebody else does them again."""
        held = list(self._held.values())
        if held:
            logger.warning("Giving back %d executions whose steps did not end in time.", len(held))
        for turn in held:
            turn.show_long_bodies(monotonic())  # these attempts are lost, and are counted by their rows
            self._urgent.append(turn)
        try:
            self._commit()
            for turn in held:
                turn.abandon()
            single(self.alias, self._release_all)
        except UNREACHABLE as error:
            logger.warning("The database cannot be reached (%s); what is held is free when its lease ends.", error)

    def _release_all(self, cursor: CursorWrapper) -> int:
        return claiming.release_all(cursor, self.dialect, [self.worker], crashed=self._crashed)
