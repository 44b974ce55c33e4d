"""Procedure of `ctx.do()`: attempts, back-off, and what happens when they are used up."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from django_workflows import codec
from django_workflows.authoring import commands
from django_workflows.authoring.current import CurrentStep
from django_workflows.authoring.retry import BrokenRetry, Retry, default_retry
from django_workflows.codec.redaction import redact_positional
from django_workflows.engine.claims.worker_name import worker_name
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn import reporting
from django_workflows.engine.turn.effects import Barrier, Deliver, Invoke, Outcome, Stop, TimerWait
from django_workflows.engine.turn.moments import LATEST
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import StepFailed

Procedure = Generator[Any, Any, Any]


def do_step(turn: Turn, scope: str, key: str, command: commands.DoStep, entry: Entry | None) -> Procedure:
    """Run a step until it has an outcome, or give the remembered one."""
    if entry is not None and entry.is_final:
        yield Deliver(entry.seq)
        return outcome_of(turn, entry, command)
    if entry is None:
        entry = turn.new_entry(key, command.kind, command.name, status="pending", input=_input_of(turn, command))
    while True:
        if entry.deadline is not None:
            yield TimerWait(key, entry.deadline)
        yield Barrier(but_certain=not command.step.options.atomic)
        lost = turn.lost_attempts(scope, entry)
        if lost:
            _tell_of_the_lost(turn, entry, lost)
        entry = _next_attempt(turn, entry, lost)
        if lost:
            turn.record(msgspec.structs.replace(entry, status="running"))  # should it die again, its row will tell
            yield Barrier()
        progress: list[str] = []
        current = _current(turn, command, entry, progress)
        outcome = yield Invoke(command.step, command.args, command.kwargs, current, entry)
        if outcome.error is None:
            turn.steps += 1
            entry = outcome.stored or turn.settle(entry, "succeeded", output=outcome.text, error=None, deadline=None)
            reporting.step_succeeded(turn, entry)
            yield Deliver(entry.seq)
            return outcome.value
        if progress:
            entry = msgspec.structs.replace(entry, output=progress[-1])  # for the next attempt to read
        entry = _after_failure(turn, command, entry, outcome)
        if entry.status == "pending":
            yield Stop(key, None)
        if entry.is_final:
            turn.steps += 1
            yield Deliver(entry.seq)
            return outcome_of(turn, entry, command, outcome.error)


def outcome_of(turn: Turn, entry: Entry, command: commands.DoStep, cause: BaseException | None = None) -> Any:
    """What the workflow gets to see of a finished step."""
    if entry.status == "failed":
        error = turn.read(entry.error)
        raise StepFailed(command.name, error, entry.attempts, entry.key) from cause
    if entry.status == "skipped" or entry.output is None:
        return None
    return turn.read(entry.output, codec.hint_of(command.step.fn), entry.key)


def _input_of(turn: Turn, command: commands.DoStep) -> str | None:
    """The arguments for people to read; what cannot be stored is left out, a step may take anything."""
    if not command.args and not command.kwargs:
        return None
    try:
        args = redact_positional(command.step.fn, command.args)
        text = codec.encode([args, dict(command.kwargs)] if command.kwargs else args)
    except (ValueError, TypeError, RecursionError):
        return None
    return str(turn.secrets.hide(text))


def _tell_of_the_lost(turn: Turn, entry: Entry, lost: int) -> None:
    """The row keeps the times of the last attempt only. Of a body that left no row nobody knows when it began."""
    known = {"started_at": entry.started_at, "worker": entry.worker} if entry.status == "running" else {}
    reporting.attempts_lost(turn, entry, lost)
    for attempt in range(_made(entry) + 1, _made(entry) + lost + 1):
        turn.log("error", entry.name, {"step": entry.key, "row": entry.id, "attempt": attempt, "lost": True, **known})


def _made(entry: Entry) -> int:
    """Attempts whose end is known."""
    return entry.attempts - (1 if entry.status == "running" else 0)


def _next_attempt(turn: Turn, entry: Entry, lost: int) -> Entry:
    return msgspec.structs.replace(
        entry,
        attempts=_made(entry) + lost + 1,
        lost=entry.lost + lost,
        started_at=turn.now(),
        worker=worker_name(),
        deadline=None,
    )


def _current(turn: Turn, command: commands.DoStep, entry: Entry, reported: list[str]) -> CurrentStep:
    claimed = turn.claimed

    def report(progress: Any) -> None:
        text = codec.encode(progress)
        reported[:] = [text]
        turn.bodies.report(entry.key, text)

    return CurrentStep(
        execution_id=claimed.id,
        workflow=claimed.workflow,
        key=entry.key,
        name=command.name,
        attempt=entry.attempts,
        idempotency_key=f"{claimed.id}-{claimed.generation}-{entry.key}",
        last_progress=codec.decode(entry.output) if entry.output is not None else None,
        report=report,
    )


def _after_failure(turn: Turn, command: commands.DoStep, entry: Entry, outcome: Outcome) -> Entry:
    """Record a failed attempt: with the time of the next one, or as the step's outcome."""
    assert outcome.error is not None
    error = turn.secrets.hide(codec.encode_exception(outcome.error))
    happened = {
        "step": entry.key,
        "row": entry.id,
        "attempt": entry.attempts,
        "started_at": entry.started_at,
        "worker": entry.worker,
        "error": error,
    }
    delay, broken = _delay(turn, command, entry, outcome.error)
    reporting.attempt_failed(turn, entry, outcome.error, delay)
    if broken is not None:
        error = codec.encode_exception(broken)
    with turn.recording(entry.key):
        turn.log("error", command.name, happened)
        return _settle_failure(turn, command, entry, delay, error)


def _settle_failure(
    turn: Turn, command: commands.DoStep, entry: Entry, delay: timedelta | datetime | None, error: dict[str, Any]
) -> Entry:
    text = codec.encode(error)
    if delay is not None:
        deadline = min(delay, LATEST) if isinstance(delay, datetime) else turn.after(delay)
        waiting = msgspec.structs.replace(entry, status="scheduled", error=text, deadline=deadline)
        return turn.record(waiting)
    on_error = command.step.options.on_error or turn.definition.options.on_error
    if on_error == "pause":
        turn.flags.pausing = f"Step {command.name!r} failed: {error['type']}: {error['message']}"
        return turn.record(msgspec.structs.replace(entry, status="pending", error=text, deadline=None))
    return turn.settle(entry, "skipped" if on_error == "continue" else "failed", error=text, deadline=None)


def _delay(
    turn: Turn, command: commands.DoStep, entry: Entry, error: BaseException
) -> tuple[timedelta | datetime | None, BrokenRetry | None]:
    """When to try again, if at all; and what was wrong with the policy, or with what the body asked for."""
    on_error = command.step.options.on_error or turn.definition.options.on_error
    try:
        policy = command.step.options.retry or turn.definition.options.retry or default_retry()
        failures = _failures_since_resume(policy, on_error, entry)
        delay = policy.next_delay(error, failures)
        if delay is None and on_error == "retry" and policy.allows(error):
            delay = policy.longest
    except BrokenRetry as broken:
        return None, broken
    except Exception as problem:  # an exception is foreign code, and so is what it carries
        return None, BrokenRetry(f"What to do after it could not be told: {type(problem).__name__}.")
    return None if delay is not None and _was_never_called(command, error) else delay, None


def _was_never_called(command: commands.DoStep, error: BaseException) -> bool:
    """Whether the arguments do not fit the function; they will not the next time either."""
    if type(error) is not TypeError:
        return False
    try:
        inspect.signature(command.step.fn).bind(*command.args, **command.kwargs)
    except TypeError:
        return True
    except ValueError:  # a builtin that does not tell its parameters
        return False
    return False


def _failures_since_resume(policy: Retry, on_error: str, entry: Entry) -> int:
    """With `on_error="pause"` every resume grants all attempts again."""
    failures = entry.failures
    if on_error == "pause" and policy.max_attempts is not None:
        return (failures - 1) % policy.max_attempts + 1
    return failures
