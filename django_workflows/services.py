"""Which loops a worker runs beside commits and claims: the composition root of `runworkflows`."""

from __future__ import annotations

from django.db import connections

from django_workflows.engine import dispatching, publishing, verbs
from django_workflows.engine.claiming import Peek
from django_workflows.engine.database import dialect_of, transact
from django_workflows.engine.pump import Chore
from django_workflows.triggers import syncing


def publish(alias: str, *, only_missing: bool) -> None:
    """Write the workflows of the code and their triggers into the tables; `only_missing` changes nothing there is."""
    publishing.publish(alias, only_missing=only_missing)
    syncing.sync(alias, only_missing=only_missing)


def carry_out_verbs(alias: str, peek: Peek) -> bool:
    """Carry out what operators requested, through `operations` or by SQL; whether anything changed."""
    if not peek.requested:
        return False
    dialect = dialect_of(connections[alias])
    changes = transact(alias, lambda cursor: verbs.carry_out(cursor, dialect))
    verbs.announce(alias, changes, apart=True)
    return bool(changes)


def dispatch_events(alias: str, peek: Peek) -> bool:
    """Hand published events to the waits that are open for them; whether there were any."""
    return peek.undispatched and dispatching.dispatch(alias) > 0


CHORES: tuple[Chore, ...] = (carry_out_verbs, dispatch_events)
