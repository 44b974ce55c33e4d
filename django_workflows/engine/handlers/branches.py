"""Procedures of parallel branches and loops."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from django_workflows import codec, conf
from django_workflows.authoring import commands
from django_workflows.authoring.values import Break, Continue, Winner
from django_workflows.codec.hints import hints_of
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.history.journal import Entry, iteration_prefix
from django_workflows.engine.turn.effects import Branches, Deliver, Iterate
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import ContextMisuse


def gather(turn: Turn, scope: str, key: str, command: commands.Gather, entry: Entry | None) -> Procedure:
    """All branches finish, then the first error in branch order is raised."""
    results = yield Branches(key, command.branches, command.concurrency)
    turn.journal.check_nothing_left(f"{key}.")
    for result in results:
        if isinstance(result, Failure):
            raise result.error
    return results


class Failure(msgspec.Struct, frozen=True):
    """What a branch came to that raised."""

    error: BaseException


def race(turn: Turn, scope: str, key: str, command: commands.Race, entry: Entry | None) -> Procedure:
    """The first branch to finish wins. A replay runs the winner alone, whose steps give the same value again."""
    if entry is not None and entry.is_final:
        index = turn.read(entry.output)["index"]
        result = (yield Branches(key, command.branches, None, race=True, only=index))[index]
        turn.close_branches(key, len(command.branches), index)  # what the others got is there for later waits
    else:
        index, result = yield Branches(key, command.branches, None, race=True)
        entry = _decide(turn, key, command, index, result)
    turn.journal.close(f"{key}.")
    yield Deliver(entry.seq)
    if isinstance(result, Failure):
        raise result.error
    return Winner(index, result)


def _decide(turn: Turn, key: str, command: commands.Race, index: int, result: Any) -> Entry:
    """Record the winner; what the others still wait for is closed, and their children are cancelled."""
    value = {"index": index, "value": None if isinstance(result, Failure) else _readable(result)}
    entry, text = turn.new_entry(key, command.kind, command.name), codec.encode(value)
    with turn.lock:  # into one write
        for other in turn.journal.under(f"{key}."):
            if not other.is_final and not other.key.startswith(f"{key}.{index}."):
                close(turn, other)
        return turn.settle(entry, "succeeded", output=text)


def _readable(value: Any) -> Any:
    try:
        codec.encode(value, max_bytes=conf.max_payload_bytes())
    except ValueError:
        return repr(type(value))
    return value


def close(turn: Turn, entry: Entry) -> None:
    """End an open entry that nobody waits for any more."""
    with turn.lock:  # into one write
        if entry.child_id is not None:
            child_id = entry.child_id
            turn.add(lambda write: write.cancelled.append(child_id))
        turn.skip(entry)


def loop(turn: Turn, scope: str, key: str, command: commands.Loop, entry: Entry | None) -> Procedure:
    """Repeat the body; the stored state and the number of the iteration are all that a replay needs of earlier ones."""
    if entry is not None and entry.is_final:
        yield Deliver(entry.seq)
        return turn.read(entry.output)
    if entry is None:
        text, _ = codec.round_trip(command.state, _state_hint(command), max_bytes=conf.max_payload_bytes())
        entry = turn.record(turn.new_entry(key, command.kind, command.name, "running", output=text, attempts=1))
    while True:
        prefix = iteration_prefix(key, entry.attempts)
        state = turn.read(entry.output, _state_hint(command), key)
        decision = yield Iterate(prefix, command.body, (state,))
        turn.journal.check_nothing_left(prefix)
        entry = _after_iteration(turn, entry, prefix, decision, command)
        if entry.is_final:
            yield Deliver(entry.seq)
            return turn.read(entry.output)


def _state_hint(command: commands.Loop) -> Any:
    """The type that the body declares for its state, the parameter after the context."""
    names = list(inspect.signature(command.body).parameters)
    return hints_of(command.body).get(names[1], Any) if len(names) > 1 else Any


def _after_iteration(turn: Turn, entry: Entry, prefix: str, decision: Any, command: commands.Loop) -> Entry:
    match decision:
        case Continue(value):
            text, _ = codec.round_trip(value, _state_hint(command), max_bytes=conf.max_payload_bytes())
        case Break(value):
            text = codec.encode(value, max_bytes=conf.max_payload_bytes())
        case _:
            raise ContextMisuse(
                f"The body of ctx.loop() returns Continue(state) or Break(value), not {type(decision).__name__}."
            )
    with turn.recording(entry.key):  # an iteration that is forgotten is over
        forgotten = turn.journal.forget(prefix)
        turn.add(lambda write: write.forgotten.extend(one.id for one in forgotten))
        if isinstance(decision, Break):
            return turn.settle(entry, "succeeded", output=text)
        # a number of its own, so that those of the forgotten are not given again
        seq = turn.journal.next_seq()
        return turn.record(msgspec.structs.replace(entry, output=text, attempts=entry.attempts + 1, seq=seq))
