"""Turns in the caller's process and on the caller's connection: for `EAGER`, and for tests.

There are no threads here: parallel branches run one after the other, and unwind at their waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.clock import DatabaseClock, grain_of, monotonic
from django_workflows.engine.claims import claims, loading
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import Ending, Verdict
from django_workflows.engine.database import user_transactions
from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_time, read_uuid_or_none
from django_workflows.engine.database.transactions import reading, transact
from django_workflows.engine.database.user_transactions import OpenTransaction
from django_workflows.engine.history.sql import UNDISPATCHED
from django_workflows.engine.runners import completion
from django_workflows.engine.runners.event_loop import LoopRunner
from django_workflows.engine.runners.task_scopes import task_factory
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn import lifecycle
from django_workflows.engine.turn.effects import Outcome
from django_workflows.engine.turn.turn import Turn
from django_workflows.engine.worker.capabilities import stored
from django_workflows.models import Execution

T = TypeVar("T")

LEASE = 3600.0  # nobody extends it; it tells when a process has died in the middle
PATIENCE = 60.0  # seconds for which another transaction may lock an execution that goes on here
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.1

# Raw, because a test looks again and again, and making the queries took longer than everything else.
LOOK = f"""
SELECT
    EXISTS (
        SELECT 1 FROM django_workflows_event
        WHERE {UNDISPATCHED} AND deliver_at <= {{now}}
    ),
    EXISTS (SELECT 1 FROM django_workflows_execution WHERE requested > ''),
    (
        SELECT id FROM django_workflows_execution
        WHERE wake_at <= {{now}} AND status IN ('pending', 'waiting', 'running') AND requested = '' {{others}}
        ORDER BY priority DESC, wake_at, created_at LIMIT 1
    )
"""

NEXT_MOMENT = f"""
SELECT
    (
        SELECT MIN(wake_at) FROM django_workflows_execution
        WHERE wake_at > {{now}} AND status IN ('pending', 'waiting', 'running') AND requested = ''
    ),
    (
        SELECT MIN(deliver_at) FROM django_workflows_event
        WHERE {UNDISPATCHED} AND deliver_at > {{now}}
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to do now; `due` is the execution that is next, of highest priority and longest due."""

    has_events: bool
    has_requests: bool
    due: UUID | None


class InlineCommitter:
    """Stores a turn's write at once, in the caller's thread."""

    def note(self, turn: Turn) -> None:
        """Stored with the next flush."""

    def flush(self, turn: Turn) -> None:
        give_up, backoff = monotonic() + PATIENCE, Backoff(SHORTEST_PAUSE, LONGEST_PAUSE)
        while monotonic() < give_up:
            write = turn.take_write()
            if write is None:
                return
            receipt = store_all(turn.alias, [write], turn.clock.sync)[0]
            if receipt.verdict is Verdict.POSTPONED:
                turn.put_back(write)
                backoff.wait()
                continue
            turn.receive(write, receipt)
            if receipt.verdict is Verdict.REFUSED:
                lifecycle.announce(turn, lifecycle.refuse(turn, receipt))
            return
        raise TimeoutError(f"Execution {turn.claimed.id} is locked by another transaction.")


class CallerThread:
    """No further threads: branches run in the caller's, and so do bodies with a timeout."""

    def try_branch(self, fn: Callable[[], None]) -> bool:
        return False

    def run_apart(self, fn: Callable[[], None]) -> None:
        fn()


class CallerLoop:
    """An event loop beside the caller's thread, which alone uses the database."""

    def __init__(self, committer: InlineCommitter) -> None:
        self._committer = committer

    def call_in_thread(self, fn: Callable[[], Any]) -> Awaitable[Any]:
        return sync_to_async(fn, thread_sensitive=True)()

    def run_apart(self, fn: Callable[[], None]) -> Awaitable[None]:
        return sync_to_async(fn, thread_sensitive=True)()

    async def tend(self, body: Callable[[], Awaitable[Outcome]]) -> Outcome:
        before = await self._in_thread(user_transactions.open_now)
        outcome = await body()
        left = await self._in_thread(partial(user_transactions.roll_back_left_open, before))
        return Outcome(error=OpenTransaction(OpenTransaction.__doc__)) if left and outcome.error is None else outcome

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        return await sync_to_async(fn, thread_sensitive=True)()

    def flush(self, turn: Turn) -> Awaitable[None]:
        return sync_to_async(self._committer.flush, thread_sensitive=True)(turn)


class InlineDriver:
    """Takes due executions and gives each a turn, here and now."""

    def __init__(self, alias: str | None = None) -> None:
        self.alias = alias or conf.database()
        self.worker = uuid4()
        self.committer = InlineCommitter()

    def look(self, left_alone: Collection[UUID] = ()) -> Look:
        """One look at everything; executions that are `left_alone` are not next."""
        dialect, others, parameters = self._dialect(), "", list[Any]()
        if left_alone:
            among, parameters = dialect.among(left_alone)
            others = f"AND NOT (id {among})"
        events, requests, due = self._one_row(LOOK.format(now=dialect.now(), others=others), parameters)
        return Look(has_events=bool(events), has_requests=bool(requests), due=read_uuid_or_none(due))

    def next_moment(self) -> datetime | None:
        """When the next execution or event falls due that is not due yet."""
        moments = map(read_time, self._one_row(NEXT_MOMENT.format(now=self._dialect().now()), []))
        return min((moment for moment in moments if moment is not None), default=None)

    def _one_row(self, statement: str, parameters: list[Any]) -> tuple[Any, ...]:
        def ask(cursor: CursorWrapper) -> tuple[Any, ...]:
            cursor.execute(statement, parameters)
            row: tuple[Any, ...] = cursor.fetchone()
            return row

        return reading(self.alias, ask)

    def _dialect(self) -> Dialect:
        return dialect_of(connections[self.alias])

    def turn(self, id: UUID) -> bool:
        """Give one execution a turn, if it is due and its code is here; whether it was."""
        dialect = self._dialect()
        served = [(name, version) for name, version, _ in registry.served()]
        claimed, moment = self._claim(id, served)
        if claimed is None:
            claimed, moment = self._claim(id, self._stored(id, served))
        if claimed is None:
            return False
        loaded = reading(self.alias, lambda cursor: loading.load(cursor, dialect, [claimed]))[0]
        self._execute(loaded, DatabaseClock(claimed.claimed_at, moment, grain_of(dialect.vendor)))
        return True

    def _claim(self, id: UUID, served: list[tuple[str, int]]) -> tuple[claims.Claimed | None, float]:
        """The execution, if it could be taken, and the local moment just before the database was asked."""
        dialect = self._dialect()

        def claim(cursor: CursorWrapper) -> tuple[claims.Claimed | None, float]:
            moment = monotonic()  # after waiting for a lock or another try: what the clock is ahead by
            return claims.claim_one(cursor, dialect, id, served, worker=self.worker, lease=LEASE), moment

        return transact(self.alias, claim)

    def _stored(self, id: UUID, served: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """What the execution needs, when that is a stored definition."""
        pairs = Execution.objects.using(self.alias).filter(pk=id).values_list("workflow", "version")
        pair = reading(self.alias, lambda _: pairs.first())
        return [pair] if pair is not None and pair not in served and stored(pair) is not None else []

    def _execute(self, loaded: Loaded, clock: DatabaseClock) -> None:
        definition = registry.workflow(loaded.claimed.workflow, loaded.claimed.version)
        if lifecycle.has_begun(loaded.claimed):
            lifecycle.announce_start(loaded.claimed)
        common: dict[str, Any] = {"clock": clock, "committer": self.committer, "alias": self.alias}
        if definition.is_async:
            async_to_sync(self._execute_on_loop)(loaded, definition, common)
            return
        runner = ThreadRunner(loaded, definition, helpers=CallerThread(), **common)
        self._conclude(runner.turn, runner.run())

    async def _execute_on_loop(self, loaded: Loaded, definition: Any, common: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        runner = LoopRunner(loaded, definition, host=CallerLoop(self.committer), loop=loop, **common)
        ending = await runner.run()
        await sync_to_async(self._conclude, thread_sensitive=True)(runner.turn, ending)

    def _conclude(self, turn: Turn, ending: Ending | None) -> None:
        if ending is None or turn.flags.abandoned:
            return
        ending = completion.conclude(turn, ending)
        self.committer.flush(turn)
        if not turn.flags.abandoned:
            lifecycle.announce(turn, ending)
