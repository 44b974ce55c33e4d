"""Starting a child that has a key of its own, and publishing an event that has an id.

Such an INSERT may wait for another transaction that holds the key, so it must not stand in the group commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows.authoring import commands
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.ports import ports
from django_workflows.engine.claims.loading import read_outcomes
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import reading
from django_workflows.engine.handlers.atomic_steps import store_with
from django_workflows.engine.handlers.inheritance import options_of
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.turn.turn import Turn
from django_workflows.models import Execution


@dataclass(frozen=True, slots=True)
class LookAfter:
    """Whether a child that was found by its key is another's, who alone is told of its end; learns of it if it has."""

    turn: Turn
    entry: Entry

    def __call__(self) -> bool:
        return reading(self.turn.alias, self._look)

    def _look(self, cursor: CursorWrapper) -> bool:
        turn, child_id = self.turn, self.entry.child_id
        assert child_id is not None
        turn.mailbox.feed(0, [], read_outcomes(cursor, dialect_of(connections[turn.alias]), [child_id]))
        return not Execution.objects.using(turn.alias).filter(pk=child_id, parent=turn.claimed.id).exists()


@dataclass(frozen=True, slots=True)
class KeyedStart:
    """Starts the child, or attaches to the execution that holds its key, and stores the journal row with it."""

    turn: Turn
    entry: Entry
    definition: WorkflowDefinition[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def __call__(self) -> Entry:
        return store_with(self.turn, self._start)

    def _start(self, cursor: CursorWrapper) -> Entry:
        options = options_of(self.turn, self.definition)
        child = ports.client.start(self.definition, self.args, self.kwargs, options)
        return msgspec.structs.replace(self.entry, child_id=child.id)


@dataclass(frozen=True, slots=True)
class KeyedSend:
    """Publishes the event, unless one with its id is there, and stores the journal row with it."""

    turn: Turn
    entry: Entry
    command: commands.Send

    def __call__(self) -> Entry:
        return store_with(self.turn, self._send)

    def _send(self, cursor: CursorWrapper) -> Entry:
        ports.client.send_event(self.command.name, self.command.data, id=self.command.event_id)
        return self.turn.final_entry(self.entry, None)
