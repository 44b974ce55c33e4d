"""What is new about one execution, look by look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import translation

from django_workflows import clock, codec, conf
from django_workflows.api.serializers.history import history_document
from django_workflows.inspection import HistoryItem, timeline_page
from django_workflows.inspection.timeline import Position
from django_workflows.models import FINISHED, Execution

PAGE = 200

CHECK = 15.0  # seconds after which the reader's right to look is judged again

# Transactions do not commit in the order of the times they store: each look begins so much earlier than the last ended.
OVERLAP = timedelta(seconds=5)

Stamp = tuple[str, datetime]


def stamps(alias: str, ids: Collection[UUID]) -> dict[UUID, Stamp]:
    """By execution what changes with everything that happens to it; one query for all."""
    rows = Execution.objects.using(alias).filter(pk__in=ids).values_list("id", "status", "updated_at")
    return {id: (status, updated_at) for id, status, updated_at in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something to send. `position` is where a reader goes on; the same document never comes twice."""

    kind: str
    document: Mapping[str, Any]
    position: str = ""


class Follower:
    """Reads what happened to one execution since the last look."""

    def __init__(self, id: UUID, *, after: str, reveal: bool, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """`after` is the position of the last thing that the reader has. Raises `InvalidPosition`."""
        self.id, self.finished, self.gone, self.more = id, False, False, False
        self._may_go_on, self._judged = may_go_on, clock.monotonic()
        self._after = ""
        self._start = self._last = Position.parse(after) if after else None
        self._reveal, self._language = reveal, translation.get_language()
        self._seen: dict[str, datetime] = {}
        self._status: Mapping[str, Any] = {}

    def look(self) -> list[News]:
        """What is new, a page of it at most. Afterwards `more` says whether to look on at once, `finished` whether
        anything can follow, and `gone` whether it does not exist for the reader any more.
        """
        if not self._is_admitted():
            self.gone = True
            return []
        row = Execution.objects.using(conf.database()).filter(pk=self.id).defer("input", "output", "error").first()
        if row is None:
            self.gone = True
            return []
        # read before its history: what is finished then has all of it
        is_finished = row.status in FINISHED
        with translation.override(self._language):
            news = [*self._history()]
        if self.more:
            return news
        self.finished = is_finished
        status = {"status": row.status, "current_step": row.current_step}
        if self._reveal:
            status["state"] = codec.redact(row.state)
        if status != self._status:
            self._status = status
            news.append(News(kind="execution", document={"id": str(self.id), **status}))
        if self.finished:
            news.append(News(kind="end", document={"id": str(self.id), "status": row.status}, position="end"))
        return news

    def _is_admitted(self) -> bool:
        if clock.monotonic() - self._judged < CHECK:
            return True
        self._judged = clock.monotonic()
        return self._may_go_on()

    def _history(self) -> Iterator[News]:
        after = self._after if self.more else self._overlap()
        items, self.more = timeline_page(self.id, limit=PAGE, after=after, most_bytes=conf.api_max_page_bytes())
        for item in items:
            self._after = item.position
            if self._is_new(item):
                document = history_document(item, reveal=self._reveal)
                yield News(kind="history", document=document, position=str(self._last))

    def _overlap(self) -> str:
        if self._last is None:
            return ""
        horizon = self._last.time - OVERLAP
        self._seen = {position: time for position, time in self._seen.items() if time >= horizon}
        return str(Position(horizon, 0, UUID(int=0)))

    def _is_new(self, item: HistoryItem) -> bool:
        position = Position.parse(item.position)
        if item.position in self._seen or (self._start is not None and position <= self._start):
            return False
        self._seen[item.position] = item.time
        # a late one is sent with the place of the latest: who comes back must not go behind it
        self._last = position if self._last is None else max(self._last, position)
        return True
