"""The execution of a delivery, the event if it is published too, and the count of its trigger: one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_workflows import conf
from django_workflows.client.messages import publish_or_get
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import settled, transact
from django_workflows.engine.events.after_commit import announce
from django_workflows.models import Execution, Trigger
from django_workflows.triggers import counting, starting
from django_workflows.triggers.payloads import Received

_TRIES = 3

Stored = tuple[Execution, bool, Counter[UUID]]


def store(trigger: Trigger, received: Received, key: str) -> tuple[Execution, bool]:
    """The execution, and whether it is new. Raises what stands in `starting.REFUSED`.

    A busy webhook must not wait for its own counter: what cannot be counted now is counted with the next delivery.
    """
    alias = conf.database()
    prepared = starting.prepare(trigger, received, key)
    uncounted = counting.backlog.take()

    def work(cursor: CursorWrapper) -> Stored:
        execution, is_new = prepared.store(count_it=False)
        if is_new and (name := trigger.config.get("event")):
            publish_or_get(
                name,
                received.data,
                id=key,
                source=received.source,
                headers=received.headers,
                made_by=trigger.made_by,
            )
        counts = uncounted + Counter({trigger.pk: int(is_new)})
        return execution, is_new, counting.count(cursor, dialect_of(connections[alias]), counts)

    left = uncounted
    try:
        execution, is_new, left = _surely(alias, work)
    finally:
        counting.backlog.put(left)
    if is_new:
        announce(alias, [execution.queue], executions=[execution.id])
    return execution, is_new


def _surely(alias: str, work: Callable[[CursorWrapper], Stored]) -> Stored:
    """A commit in doubt is settled by doing it again under the same key."""
    return settled(lambda: transact(alias, work), lambda: None, tries=_TRIES)
