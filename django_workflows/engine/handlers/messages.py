"""Procedures of values made once, messages sent once, and the ends that a workflow chooses itself."""

from __future__ import annotations

from uuid import UUID

from django_workflows import codec, conf
from django_workflows.authoring import commands
from django_workflows.engine.commit.values import End, Ending, NewEvent, NewSignal
from django_workflows.engine.handlers.keyed import KeyedSend
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.effects import Barrier, Deliver, Query, Stop
from django_workflows.engine.turn.turn import Turn


def record(turn: Turn, scope: str, key: str, command: commands.Record, entry: Entry | None) -> Procedure:
    """Make a value once; it rides along with the next commit."""
    if entry is None:
        value = turn.now() if command.make is None else command.make()
        entry = turn.settle(turn.new_entry(key, command.kind, command.name), "succeeded", output=codec.encode(value))
    yield Deliver(entry.seq)
    return turn.read(entry.output, command.hint, key)


def send(turn: Turn, scope: str, key: str, command: commands.Send, entry: Entry | None) -> Procedure:
    """Store the message with the row that says it was sent."""
    if entry is None:
        data = codec.encode(command.data, max_bytes=conf.max_payload_bytes())
        entry = turn.new_entry(key, command.kind, command.name, input=data)
        if command.event_id is not None:
            yield Barrier()
            entry = yield Query(KeyedSend(turn, entry, command))
            with turn.recording(key):
                turn.journal.put(entry)
            yield Deliver(entry.seq)
            return
        with turn.recording(key):
            if command.target is None:
                event = _event(turn, command, data)
                turn.add(lambda write: write.events.append(event))
            else:
                signal = _signal(turn, command, data)
                turn.add(lambda write: write.signals.append(signal))
            entry = turn.settle(entry, "succeeded")
    yield Deliver(entry.seq)


def _event(turn: Turn, command: commands.Send, data: str) -> NewEvent:
    return NewEvent(
        id=new_id(),
        type="event",
        name=command.name,
        execution_id=None,
        data=data,
        created_at=turn.now(),
    )


def _signal(turn: Turn, command: commands.Send, data: str) -> NewSignal:
    target = command.target if isinstance(command.target, UUID) else UUID(str(command.target))
    return NewSignal(id=new_id(), execution_id=target, name=command.name, data=data, created_at=turn.now())


def end(turn: Turn, scope: str, key: str, command: commands.End, entry: Entry | None) -> Procedure:
    """`ctx.cancel()`, `ctx.pause()`, `ctx.continue_as_new()`."""
    if command.verb == "pause":
        if entry is None:
            turn.settle(turn.new_entry(key, "pause", "pause"), "succeeded")
            turn.flags.pausing = command.reason or "The workflow paused itself."
            yield Stop(key, None)
        return
    yield Barrier()
    if command.verb == "cancel":
        turn.decide(Ending(end=End.CANCEL, reason=command.reason))
    else:
        turn.decide(Ending(end=End.RENEW, input=_new_input(turn, command)))
    yield Stop(key, None)


def _new_input(turn: Turn, command: commands.End) -> str:
    bound = turn.definition.bind(command.args, command.kwargs or {})
    return codec.encode(bound, max_bytes=conf.max_payload_bytes())
