"""What the rows of workers name as left behind: functions and bodies that run on although nothing comes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django_workflows import conf
from django_workflows.inspection.phrases import span
from django_workflows.inspection.situation import gone_after
from django_workflows.models import Worker

MOST_WORKERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """`step` is the name of the body that runs on; empty where it is the workflow's own function."""

    execution_id: UUID
    workflow: str
    step: str
    since: datetime

    @property
    def what(self) -> str:
        return f"the step {self.step} of {self.workflow}" if self.step else self.workflow

    def in_words(self, now: datetime) -> str:
        return f"{self.what} ({self.execution_id}), for {span(now - self.since)}"


def left_by(worker: Worker) -> list[Left]:
    """What stands in the row of a worker, unless that has stopped."""
    if worker.stopped_at is not None or not isinstance(worker.left_behind, list):
        return []
    return [left for one in worker.left_behind if (left := _read(one)) is not None]


def _read(one: object) -> Left | None:
    """None for what somebody else has written there."""
    if not isinstance(one, Mapping):
        return None
    try:
        since = datetime.fromisoformat(one["since"])
        return Left(
            execution_id=UUID(one["execution"]), workflow=str(one["workflow"]), step=str(one["step"]), since=since
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def left_for(least: timedelta, now: datetime) -> Iterator[tuple[Worker, Left]]:
    """What living workers have left behind for so long, and still run."""
    rows = Worker.objects.using(conf.database()).filter(stopped_at=None, seen_at__gte=now - gone_after())
    for worker in rows.filter(left_behind__isnull=False).order_by("name", "id")[:MOST_WORKERS]:
        for left in left_by(worker):
            if left.since <= now - least:
                yield worker, left
