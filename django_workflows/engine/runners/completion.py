"""How a turn ends: from what the workflow's function returned or raised to the last write."""

from __future__ import annotations

import inspect
import logging
from datetime import timedelta
from typing import Any

from django_workflows import codec, conf
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.handlers import invocation
from django_workflows.engine.turn import lifecycle, reporting
from django_workflows.engine.turn.effects import ChildWait, Stop, Wait
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import (
    DefinitionError,
    ExecutionFailed,
    InvalidInput,
    LimitExceeded,
    StepFailed,
    TypesChanged,
)
from django_workflows.models import Event

logger = logging.getLogger("django_workflows")

MISMATCH = "code does not match the journal"
OWN_ERROR = "error of the engine"


def arguments_of(turn: Turn) -> tuple[list[Any], dict[str, Any]]:
    """The input as the function takes it. One that does not fit was checked by other code: a mismatch."""
    text = turn.claimed.input or "{}"
    if not isinstance(turn.read(text), dict):
        turn.park("The stored input cannot be read: it is no JSON object of arguments by name.")
    try:
        return turn.definition.arguments(text)
    except InvalidInput as error:
        raise TypesChanged("", "the stored input", str(error)) from None


def after_return(turn: Turn, value: Any) -> Ending | None:
    """The ending when the function returned; None when the claim is lost."""
    if turn.flags.unwinding or turn.flags.mismatch is not None:
        if not turn.flags.abandoned and turn.flags.decided is None and turn.flags.mismatch is None:
            logger.warning(
                "Workflow %s (%s) returned while it was being parked: it catches BaseException, or returns in a "
                "`finally:`. What it returned is ignored.",
                turn.claimed.workflow,
                turn.claimed.id,
            )
        return after_unwinding(turn)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        advice = "`await` it" if turn.definition.is_async else "declare it with `async def`"
        return after_error(turn, DefinitionError(f"Workflow {turn.definition.name!r} returned a coroutine: {advice}."))
    turn.journal.check_nothing_left()
    try:
        output, _ = codec.round_trip(
            value,
            codec.hint_of(turn.definition.signature_of[0]),
            max_bytes=conf.max_payload_bytes(),
            max_depth=conf.max_payload_depth(),
        )
    except Exception as error:
        return after_error(turn, error)
    return Ending(end=End.COMPLETE, output=output)


def after_error(turn: Turn, error: BaseException) -> Ending | None:
    """The ending when the function raised."""
    if turn.flags.unwinding or turn.flags.mismatch is not None:
        return after_unwinding(turn)
    data = turn.secrets.hide(codec.encode_exception(error))
    if turn.definition.step is not None and isinstance(error, StepFailed):
        data = {**error.error, "attempts": error.attempts}  # nobody wrote a workflow around it
    if step := _step_of(turn, error):
        data["step"] = step
    if turn.definition.options.on_error == "pause" and not isinstance(error, LimitExceeded):
        turn.log("error", "workflow failed", {"error": data})
        return Ending(end=End.PAUSE, reason=f"{data['type']}: {data['message']}"[:1000])
    return Ending(end=End.FAIL, error=codec.encode(data), reason=f"{data['type']}: {data['message']}"[:1000])


def _step_of(turn: Turn, error: BaseException) -> str:
    """The key of the step, or of the child, whose failure the workflow let pass: a retry begins there."""
    if isinstance(error, StepFailed):
        return error.key
    if not isinstance(error, ExecutionFailed):
        return ""
    failed = (entry for entry in turn.journal if entry.status == "failed" and str(entry.child_id) == error.execution_id)
    return next((entry.key for entry in failed), "")


def after_unwinding(turn: Turn) -> Ending | None:
    """The ending when everything was made to unwind."""
    if turn.flags.abandoned:
        return None
    if turn.flags.mismatch is not None:
        return _after_mismatch(turn)
    if turn.flags.decided is not None:
        return turn.flags.decided
    return suspension(turn)


def suspension(turn: Turn) -> Ending:
    """The ending of a turn in which everything waits."""
    waits, flags = turn.mailbox.open_waits(), turn.flags
    if flags.pausing is not None:
        return Ending(end=End.PAUSE, reason=flags.pausing, current_step=_current_step(turn, waits))
    if flags.releasing and any(isinstance(wait, Stop) for wait in waits):
        return Ending(end=End.RELEASE)
    child_waits = [wait for wait in waits if isinstance(wait, ChildWait)]
    deadlines = [wait.deadline for wait in waits if wait.deadline is not None]
    return Ending(
        end=End.SUSPEND,
        deadline=min(deadlines, default=None),
        children=tuple(id for wait in child_waits for id in wait.children),
        needed=_needed(turn, child_waits),
        only_children=len(child_waits) == len(waits),
        current_step=_current_step(turn, waits),
    )


def _needed(turn: Turn, waits: list[ChildWait]) -> int:
    """How many children must have ended until some branch can go on: all, if one wait is the only one for children."""
    if len(waits) == 1:
        return waits[0].needed
    finished = sum(id in turn.mailbox.children for wait in waits for id in wait.children)
    return finished + 1 if waits else 0


def _current_step(turn: Turn, waits: list[Wait]) -> str:
    entries = [turn.journal.get(wait.key) for wait in waits]
    return next((entry.name or entry.kind for entry in entries if entry is not None), "")


def _after_mismatch(turn: Turn) -> Ending:
    """It may only be an old worker in a rolling deploy: left to others first, then paused with what was found."""
    assert turn.flags.mismatch is not None
    since = turn.now() - timedelta(seconds=conf.mismatch_delay() * (conf.mismatch_releases() + 3) + 60)
    earlier = Event.objects.using(turn.alias).filter(execution_id=turn.claimed.id, name=MISMATCH, created_at__gte=since)
    releases = invocation.insist(turn, lambda: reading(turn.alias, lambda _: earlier.count()))
    mismatch = turn.flags.mismatch
    data = {"step": mismatch.key, "expected": mismatch.expected, "found": mismatch.found}
    turn.log("error", MISMATCH, data)
    reporting.mismatched(turn, mismatch, max(conf.mismatch_releases() - releases, 0), conf.mismatch_delay())
    if releases < conf.mismatch_releases():
        later = turn.after(timedelta(seconds=conf.mismatch_delay()))
        return Ending(end=End.RELEASE, deadline=later, reason=str(mismatch)[:1000])
    return Ending(end=End.PAUSE, reason=str(mismatch)[:1000])


def expired(turn: Turn) -> Ending | None:
    """The ending of an execution that may not go on at all: past its deadline, or never started in time."""
    claimed, now = turn.claimed, turn.now()
    if claimed.expires_at is not None and claimed.claim == 1 and claimed.expires_at <= now:
        return Ending(end=End.CANCEL, reason="expired")
    if claimed.deadline is not None and claimed.deadline <= now:
        return lifecycle.past_deadline(claimed.deadline)
    return None


def after_own_error(turn: Turn, error: BaseException) -> Ending | None:
    """The ending when the engine itself failed: others, or a later version, may do better."""
    if turn.flags.abandoned:
        return None
    turn.flags.unwinding = True
    logger.error("Execution %s (%s) met an error of the engine", turn.claimed.id, turn.claimed.workflow, exc_info=error)
    turn.log("error", OWN_ERROR, {"error": codec.encode_exception(error)})
    later = turn.after(timedelta(seconds=conf.mismatch_delay()))
    return Ending(
        end=End.RELEASE, deadline=later, reason=f"Error of the engine: {type(error).__name__}: {error}"[:1000]
    )


def conclude(turn: Turn, ending: Ending) -> Ending:
    """Give a turn its last write, and the ending it has: a `ctx.state` that cannot be stored fails the execution."""
    try:
        turn.publish_state()
    except ValueError as error:
        if ending.end not in {End.FAIL, End.CANCEL}:
            ending = _after_failed_state(error)
    if ending.end.is_final and (shelved := lifecycle.shelved_waits(turn)):
        turn.add(lambda write: write.entries.update(shelved))
    turn.set_ending(ending)
    return ending


def _after_failed_state(error: ValueError) -> Ending:
    data = codec.encode_exception(error)
    return Ending(end=End.FAIL, error=codec.encode(data), reason=f"ctx.state cannot be stored: {error}"[:1000])
