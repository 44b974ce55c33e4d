"""What a pump claims: from which places, how much, and what becomes of what cannot begin here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.clock import monotonic
from django_workflows.engine.claims import claims, loading
from django_workflows.engine.claims.claims import QUARANTINE_AFTER, Claimed, ClaimLimit, Peek
from django_workflows.engine.claims.leases import release_all
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.claims.sql import ALONE_AFTER
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.database.dialects import Dialect, dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, may_be_one_row
from django_workflows.engine.database.isolation import Shelf, by_halves
from django_workflows.engine.database.transactions import FEW_TRIES, atomically, reading, single
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.capabilities import LearnedCapabilities
from django_workflows.engine.worker.in_flight import Watch

logger = logging.getLogger("django_workflows")

CLAIMED_AT_ONCE = 500  # what is under way must not wait for the claim of thousands
ORPHANS_SECONDS = 5.0  # a worker looks this often for claims of its own that no turn has
EACH_CLAIM = 12  # one look of so many compares each claim, and not only their sums


@dataclass(frozen=True, slots=True)
class Source:
    """Where due executions may be: a queue and priority; of one colour (async, or not) or of both."""

    place: tuple[str, int]
    colours: tuple[bool, ...]

    def limit(self, free: Mapping[bool, int]) -> int:
        """How many may be claimed, whatever their colours turn out to be."""
        return min(CLAIMED_AT_ONCE, *(free[is_async] for is_async in self.colours))


class Claimer:
    """Claims for one worker; `held` are the turns that its pump has. Used by the thread of the pump alone."""

    def __init__(
        self, worker: UUID, learned: LearnedCapabilities, *, alias: str, held: dict[UUID, Turn], watch: Watch
    ) -> None:
        self.claimed_at = 0.0
        self._worker, self._learned, self._alias = worker, learned, alias
        self._held, self._watch = held, watch
        self._ready: list[Source] = []
        self._fruitful: set[tuple[str, int]] = set()  # places that gave something since the last look
        self._is_hearsay = False  # that the places have something: nobody has looked
        self._orphans_at, self._looks = 0.0, 0
        self._may_have_orphans = False
        self._shunned: Shelf[UUID] = Shelf("Execution")

    @property
    def _dialect(self) -> Dialect:
        return dialect_of(connections[self._alias])

    # where there is something

    @property
    def is_empty(self) -> bool:
        """Whether no place is known to have anything."""
        return not self._ready

    def can_take(self, free: Mapping[bool, int]) -> bool:
        """Whether a place has something for which there is a slot: `free` says how many, for async or not."""
        return any(source.limit(free) > 0 for source in self._ready)

    def plan(self, peek: Peek) -> None:
        """Note what was seen to be due."""
        ready = peek.ready()
        if ready and self._learned.is_time():
            self._learned.learn(ready)
        self._expect(ready)
        self._is_hearsay = False

    def hear(self, places: Iterable[tuple[str, int]]) -> None:
        """Try these, the highest priority first, before whatever is lower in the same queue: wake-ups have named them.

        What is not higher than all that is known there waits for the next look.
        """
        known = [source.place for source in self._ready]
        higher = [place for place in places if all(place[1] > at[1] for at in known if at[0] == place[0])]
        if higher:
            self._ready = [*self._sources(higher), *self._ready]
            self._fruitful.difference_update(higher)
            self._is_hearsay = True

    def _expect(self, places: Iterable[tuple[str, int]]) -> None:
        self._ready = self._sources(places)
        self._fruitful.clear()

    def _sources(self, places: Iterable[tuple[str, int]]) -> list[Source]:
        capabilities = self._learned.capabilities
        colours = tuple(
            is_async for is_async, served in ((False, capabilities.plain), (True, capabilities.asynchronous)) if served
        )
        # both at first, in one statement: a worker that is nearly idle is done with it
        choices = [colours, *((colour,) for colour in colours)] if len(colours) > 1 else [colours]
        return [Source(place, choice) for place in places for choice in choices if choice]

    # taking

    def take(self, free: dict[bool, int], begin: Callable[[list[Loaded]], None], look: Callable[[], None]) -> None:
        """Take as much as there are slots for, the highest priority first, and have it begun at once."""
        for source in list(self._ready):
            if source not in self._ready:
                continue
            if (limit := source.limit(free)) <= 0:
                if len(source.colours) > 1:
                    self._ready.remove(source)
                continue
            taken = self._claim(source, limit)
            self._count(source, taken, free)
            if len(taken) < limit and self._exhaust(source):
                look()
            elif len(source.colours) > 1 and source in self._ready:
                self._ready.remove(source)
            if taken:
                begin(self.load(taken))

    def _count(self, source: Source, taken: list[Claimed], free: dict[bool, int]) -> None:
        asynchronous = set(self._learned.capabilities.asynchronous) if True in source.colours else set()
        for claimed in taken:
            free[(claimed.workflow, claimed.version) in asynchronous] -= 1
        if taken:
            self._fruitful.add(source.place)

    def _exhaust(self, source: Source) -> bool:
        """Less was there than could be taken; whether to look (again). When none was, what is due is new here, and was
        learned now; or it needs code that is not here, and steps back; or nothing is due, and somebody was wrong.
        """
        exhausted = set(source.colours)
        self._ready = [
            other for other in self._ready if other.place != source.place or not exhausted.intersection(other.colours)
        ]
        if source.place in self._fruitful or any(other.place == source.place for other in self._ready):
            return False
        if self._is_hearsay or self._learned.learn([source.place]):
            return True
        self._defer_unknown(source.place)
        return False

    def _claim(self, source: Source, limit: int) -> list[Claimed]:
        capabilities = self._learned.capabilities
        served = {False: capabilities.plain, True: capabilities.asynchronous}
        pairs = tuple(pair for colour in source.colours for pair in served[colour])
        while True:
            limits = ClaimLimit(pairs, limit, tuple(self._shunned.now()))
            try:
                return self._claim_some(source.place, limits)
            except AmbiguousCommit:
                return self.read_back()
            except DatabaseError as error:
                if not may_be_one_row(error):
                    raise
                if limit == 1 and not self._shun_first(source.place, limits, error):
                    return []
                limit = max(limit // 2, 1)  # the longest due first: what is before the guilty one can be claimed

    def _claim_some(self, place: tuple[str, int], limits: ClaimLimit) -> list[Claimed]:
        def ask(cursor: CursorWrapper) -> list[Claimed]:
            lease, worker, alone = conf.lease(), self._worker, self._learned.capabilities.alone
            return claims.claim(cursor, self._dialect, place, limits, worker=worker, lease=lease, alone=alone)

        return atomically(self._alias, ask, tries=FEW_TRIES)

    def _shun_first(self, place: tuple[str, int], limits: ClaimLimit, error: DatabaseError) -> bool:
        """Leave alone for a while what cannot be claimed; whether there was anything."""

        def ask(cursor: CursorWrapper) -> UUID | None:
            alone = self._learned.capabilities.alone
            return claims.first_due(cursor, self._dialect, place, limits, worker=self._worker, alone=alone)

        if (first := single(self._alias, ask)) is not None:
            self._shunned.put(first, error)
        return first is not None

    def read_back(self) -> list[Claimed]:
        """After a claim whose commit is in doubt: what is held under this worker's name and not known here."""
        mine = reading(self._alias, partial(claims.claimed_by, dialect=self._dialect, worker=self._worker))
        return [claimed for claimed in mine if not self._knows(claimed.id, claimed.claim)]

    def _knows(self, id: UUID, claim: int) -> bool:
        turn = self._held.get(id)
        return turn is not None and turn.claimed.claim == claim

    def load(self, taken: list[Claimed]) -> list[Loaded]:
        """What the turns of a claimed batch start from; what must not begin here is given back."""
        self._may_have_orphans = True
        self.claimed_at = monotonic()
        mine = [claimed for claimed in taken if self._may_begin(claimed)]
        try:
            return self._load(mine)
        except Exception as error:
            if not may_be_one_row(error):
                raise
        return [loaded for claimed in mine for loaded in self._load_alone(claimed)]

    def _load(self, batch: list[Claimed]) -> list[Loaded]:
        return reading(self._alias, partial(loading.load, dialect=self._dialect, batch=batch)) if batch else []

    def _load_alone(self, claimed: Claimed) -> list[Loaded]:
        try:
            return self._load([claimed])
        except Exception as error:
            if not may_be_one_row(error):
                raise
            self.park(claimed, error)
            return []

    def park(self, claimed: Claimed, error: Exception) -> None:
        """Pause what cannot begin because of what is stored: it would come back for ever."""
        reason = f"It cannot be read: {error}"[:1000]
        logger.error("Execution %s (%s) is paused. %s", claimed.id, claimed.workflow, reason)
        self._watch.end_unstarted(claimed, Ending(end=End.PAUSE, reason=reason))

    def _may_begin(self, claimed: Claimed) -> bool:
        """An expired lease counts as a crash: the execution may have become a suspect by being claimed."""
        if claimed.crashes >= QUARANTINE_AFTER:
            reason = (
                f"Quarantined: its worker died {claimed.crashes} times without progress, three times alone. "
                "Resume it when the cause is mended."
            )
            self._watch.end_unstarted(claimed, Ending(end=End.PAUSE, reason=reason))
            logger.error("Execution %s (%s) is paused. %s", claimed.id, claimed.workflow, reason)
            return False
        if claimed.crashes >= ALONE_AFTER and not self._learned.capabilities.alone:
            self._watch.end_unstarted(claimed, Ending(end=End.RELEASE))
            return False
        return True

    def _defer_unknown(self, place: tuple[str, int]) -> None:
        """Due, and none of it was for us: let what nobody here can execute step back."""
        capabilities = self._learned.capabilities
        if capabilities.alone:
            return
        ask = partial(claims.defer_unknown, dialect=self._dialect, place=place, served=capabilities.served)
        if deferred := atomically(self._alias, ask):
            logger.debug("%d due executions in %r need code that is not here", deferred, place[0])

    # giving back

    def expect_orphans(self) -> None:
        """After an outage: something may have been claimed that never reached a turn."""
        self._may_have_orphans = True

    def release_orphans(self) -> bool:
        """Give back claims without a turn, now and then: one whose last write could not be stored would be extended for
        ever by the keeper. Whether there were any.
        """
        if not (self._may_have_orphans or self._held) or monotonic() < self._orphans_at:
            return False
        self._orphans_at = monotonic() + ORPHANS_SECONDS
        self._looks += 1
        if self._looks % EACH_CLAIM and self._all_have_turns():
            self._may_have_orphans = False
            return False
        held = reading(self._alias, partial(claims.held_by, dialect=self._dialect, worker=self._worker))
        self._drop_lost(held)
        orphans = [id for id, claim in held if not self._knows(id, claim)]
        self._may_have_orphans = bool(orphans)  # one whose row is locked is given back in another round
        if orphans:
            logger.warning("Giving back %d executions that have no turn here.", len(orphans))
            by_halves(self._alias, orphans, partial(_give_back, self._dialect, self._worker))
        return bool(orphans)

    def _drop_lost(self, held: Sequence[tuple[UUID, int]]) -> None:
        """A function that calls nothing of `ctx` learns from nobody that its execution was cancelled or taken over.

        One that has ended is left to the commit of its ending, which may be stored already.
        """
        known = set(held)
        for turn in list(self._held.values()):
            if (turn.claimed.id, turn.claimed.claim) not in known and not turn.flags.has_ended:
                turn.flags.abandon()
                if self._held.get(turn.claimed.id) is turn:
                    self._held.pop(turn.claimed.id, None)

    def _all_have_turns(self) -> bool:
        """Two numbers tell, in place of ten thousand rows; unless a turn that has lost its claim makes up for one."""
        known = [turn.claimed.claim for turn in list(self._held.values()) if not turn.flags.abandoned]
        found = reading(self._alias, partial(claims.held_in_all, dialect=self._dialect, worker=self._worker))
        return found == (len(known), sum(known))

    def release_all(self, *, crashed: bool) -> None:
        """Give back whatever this worker holds."""
        release_all(self._alias, [self._worker], crashed=crashed)


def _give_back(dialect: Dialect, worker: UUID, cursor: CursorWrapper, ids: Sequence[UUID]) -> None:
    claims.give_back(cursor, dialect, worker, ids)
