"""Which procedure carries out which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_workflows.authoring import commands
from django_workflows.engine import branching, children, messages, steps, waits
from django_workflows.engine.journal import Entry
from django_workflows.engine.steps import Procedure
from django_workflows.engine.turn import Turn
from django_workflows.exceptions import ContextMisuse

Carry = Callable[[Turn, str, str, Any, Entry | None], Procedure]

PROCEDURES: dict[type[commands.Command], Carry] = {
    commands.DoStep: steps.do_step,
    commands.Sleep: waits.sleep,
    commands.WaitForSignal: waits.wait_for_signal,
    commands.WaitForEvent: waits.wait_for_event,
    commands.StartChild: children.start_child,
    commands.MapChildren: children.map_children,
    commands.Gather: branching.gather,
    commands.Race: branching.race,
    commands.Loop: branching.loop,
    commands.Record: messages.record,
    commands.Send: messages.send,
    commands.End: messages.end,
}


def procedure_for(turn: Turn, scope: str, key: str, command: commands.Command) -> Procedure:
    """The procedure of a command, after the journal has been compared with it."""
    if isinstance(command, commands.WaitForChild):
        return _result_of_child(turn, command)
    if _runs_elsewhere(turn, command):
        command = commands.StartChild(command.name, command.step.as_workflow, command.args, command.kwargs, True)  # type: ignore[attr-defined]  # a DoStep
    entry = turn.journal.visit(key, command.kind, command.name)
    if isinstance(command, commands.StartChild):
        turn.started[key] = command.definition
    return PROCEDURES[type(command)](turn, scope, key, command, entry)


def _runs_elsewhere(turn: Turn, command: commands.Command) -> bool:
    """A step with a queue of its own is a child of one step, taken by that queue's workers."""
    if not isinstance(command, commands.DoStep) or turn.definition.step is not None:
        return False
    return command.step.options.queue not in {None, turn.claimed.queue}


def _result_of_child(turn: Turn, command: commands.WaitForChild) -> Procedure:
    if (entry := turn.journal.get(command.key)) is None:
        raise ContextMisuse("This handle belongs to an earlier iteration or generation; start the child again.")
    return (yield from children.wait_for(turn, entry, turn.started[command.key]))
