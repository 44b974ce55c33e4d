"""Functions that catch BaseException and go on: they can neither be parked nor stopped by what they catch.

After a number of such catches the execution has failed. What then unwinds the function is raised once more by a tracing
function, at the next line that it comes to: that is in the handler which has caught the first, or behind it, where this
`try` catches nothing. A function that catches that too keeps its thread, in which it is slowed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from django_workflows import codec
from django_workflows.engine.commit.values import End, Ending
from django_workflows.engine.runners import completion
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import DefinitionError, Parked

logger = logging.getLogger("django_workflows")

LIMIT = 100
ESCAPES = 10  # so many attempts to get out follow


def count(turn: Turn) -> None:
    """One more call of a function that was to unwind; what it raises next is raised for it twice past the limit."""
    turn.flags.catches += 1
    if turn.flags.catches == LIMIT and not turn.flags.has_ended:
        _fail(turn)
    if turn.flags.catches == LIMIT + ESCAPES and not turn.flags.has_ended:
        turn.set_ending(turn.flags.decided or completion.suspension(turn))
        turn.committer.flush(turn)
        logger.error("Execution %s keeps its thread for ever", turn.claimed.id)
    if turn.flags.catches >= LIMIT and not is_hopeless(turn):
        _raise_again()


def is_hopeless(turn: Turn) -> bool:
    """Whether the function catches whatever it is told."""
    return turn.flags.catches >= LIMIT + ESCAPES


def _fail(turn: Turn) -> None:
    error = DefinitionError(
        f"Workflow {turn.definition.name!r} catches BaseException and goes on: it can neither be parked nor stopped. "
        "Catch Exception instead, and let the rest pass."
    )
    logger.error("%s (execution %s)", error, turn.claimed.id)
    turn.flags.decided = Ending(end=End.FAIL, error=codec.encode(codec.encode_exception(error)), reason=str(error))


def _raise_again() -> None:
    """At the next line of the function. The interpreter ends the tracing with it."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            raise Parked
        return trace

    for frame in _callers(sys._getframe()):
        frame.f_trace = trace  # the first of them that goes on
    sys.settrace(lambda *arguments: None)


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the workflow's function, between the engine's call of it and its call of `ctx`."""
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    while frame is not None and not _is_ours(frame):
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(("django_workflows.", "asyncio."))
