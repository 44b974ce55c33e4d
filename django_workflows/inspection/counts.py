"""How many executions there are in which status, and how far each queue is behind, at a cost that has a bound.

Nothing here reads a whole table: each status is counted among its newest rows, each queue by its due rows, and both
stop at a limit and say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections
from django.db.models import QuerySet

from django_workflows import conf
from django_workflows.engine.claims.claims import peek
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.models import Execution, Status

LIMIT = 10_000
MOST_QUEUES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Executions of one workflow in one status; with `at_least`, there may be more, older ones."""

    workflow: str
    status: str
    count: int
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is due in one queue: how many executions, and for how long the oldest has been; nothing is zero."""

    queue: str
    due: int
    age: timedelta
    at_least: bool = False
    next_at: datetime | None = None


def count_by_status(*, workflow: str = "", limit: int = LIMIT) -> list[Count]:
    """Executions by workflow and status, of one workflow or of all; each status among its newest `limit` rows."""
    counts = []
    for status in Status:
        names = _newest(status, workflow, limit)
        counted = Counter(names)
        counts += [
            Count(workflow=name, status=status.value, count=count, at_least=len(names) >= limit)
            for name, count in sorted(counted.items())
        ]
    return sorted(counts, key=lambda count: count.workflow)


def _newest(status: Status, workflow: str, limit: int) -> Sequence[str]:
    """The workflows of the newest executions with this status.

    Completed ones stand in no index by status, as they are nearly all of the table: they are looked for among the
    newest of all.
    """
    newest = Execution.objects.using(conf.database()).order_by("-created_at")
    if workflow:
        newest = newest.filter(workflow=workflow)
    if status is not Status.COMPLETED:
        return list(newest.filter(status=status).values_list("workflow", flat=True)[:limit])
    rows = list(newest.values_list("workflow", "status")[: limit * 2])
    return [name for name, found in rows if found == status][:limit]


def queues() -> list[str]:
    """The queues in which anything waits for its time: one look into the index for each."""
    return list(_queues(Execution.objects.using(conf.database()).filter(wake_at__isnull=False)))


def _queues(waking: QuerySet[Execution]) -> Iterator[str]:
    last: str | None = None
    for _ in range(MOST_QUEUES):
        rows = waking if last is None else waking.filter(queue__gt=last)
        last = rows.order_by("queue").values_list("queue", flat=True).first()
        if last is None:
            return
        yield last


def backlogs(*, limit: int = LIMIT) -> list[Backlog]:
    """How far each queue is behind; a queue is counted up to about `limit` due executions."""
    alias = conf.database()
    names = queues()
    if not names:
        return []
    with connections[alias].cursor() as cursor:
        seen = peek(cursor, dialect_of(connections[alias]), names)
    found = []
    for name in names:
        due = {priority: wake_at for (queue, priority), wake_at in seen.due.items() if queue == name}
        ready = {priority: wake_at for priority, wake_at in due.items() if wake_at <= seen.now}
        counts = [_due(alias, name, priority, seen.now, limit) for priority in ready]
        found.append(
            Backlog(
                queue=name,
                due=sum(counts),
                age=max((seen.now - wake_at for wake_at in ready.values()), default=timedelta(0)),
                at_least=any(count >= limit for count in counts),
                next_at=min((wake_at for wake_at in due.values() if wake_at > seen.now), default=None),
            )
        )
    return found


def _due(alias: str, queue: str, priority: int, now: datetime, limit: int) -> int:
    rows = Execution.objects.using(alias).filter(queue=queue, priority=priority, wake_at__lte=now)
    return rows.order_by("wake_at")[:limit].count()
