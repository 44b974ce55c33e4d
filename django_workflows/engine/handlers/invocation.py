"""Calling a step's body: what is set up around it, and what it must not leave behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.db import OperationalError, connections
from django.db.backends.utils import CursorWrapper

from django_workflows import codec, conf
from django_workflows.authoring.current import entered
from django_workflows.clock import monotonic
from django_workflows.engine.claims.loading import ChildOutcome, Unread, read_outcomes, read_unread
from django_workflows.engine.database import forks, sessions, user_transactions
from django_workflows.engine.database.backoff import Backoff
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, is_retryable
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.handlers import commit_hooks, left_behind
from django_workflows.engine.handlers.atomic_steps import in_one_transaction, store_with
from django_workflows.engine.handlers.contexts import awaited_in, own_context
from django_workflows.engine.handlers.left_behind import LeftBody
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.effects import Invoke, Outcome
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import Abandoned, ControlFlow, StepTimeout

T = TypeVar("T")


# What ends the process, or unwinds the workflow, is no failure of a step.
NOT_FAILURES = (KeyboardInterrupt, SystemExit, ControlFlow)

IN_A_COPY = "ctx belongs to the worker; this process was forked from it. Fork in steps, and use no ctx in the child."


def call_sync(
    turn: Turn,
    effect: Invoke,
    before: dict[str, int] | None = None,
    may_commit: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Run a body in this thread. Errors become part of the outcome; control flow propagates.

    `before` are the transactions that are open around it, if the caller knows them: asking costs.

    `may_commit` is asked before a transactional step commits; a body whose time is up may not.
    """
    return own_context().run(_call_sync, turn, effect, before, may_commit)


def _call_sync(turn: Turn, effect: Invoke, before: dict[str, int] | None, may_commit: Callable[[], bool]) -> Outcome:
    entered.set(effect.current)
    before = user_transactions.open_now() if before is None else before
    try:
        if effect.step.options.atomic:
            return _call_atomic(turn, effect, may_commit)
        value = _run(effect)
        user_transactions.close_left_open(before)
        return outcome(effect, value)
    except NOT_FAILURES:
        raise
    except BaseException as error:
        user_transactions.roll_back_left_open(before)
        user_transactions.renew_connections()
        return Outcome(error=error)
    finally:
        sessions.after_body()


async def call_async(effect: Invoke) -> Outcome:
    """Run an `async def` body in this task."""
    return await awaited_in(own_context(), _call_async(effect))


async def _call_async(effect: Invoke) -> Outcome:
    entered.set(effect.current)
    limit = asyncio.timeout(seconds_of(effect))
    try:
        with forks.guard:
            call = effect.step.fn(*effect.args, **effect.kwargs)
            value = await (call if effect.step.options.timeout is None else _within(limit, call))
        return outcome(effect, value)
    except NOT_FAILURES:
        raise
    except TimeoutError as error:
        return Outcome(error=timed_out(effect) if limit.expired() else error)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
            raise
        return Outcome(error=error)


async def _within(limit: asyncio.Timeout, call: Awaitable[Any]) -> Any:
    async with limit:
        return await call


def is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _run(effect: Invoke) -> Any:
    with forks.guard:
        return _function_of(effect)(*effect.args, **effect.kwargs)


def _function_of(effect: Invoke) -> Callable[..., Any]:
    if not effect.step.is_async:
        return effect.step.fn
    return async_to_sync(_with_timeout(effect))


def _with_timeout(effect: Invoke) -> Callable[..., Any]:
    async def body(*args: Any, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(seconds_of(effect)) as limit:
                with forks.guard:  # the loop has a thread of its own, the only one that a child forked there has
                    return await effect.step.fn(*args, **kwargs)
        except TimeoutError:
            if limit.expired():
                raise timed_out(effect) from None
            raise

    return body


def seconds_of(effect: Invoke) -> float | None:
    timeout = effect.step.options.timeout
    return None if timeout is None else timeout.total_seconds()


def timed_out(effect: Invoke) -> StepTimeout:
    return StepTimeout(f"Step {effect.entry.name!r} took longer than its timeout of {effect.step.options.timeout}.")


def outcome(effect: Invoke, value: Any) -> Outcome:
    """What the workflow will see, the same as a replay; a value that cannot be stored is the step's error."""
    text, seen = codec.round_trip(
        value,
        codec.hint_of(effect.step.fn),
        max_bytes=conf.max_payload_bytes(),
        max_depth=conf.max_payload_depth(),
    )
    return Outcome(value=seen, text=text)


def _call_atomic(turn: Turn, effect: Invoke, may_commit: Callable[[], bool]) -> Outcome:
    """The body's writes and its journal row in one commit, again as a whole when the database asks for it."""
    outcomes: list[Outcome] = []

    def body(cursor: CursorWrapper) -> Entry:
        value = in_one_transaction(cursor, partial(_run, effect))
        outcomes.append(outcome(effect, value))
        commit_hooks.tell_of_failures(turn, effect, cursor.db)
        if not may_commit():
            raise Abandoned
        return turn.final_entry(effect.entry, outcomes[-1].text)

    entry = store_with(turn, body)
    turn.journal.put(entry)
    return Outcome(value=outcomes[-1].value, text=outcomes[-1].text, stored=entry)


class Attempt:
    """A body in a thread of its own, which may be left behind when its time is up."""

    def __init__(self, turn: Turn, effect: Invoke) -> None:
        self._turn, self._effect = turn, effect
        self._left = LeftBody(execution_id=turn.claimed.id, workflow=turn.claimed.workflow, step=effect.entry.name)
        self._changed = threading.Condition()
        self._outcome: Outcome | None = None
        self._raised: BaseException | None = None
        self._committing = self._left_behind = False
        self._since = monotonic()

    def run(self) -> None:
        self._since = monotonic()
        try:
            self._outcome = call_sync(self._turn, self._effect, may_commit=self._may_commit)
        except BaseException as error:
            self._raised = error
        with self._changed:
            self._leave_behind_if_late()
            left_behind.has_ended(self._left)
            self._changed.notify_all()

    def _may_commit(self) -> bool:
        with self._changed:
            self._leave_behind_if_late()
            self._committing = not self._left_behind
            return self._committing

    def _leave_behind_if_late(self) -> None:
        """Where there are no further threads the body ran in the caller's, and nobody waited for its time."""
        seconds = seconds_of(self._effect)
        if seconds is not None and monotonic() - self._since > seconds and not self._committing:
            self._left_behind = True

    def result(self, seconds: float | None) -> Outcome:
        """The outcome; a timeout when it took longer. What the body returns after that is ignored."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_done or self._committing, seconds):
                self._left_behind = True
                left_behind.leave(self._left)
            if self._left_behind:
                return Outcome(error=timed_out(self._effect))
            self._changed.wait_for(lambda: self._is_done)
        if self._raised is not None:
            raise self._raised
        assert self._outcome is not None
        return self._outcome

    @property
    def _is_done(self) -> bool:
        return self._outcome is not None or self._raised is not None


def insist(turn: Turn, fn: Callable[[], T]) -> T:
    """Call what may be done twice until the database answers: an outage, or a crowd, is no error of the workflow."""
    backoff = Backoff()
    while True:
        try:
            return fn()
        except (AmbiguousCommit, ConnectionLost):
            pass
        except OperationalError as error:
            if connections[turn.alias].in_atomic_block or not is_retryable(error):
                raise
        if turn.flags.abandoned:
            raise Abandoned
        backoff.wait()


def refresh(turn: Turn) -> None:
    """Read what has arrived since the turn began, in this thread."""
    dialect = dialect_of(connections[turn.alias])
    among, parameters = dialect.among([turn.claimed.id])

    def read(cursor: CursorWrapper) -> tuple[int, list[Unread], list[ChildOutcome]]:
        cursor.execute(f"SELECT inbox FROM django_workflows_execution WHERE id {among}", parameters)
        row = cursor.fetchone()
        unread = [message for _, message in read_unread(cursor, dialect, [turn.claimed.id])]
        return row[0] if row else 0, unread, read_outcomes(cursor, dialect, turn.open_children())

    turn.mailbox.feed(*insist(turn, lambda: reading(turn.alias, read)))
