"""What the log tells of single steps, while it happens: failed attempts with their place, and, to who asks, each step.

`logger` is that of the whole package; its filter keeps what `REDACT` names out of messages.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django_workflows import codec
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import NonDeterminism
from django_workflows.expressions.durations import format_duration

logger = logging.getLogger("django_workflows")

_LONGEST = 500  # characters of a message in a line of the log


def attempt_failed(turn: Turn, entry: Entry, error: BaseException, pause: timedelta | datetime | None) -> None:
    """An attempt of a step has failed; `pause` is that before another, or its moment; None when there is none."""
    if not logger.isEnabledFor(logging.INFO):
        return
    if isinstance(pause, timedelta):
        then = f"again in {format_duration(pause)}"
    else:
        then = "it was the last" if pause is None else f"again at {pause:%Y-%m-%d %H:%M:%S} UTC"
    logger.info(
        "attempt    %s %s: step %s, attempt %d failed: %s; %s",
        turn.claimed.workflow,
        turn.claimed.id,
        entry.name,
        entry.attempts,
        in_words(error),
        then,
    )


def attempts_lost(turn: Turn, entry: Entry, lost: int) -> None:
    """Attempts of a step died with their worker."""
    logger.warning(
        "lost       %s %s: step %s, %d attempt(s) lost with their worker; trying again",
        turn.claimed.workflow,
        turn.claimed.id,
        entry.name,
        lost,
    )


def step_succeeded(turn: Turn, entry: Entry) -> None:
    """A step has its result."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    began = entry.started_at or entry.created_at
    took = format_duration(entry.completed_at - began) if entry.completed_at is not None else "?"
    logger.debug(
        "step       %s %s: %s succeeded in %s%s",
        turn.claimed.workflow,
        turn.claimed.id,
        entry.name,
        took,
        f", attempt {entry.attempts}" if entry.attempts > 1 else "",
    )


def mismatched(turn: Turn, mismatch: NonDeterminism, left: int, delay: float) -> None:
    """The code does not fit the journal; `left` times more it is left to workers who may have other code."""
    then = f"left to other workers, looked at again in {delay:g} s" if left else "paused"
    place = codec.place_of(mismatch)
    logger.warning(
        "mismatch   %s %s: %s%s; %s",
        turn.claimed.workflow,
        turn.claimed.id,
        mismatch,
        f" ({place})" if place else "",
        then,
    )


def in_words(error: BaseException) -> str:
    """Type, message and place of an error, in one line."""
    data = codec.encode_exception(error)
    message = " ".join(str(data["message"]).split())
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + "…"
    place = codec.place_of(error)
    return f"{data['type']}: {message}{f' ({place})' if place else ''}"
