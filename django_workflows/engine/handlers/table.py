"""Which procedure carries out which command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_workflows.authoring import commands
from django_workflows.authoring.building import workflow_of
from django_workflows.engine.handlers import branches, children, messages, steps, tokens, waits
from django_workflows.engine.handlers.steps import Procedure
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.turn import Turn
from django_workflows.exceptions import ContextMisuse, ExecutionFailed, StepFailed

Carry = Callable[[Turn, str, str, Any, Entry | None], Procedure]

PROCEDURES: dict[type[commands.Command], Carry] = {
    commands.DoStep: steps.do_step,
    commands.Sleep: waits.sleep,
    commands.WaitForSignal: waits.wait_for_signal,
    commands.WaitForEvent: waits.wait_for_event,
    commands.OpenToken: tokens.open_token,
    commands.StartChild: children.start_child,
    commands.MapChildren: children.map_children,
    commands.Gather: branches.gather,
    commands.Race: branches.race,
    commands.Loop: branches.loop,
    commands.Record: messages.record,
    commands.Send: messages.send,
    commands.End: messages.end,
}


def procedure_for(turn: Turn, scope: str, key: str, command: commands.Command) -> Procedure:
    """The procedure of a command, after the journal has been compared with it."""
    if isinstance(command, commands.WaitForChild):
        return _result_of_child(turn, command)
    if isinstance(command, commands.WaitForToken):
        return tokens.wait_for_token(turn, command)
    if isinstance(command, commands.DoStep) and _runs_elsewhere(turn, command):
        return _step_elsewhere(turn, scope, key, command)
    entry = turn.journal.visit(key, command.kind, command.name)
    if isinstance(command, commands.StartChild):
        turn.started[key] = command.definition
    return PROCEDURES[type(command)](turn, scope, key, command, entry)


def _runs_elsewhere(turn: Turn, command: commands.DoStep) -> bool:
    """A step with a queue of its own is a child of one step, taken by that queue's workers."""
    return turn.definition.step is None and command.step.options.queue not in {None, turn.claimed.queue}


def _step_elsewhere(turn: Turn, scope: str, key: str, command: commands.DoStep) -> Procedure:
    """For the workflow it is a step: it fails like one, too."""
    child = commands.StartChild(command.name, workflow_of(command.step), command.args, command.kwargs, True)
    procedure = procedure_for(turn, scope, key, child)

    def carry_out() -> Procedure:
        try:
            return (yield from procedure)
        except ExecutionFailed as failed:
            if type(failed) is not ExecutionFailed:
                raise
            raise StepFailed(command.name, failed.error, failed.error.get("attempts", 0), key) from failed

    return carry_out()


def _result_of_child(turn: Turn, command: commands.WaitForChild) -> Procedure:
    if (entry := turn.journal.get(command.key)) is None:
        raise ContextMisuse("This handle belongs to an earlier iteration or generation; start the child again.")
    return (yield from children.wait_for(turn, entry, turn.started[command.key]))
