"""Procedures of the waits: sleeps, signals, events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django_workflows import codec, conf
from django_workflows.authoring import commands
from django_workflows.authoring.values import Message
from django_workflows.engine.claims.loading import Unread
from django_workflows.engine.events.lookback import Lookback
from django_workflows.engine.events.published import keys_of
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.effects import Barrier, Confirm, Deliver, MessageWait, Query, TimerWait
from django_workflows.engine.turn.moments import LATEST
from django_workflows.engine.turn.turn import Turn

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # nothing was published before


def sleep(turn: Turn, scope: str, key: str, command: commands.Sleep, entry: Entry | None) -> Procedure:
    """Wait for a deadline that is fixed when the call is first reached."""
    if entry is None:
        entry = turn.new_entry(key, command.kind, command.name, deadline=_until(turn, command))
        if not _has_passed(turn, entry):
            turn.record(entry)
    if not entry.is_final:
        if not _has_passed(turn, entry):
            yield TimerWait(key, entry.deadline)
        entry = turn.pending.call_certain(turn.settle(entry, "succeeded"))
    yield Deliver(entry.seq)


def _until(turn: Turn, command: commands.Sleep) -> datetime:
    if command.until is not None:
        return min(command.until, LATEST)
    return turn.after(command.duration or timedelta())


def _has_passed(turn: Turn, entry: Entry) -> bool:
    return entry.deadline is not None and entry.deadline <= turn.now()


def wait_for_signal(
    turn: Turn, scope: str, key: str, command: commands.WaitForSignal, entry: Entry | None
) -> Procedure:
    """Consume the oldest unread message of this name, or wait for one."""
    if entry is None:
        entry = turn.new_entry(key, command.kind, command.name, deadline=deadline_of(turn, command.timeout))
    if not entry.is_final:
        entry = yield from receive(turn, entry, MessageWait(key, entry.deadline, command.name, False))
    yield Deliver(entry.seq)
    return _message(turn, entry)


def wait_for_event(turn: Turn, scope: str, key: str, command: commands.WaitForEvent, entry: Entry | None) -> Procedure:
    """Wait for an event that is dispatched after this wait was stored, or was published within the lookback."""
    if entry is None:
        entry = _open_event_wait(turn, key, command)
    if not entry.is_final:
        match, looks_back = tuple(command.match.items()), command.lookback is not None
        wait = MessageWait(key, entry.deadline, command.name, True, match, looks_back)
        if command.lookback is not None and turn.mailbox.message_for(wait) is None:
            # on every replay too: the turn that opened the wait may have ended before it looked
            yield Barrier()
            found = yield Query(_lookback(turn, command, entry, command.lookback))
            if found is not None:
                turn.mailbox.feed(0, [found], [])  # others may have arrived before it, which nobody has read yet
        entry = yield from receive(turn, entry, wait)
    yield Deliver(entry.seq)
    return _message(turn, entry)


def _lookback(turn: Turn, command: commands.WaitForEvent, entry: Entry, window: timedelta) -> Lookback:
    """Looks for what was published before the wait was open, or since: its dispatch may have missed the wait."""
    return Lookback(
        alias=turn.alias,
        execution_id=turn.claimed.id,
        key=entry.key,
        name=command.name,
        match=command.match,
        since=entry.created_at - min(window, entry.created_at - EPOCH),
        until=entry.deadline or LATEST,
    )


def _open_event_wait(turn: Turn, key: str, command: commands.WaitForEvent) -> Entry:
    """The row that the dispatcher finds by the event's name and the hash of what must match."""
    match = dict(command.match)
    return turn.record(
        turn.new_entry(
            key,
            command.kind,
            command.name,
            deadline=deadline_of(turn, command.timeout),
            input=codec.encode({"label": command.label, "match": match}),
            match_keys=keys_of(match),
            match_hash=codec.match_hash(match),
        )
    )


def deadline_of(turn: Turn, timeout: timedelta | None) -> datetime | None:
    return None if timeout is None else turn.after(timeout)


def receive(turn: Turn, entry: Entry, wait: MessageWait) -> Procedure:
    """The final entry of a wait: a message, or the timeout if nothing has arrived when that is stored."""
    if turn.journal.get(entry.key) is None:
        turn.record(entry)
    while True:
        found = yield wait
        if isinstance(found, Unread):
            if (taken := _take(turn, entry, found)) is not None:
                return turn.pending.call_certain(taken) if _is_bound_to_be(wait, found) else taken
            continue
        proposed = turn.settle_unless_moved(entry, "succeeded", wait)
        if proposed is not None and (yield Confirm(proposed.id)):
            return proposed


def _is_bound_to_be(wait: MessageWait, found: Unread) -> bool:
    """Whether a replay would find this message again: not one that was meant for another wait, or looked for."""
    return not wait.looks_back and found.step_key == (wait.key if wait.is_event else "")


def _take(turn: Turn, entry: Entry, unread: Unread) -> Entry | None:
    """The final entry, with the message in it; None when another branch has consumed it."""
    message = {
        "name": unread.name,
        "data": None if unread.data is None else turn.read(unread.data),
        "id": str(unread.event_id or unread.id),
        "sent_at": unread.created_at.isoformat(),
    }
    text = codec.encode(message, max_bytes=2 * max(codec.MAX_BYTES, conf.max_payload_bytes()))
    return turn.take(entry, unread, text)


def _message(turn: Turn, entry: Entry) -> Message | None:
    """What the workflow gets: the message, or None after a timeout."""
    if entry.output is None:
        return None
    data: Mapping[str, Any] = turn.read(entry.output)
    sent_at = datetime.fromisoformat(data["sent_at"])
    return Message(name=data["name"], data=data["data"], id=UUID(data["id"]), sent_at=sent_at)
