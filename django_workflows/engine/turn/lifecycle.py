"""What happens around a turn: telling others how it ended, and failing what the database refuses."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import DatabaseError
from django.dispatch import Signal

from django_workflows import codec, signals
from django_workflows.clock import DatabaseNow
from django_workflows.engine.claims.claims import Claimed
from django_workflows.engine.commit.store import store_all
from django_workflows.engine.commit.values import End, Ending, Receipt, Verdict
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.turn import Turn
from django_workflows.models import UNSTORED, Event, EventType, Execution

logger = logging.getLogger("django_workflows")

_SIGNALS: dict[End, Signal] = {
    End.COMPLETE: signals.execution_completed,
    End.FAIL: signals.execution_failed,
    End.PAUSE: signals.execution_paused,
}


def past_deadline(deadline: datetime) -> Ending:
    """The ending of an execution that has passed its own deadline."""
    error = {"type": "WorkflowTimeout", "message": f"The execution passed its deadline {deadline}."}
    return Ending(end=End.FAIL, error=codec.encode(error), reason=error["message"])


def has_begun(claimed: Claimed) -> bool:
    """Whether this claim is the one that has begun the execution, and somebody wants to hear of that."""
    began = claimed.claim == 1 and claimed.generation == 0
    return began and signals.execution_started.has_listeners(Execution)


def announce_start(claimed: Claimed) -> None:
    """Send the Django signal of an execution that a worker has taken for the first time."""
    _send(signals.execution_started, "STARTED", claimed)


def has_listeners(ending: Ending) -> bool:
    """Whether anybody wants to hear of such an ending."""
    signal = _SIGNALS.get(ending.end)
    return signal is not None and signal.has_listeners(Execution)


def announce(turn: Turn, ending: Ending) -> None:
    """Send the Django signal of an ending that was stored."""
    signal = _SIGNALS.get(ending.end)
    if signal is not None:
        _send(signal, ending.end.name, turn.claimed)


def _send(signal: Signal, name: str, claimed: Claimed) -> None:
    answers = signal.send_robust(sender=Execution, execution_id=claimed.id, workflow=claimed.workflow)
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error("Receiver %r of %s failed", receiver, name, exc_info=answer)


def shelved_waits(turn: Turn) -> dict[UUID, Entry]:
    """The open waits for events of a turn whose execution ends, as they are to be stored. Nobody delivers to what has
    ended: the rows leave the index of open waits. A retry opens them again.
    """
    with turn.lock:
        waits = [entry for entry in turn.journal if entry.kind == "event" and entry.status == "scheduled"]
    return {entry.id: msgspec.structs.replace(entry, status="pending") for entry in waits}


def tell_unstored(turn: Turn, error: Exception) -> None:
    """What a turn wants stored is refused again and again: say so where an operator looks. The turn goes on trying."""
    claimed = turn.claimed
    logger.error("Execution %s (%s): what it has done cannot be stored: %s", claimed.id, claimed.workflow, error)
    event = Event(type=EventType.ERROR, name=UNSTORED, execution_id=claimed.id, created_at=DatabaseNow())
    event.data = {"error": codec.encode_exception(error)}
    with contextlib.suppress(DatabaseError, ConnectionLost, AmbiguousCommit):
        transact(turn.alias, lambda cursor: event.save(using=turn.alias, force_insert=True))


def refuse(turn: Turn, receipt: Receipt) -> Ending:
    """Fail an execution whose write the database refuses, so that it does not come back for ever."""
    error = receipt.error or ValueError("The database refused a value.")
    logger.error("Execution %s: the database refuses its data: %s", turn.claimed.id, error)
    data = codec.encode_exception(error)
    ending = Ending(end=End.FAIL, error=codec.encode(data), reason=f"The database refused a value: {error}"[:1000])
    write = turn.pending.empty()
    write.ending, write.entries = ending, shelved_waits(turn)
    with contextlib.suppress(ConnectionLost):  # the pump then finds a claim without a turn, and gives it back
        if store_all(turn.alias, [write])[0].verdict is Verdict.REFUSED:  # it was one of these
            write.entries = {}
            store_all(turn.alias, [write])
    return ending
