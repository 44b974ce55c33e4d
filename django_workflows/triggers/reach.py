"""Which triggers an event may reach, where the project narrows what users find.

A user's event starts the triggers that exist for him, and a user's trigger gets the events that exist for that one.
Events that code published, and triggers of the code, know no bounds. Nothing is asked where there is no scope.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db.models import Model

from django_workflows import rights
from django_workflows.engine.events.published import Published
from django_workflows.models import Event, Trigger

Pair = tuple[UUID, Published]  # a trigger, and an event that it matches


def reached(pairs: Collection[Pair], triggers: Mapping[UUID, Trigger]) -> Collection[Pair]:
    """Those of the pairs that may come together."""
    if rights.scope() is None:
        return pairs
    found = _found_by({event.made_by for _, event in pairs}, Trigger, triggers)
    seen = _found_by({trigger.made_by for trigger in triggers.values()}, Event, {event.id for _, event in pairs})
    return [
        (id, event)
        for id, event in pairs
        if id in found[event.made_by] and id in triggers and event.id in seen[triggers[id].made_by]
    ]


def _found_by(users: Iterable[str], model: type[Model], ids: Collection[UUID]) -> dict[str, Collection[UUID]]:
    """What exists for each of the users; all of it for the code."""
    return {user: rights.found_by(user, model, ids) if user else ids for user in users}
