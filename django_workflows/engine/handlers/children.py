"""Procedures of child workflows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django_workflows import codec
from django_workflows.authoring import commands
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.plans import Plan, make_request
from django_workflows.authoring.registry import registry
from django_workflows.engine.claims.loading import ChildOutcome
from django_workflows.engine.commit.values import NewExecution
from django_workflows.engine.handlers.branches import close
from django_workflows.engine.handlers.depth import check_depth
from django_workflows.engine.handlers.inheritance import deadline_of, plan_of, start_of
from django_workflows.engine.handlers.keyed import KeyedStart, LookAfter
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.history.ids import new_id
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.effects import Barrier, ChildWait, Deliver, Query
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import ExecutionCancelled, ExecutionFailed, ExecutionTimedOut, Parked
from django_workflows.models import Status

# Between two looks at a child that somebody else started: nobody tells us of its end.
SHORTEST_POLL, LONGEST_POLL = timedelta(seconds=2), timedelta(minutes=5)


def start_child(turn: Turn, scope: str, key: str, command: commands.StartChild, entry: Entry | None) -> Procedure:
    """Start a child once, and wait for it when asked to; otherwise its journal entry."""
    if entry is None:
        yield from check_depth(turn)
        entry = yield from _start(turn, key, command)
    if not command.wait:
        return entry
    return (yield from wait_for(turn, entry, command.definition))


def _start(turn: Turn, key: str, command: commands.StartChild) -> Procedure:
    definition = command.definition
    if definition.is_reference:
        definition = yield Query(partial(_look_up, definition))
    options = definition.start_options
    if options.key is None and options.idempotency_key is None:
        return new_child(turn, key, command.name, plan_of(turn, definition), command.args, command.kwargs)
    yield Barrier()
    entry = turn.new_entry(key, command.kind, command.name)
    entry = yield Query(KeyedStart(turn, entry, definition, command.args, command.kwargs))
    with turn.lock:
        turn.journal.put(entry)
        if turn.mailbox.is_closed(key):  # its branch has lost a race meanwhile
            close(turn, entry)
            raise Parked
    return entry


def _look_up(reference: WorkflowDefinition[..., Any]) -> WorkflowDefinition[..., Any]:
    """The present version of a workflow that only its name was known of. Raises `UnknownWorkflow`."""
    return registry.workflow(reference.name).started_like(reference)


def new_child(turn: Turn, key: str, name: str, plan: Plan, args: Sequence[Any], kwargs: Any) -> Entry:
    """A child and the row that stands for it, stored in one commit."""
    input = make_request(plan, args, kwargs, None, None).input
    entry = turn.new_entry(key, "child", name, child_id=new_id(), input=input)
    child = _execution(turn, entry, plan)
    with turn.recording(key):
        turn.add(lambda write: write.children.append(child))
        return turn.record(entry)


def _execution(turn: Turn, entry: Entry, plan: Plan) -> NewExecution:
    assert entry.child_id is not None
    assert entry.input is not None
    start = start_of(turn, plan)
    return NewExecution(
        id=entry.child_id,
        workflow=plan.workflow,
        version=plan.version,
        input=entry.input,
        queue=plan.queue,
        priority=plan.priority,
        tags=plan.tags_text,
        parent_id=turn.claimed.id,
        parent_close=plan.parent_close,
        wake_at=start if plan.start_at or plan.delay else None,
        deadline=deadline_of(turn, plan, start),
        expires_at=None if plan.ttl is None else start + plan.ttl,
    )


def wait_for(turn: Turn, entry: Entry, definition: WorkflowDefinition[..., Any]) -> Procedure:
    """Wait for a child and give its output, or raise what it came to."""
    entry = turn.journal.get(entry.key) or entry
    is_foreign = False
    if not entry.is_final and _has_key(definition):
        is_foreign = yield Query(LookAfter(turn, entry))
    while not entry.is_final:
        assert entry.child_id is not None
        yield ChildWait(entry.key, _next_look(turn, entry) if is_foreign else None, (entry.child_id,), 1)
        entry = settle_if_ended(turn, entry)
    yield Deliver(entry.seq)
    return result_of(turn, entry, definition)


def _next_look(turn: Turn, entry: Entry) -> datetime:
    """The rarer, the longer it lasts."""
    return turn.after(min(max(SHORTEST_POLL, (turn.now() - entry.created_at) / 10), LONGEST_POLL))


def _has_key(definition: WorkflowDefinition[..., Any]) -> bool:
    options = definition.start_options
    return options.key is not None or options.idempotency_key is not None


def settle_if_ended(turn: Turn, entry: Entry) -> Entry:
    """Record what the child came to, when it has ended."""
    outcome = turn.mailbox.children.get(entry.child_id) if entry.child_id is not None else None
    if outcome is None:
        return entry
    if outcome.status == Status.COMPLETED:
        output = outcome.output if outcome.output is not None else "null"
        return turn.pending.call_certain(turn.settle(entry, "succeeded", output=output))
    return turn.settle(entry, "failed", error=codec.encode(_error_of(outcome), max_bytes=2 * codec.MAX_BYTES))


def _error_of(outcome: ChildOutcome) -> dict[str, Any]:
    error = codec.decode(outcome.error) if outcome.error is not None else {}
    if outcome.status == Status.CANCELLED:
        error = {"type": "Cancelled", "message": outcome.reason}
    return {**error, "status": outcome.status}


def result_of(turn: Turn, entry: Entry, definition: WorkflowDefinition[..., Any]) -> Any:
    """The output of a finished child, or the error that its parent sees."""
    if entry.status == "succeeded":
        return turn.read(entry.output, codec.hint_of(definition.signature_of[0]), entry.key)
    raise error_of(entry.name, entry.child_id, turn.read(entry.error))


def error_of(workflow: str, id: UUID | None, error: dict[str, Any]) -> ExecutionFailed:
    """The exception for an execution that did not complete."""
    if error.get("status") == Status.CANCELLED:
        return ExecutionCancelled(workflow, id, error)
    if error.get("type") == "WorkflowTimeout":
        return ExecutionTimedOut(workflow, id, error)
    return ExecutionFailed(workflow, id, error)


def map_children(turn: Turn, scope: str, key: str, command: commands.MapChildren, entry: Entry | None) -> Procedure:
    """One child per item, a bounded number unfinished at once: one wait, no threads."""
    window = command.concurrency or len(command.items)
    entries: list[Entry] = []
    plan: Plan | None = None
    while True:
        entries = [settle_if_ended(turn, entry) if not entry.is_final else entry for entry in entries]
        unfinished = [entry for entry in entries if not entry.is_final]
        room = window - len(unfinished)
        for item in command.items[len(entries) : len(entries) + room]:
            place = f"{key}.{len(entries)}"
            known = turn.journal.visit(place, "child", command.name)
            if known is None:
                yield from check_depth(turn)
                plan = plan or plan_of(turn, command.definition)
                known = new_child(turn, place, command.name, plan, (item,), {})
            entries.append(known)
        open_ids = tuple(entry.child_id for entry in entries if not entry.is_final and entry.child_id is not None)
        if not open_ids and len(entries) == len(command.items):
            break
        if not any(id in turn.mailbox.children for id in open_ids):
            # half a window at a time: waking for each child would replay the parent as often as it has children
            needed = len(open_ids) if len(entries) == len(command.items) else max(1, window // 2)
            yield ChildWait(key, None, open_ids, min(needed, len(open_ids)))
    for entry in sorted(entries, key=lambda entry: entry.seq):
        yield Deliver(entry.seq)
    return [result_of(turn, entry, command.definition) for entry in entries]
