"""Attending to executions that are under way: long bodies, deadlines, messages for those that wait in memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.clock import monotonic
from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.claims.loading import ChildOutcome, Unread, read_outcomes, read_unread
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Ending, Receipt, Verdict, Write
from django_workflows.engine.database import notify
from django_workflows.engine.database.dialects import dialect_of, read_uuid
from django_workflows.engine.database.transactions import HIDDEN_SECONDS, reading
from django_workflows.engine.turn import lifecycle
from django_workflows.engine.turn.turn import Turn

LONG_BODY_SECONDS = 1.0
ROUND_SECONDS = 0.5  # within which each execution is looked at
AT_ONCE = 250  # of thousands, so that no step waits while all are looked at, and those shown that have become long
INBOX_EVERY = 0.05

STATES = "SELECT id, claim, status, inbox, requested FROM django_workflows_execution WHERE id {among}"


def _waits(turn: Turn) -> bool:
    return bool(turn.mailbox.waits) and not turn.flags.unwinding


class Watch:
    """Looks after the executions that one pump holds, each concern at its own pace."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._round: list[UUID] = []  # those that are still to be looked at
        self._look_at = self._inbox_at = 0.0
        self._pause = ROUND_SECONDS
        self._waiting: dict[UUID, Turn] = {}  # those that wait in memory for what may arrive
        self._timed_out: list[tuple[Turn, Ending]] = []

    def take_timed_out(self) -> list[tuple[Turn, Ending]]:
        """Turns that were ended by their execution's deadline since the last call."""
        ended, self._timed_out = self._timed_out, []
        return ended

    def next_at(self, holds: bool) -> float:
        """When it wants to attend again."""
        if not holds:
            return monotonic() + 3600.0
        return min(self._look_at, self._inbox_at) if self._waiting else self._look_at

    def note(self, turns: Iterable[Turn]) -> None:
        """These turns have something to tell; who waits in memory does. One that unwinds may have a successor here."""
        self._waiting.update({turn.claimed.id: turn for turn in turns if _waits(turn)})

    def attend(self, held: Mapping[UUID, Turn], now: datetime) -> list[Turn]:
        """Do what is due; the turns that have something to store because of it."""
        moment, changed = monotonic(), list[Turn]()
        if moment >= self._look_at:
            changed = [turn for turn in self._next_of_round(held) if self._look_at_turn(turn, moment, now)]
            self._look_at = moment + self._pause
        if self._waiting and moment >= self._inbox_at:
            self._inbox_at = moment + INBOX_EVERY
            self._waiting = {id: turn for id, turn in self._waiting.items() if _waits(turn)}
            self._look_at_inboxes(list(self._waiting.values()))
        return changed

    def _next_of_round(self, held: Mapping[UUID, Turn]) -> list[Turn]:
        if not self._round:
            self._round = list(held)
            self._pause = ROUND_SECONDS * AT_ONCE / max(len(held), AT_ONCE)
        ids, self._round = self._round[:AT_ONCE], self._round[AT_ONCE:]
        return [turn for id in ids if (turn := held.get(id)) is not None]

    def _look_at_turn(self, turn: Turn, moment: float, now: datetime) -> bool:
        deadline = turn.claimed.deadline
        if deadline is not None and deadline <= now and not turn.flags.abandoned:
            self._time_out(turn, deadline)
            return False
        if not turn.bodies:
            return False
        turn.bodies.show_long(moment - LONG_BODY_SECONDS)
        return turn.pending.has_something

    def _time_out(self, turn: Turn, deadline: datetime) -> None:
        """The execution's own deadline beats whatever its steps still bring."""
        write = turn.take_write() or turn.pending.empty()
        ending, own = lifecycle.past_deadline(deadline), write.ending
        entries = write.entries
        write.ending, write.entries = ending, entries | lifecycle.shelved_waits(turn)
        verdict = Verdict.POSTPONED
        try:
            verdict = store_all(self._alias, [write])[0].verdict
        finally:
            if verdict is Verdict.POSTPONED:  # or the connection was lost: to be tried again
                write.ending, write.entries = own, entries
                turn.put_back(write)
        if verdict is not Verdict.POSTPONED:
            turn.flags.abandon()
            self._timed_out.append((turn, ending))

    def _look_at_inboxes(self, turns: Sequence[Turn]) -> None:
        if not turns:
            return
        dialect = dialect_of(connections[self._alias])
        by_id = {turn.claimed.id: turn for turn in turns}

        def read(cursor: CursorWrapper) -> list[tuple[Turn, int, str, list[Unread], list[ChildOutcome]]]:
            among, parameters = dialect.among(by_id)
            cursor.execute(STATES.format(among=among), parameters)
            states = {read_uuid(row[0]): row[1:] for row in cursor.fetchall()}
            return [self._news(cursor, turn, states.get(id)) for id, turn in by_id.items()]

        for turn, inbox, requested, unread, outcomes in reading(self._alias, read):
            if requested == "lost":
                turn.flags.abandon()
                continue
            if requested == "pause" and turn.flags.pausing is None:
                turn.flags.pausing = ""
            if inbox != turn.mailbox.seen or outcomes:
                turn.mailbox.feed(inbox, unread, outcomes)

    def _news(
        self, cursor: CursorWrapper, turn: Turn, state: Sequence[Any] | None
    ) -> tuple[Turn, int, str, list[Unread], list[ChildOutcome]]:
        if state is None or state[0] != turn.claimed.claim or state[1] != "running":
            return turn, turn.mailbox.seen, "lost", [], []
        _, _, inbox, requested = state
        if inbox == turn.mailbox.seen:
            return turn, inbox, requested, [], []
        dialect = dialect_of(connections[self._alias])
        unread = [message for _, message in read_unread(cursor, dialect, [turn.claimed.id])]
        return turn, inbox, requested, unread, read_outcomes(cursor, dialect, turn.open_children())

    def end_unstarted(self, claimed: Claimed, ending: Ending) -> None:
        """End a claim whose turn never begins; if it cannot be stored now, the pump finds a claim without a turn.

        CockroachDB hides a row that was just claimed from SKIP LOCKED for some milliseconds: tried once, a quarantine
        would never be stored, and the claim given back and taken again for ever.
        """
        write = Write(
            execution_id=claimed.id,
            claim=claimed.claim,
            generation=claimed.generation,
            parent_id=claimed.parent_id,
            deadline=claimed.deadline,
            seen_inbox=claimed.inbox,
            had_crashes=False,
            ending=ending,
        )
        for pause in (*HIDDEN_SECONDS, None):
            if store_all(self._alias, [write])[0].verdict is not Verdict.POSTPONED or pause is None:
                return
            time.sleep(pause)

    def refuse(self, turn: Turn, receipt: Receipt) -> Ending:
        """Fail an execution whose data the database refuses."""
        return lifecycle.refuse(turn, receipt)

    def tell_unstored(self, turn: Turn, error: Exception) -> None:
        """Say that what a turn has done cannot be stored."""
        lifecycle.tell_unstored(turn, error)

    def wake_others(self, write: Write, queues: Sequence[str], *, busy: bool) -> None:
        """Tell other workers of what this one cannot take itself."""
        foreign: set[str | UUID] = {child.queue for child in write.children if busy or child.queue not in queues}
        if busy and (write.signals or write.ending is not None):
            foreign.add(notify.ANY_QUEUE)
        for queue in foreign:
            notify.notify(str(queue), self._alias)
