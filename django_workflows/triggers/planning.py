"""Which moments of a schedule are due, and when to look at it next. Pure.

A schedule's row says up to which moment everything has been dealt with; so a change of the pattern, a clock that is put
back, a second worker or a look too many never fires anything twice.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django_workflows.expressions.schedules import Schedule, parse_schedule
from django_workflows.models import Trigger, TriggerType

ON_TIME = timedelta(seconds=10)  # what is later than that was missed
MOST_AT_ONCE = 50  # moments of one schedule in one transaction
_RETRY = timedelta(days=1)  # a schedule without a moment to come is looked at again
_FIRST_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Moments to deal with, in order; afterwards everything `until` then is done."""

    moments: tuple[datetime, ...]
    until: datetime
    was_missed: bool  # nobody was there when they came


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a schedule's row says."""

    schedule: Schedule
    seed: str
    overlap: str
    catch_up: timedelta
    catch_up_all: int
    jitter: timedelta

    def due(self, since: datetime, now: datetime) -> Due:
        """What has come after `since`. After downtime only as much as the schedule wants to catch up."""
        first = self.schedule.next_after(since)
        if first is None or self.starts_at(first) > now:
            return Due(moments=(), until=since, was_missed=False)
        horizon = now - self.jitter  # whatever came up to here is to start by now
        if first <= horizon and now - self.starts_at(first) > ON_TIME:
            return self._missed(since, horizon)
        return self._on_time(since, now)

    def starts_at(self, nominal: datetime) -> datetime:
        """The moment plus its jitter, which is the same whoever asks."""
        digest = hashlib.blake2b(f"{self.seed}:{nominal.timestamp()}".encode(), digest_size=8).digest()
        return nominal + self.jitter * (int.from_bytes(digest, "big") / 2**64)

    def look_after(self, since: datetime, now: datetime) -> datetime:
        """When the next moment after `since` is to start; tomorrow, if there is none."""
        nominal = self.schedule.next_after(since)
        return now + _RETRY if nominal is None else self.starts_at(nominal)

    def _on_time(self, since: datetime, now: datetime) -> Due:
        found: list[datetime] = []
        for nominal in self.schedule.moments(since):
            if self.starts_at(nominal) > now or len(found) == MOST_AT_ONCE:
                break
            found.append(nominal)
        return Due(moments=tuple(found), until=found[-1], was_missed=False)

    def _missed(self, since: datetime, horizon: datetime) -> Due:
        """The latest one, if it is young enough; or, however old they are, the latest so many, oldest first."""
        keep = self.catch_up_all or 1
        floor = since if self.catch_up_all else max(since, horizon - max(self.catch_up, ON_TIME))
        found = self._latest(floor, horizon, keep)
        now_done = tuple(found[:MOST_AT_ONCE])
        until = horizon if len(now_done) == len(found) else now_done[-1]
        return Due(moments=now_done, until=until, was_missed=True)

    def _latest(self, floor: datetime, until: datetime, count: int) -> list[datetime]:
        """Looks back in growing windows: years of downtime cost as little as minutes."""
        window = _FIRST_WINDOW
        while True:
            start = until - window if until - window > floor else floor
            found: deque[datetime] = deque(maxlen=count)
            for nominal in self.schedule.moments(start):
                if nominal > until:
                    break
                found.append(nominal)
            if len(found) == count or start == floor:
                return list(found)
            window *= 4


def plan_of(trigger: Trigger) -> Plan:
    """What the row says. Raises `ValueError` for a row that was made past all checks and cannot be read."""
    config: Mapping[str, Any] = trigger.config if isinstance(trigger.config, Mapping) else {}
    return Plan(
        schedule=parse_schedule(trigger.pattern, tz=config.get("tz", "UTC"), anchor=trigger.created_at),
        seed=trigger.pk.hex,
        overlap=config.get("overlap", "skip"),
        catch_up=timedelta(seconds=float(config.get("catch_up", 3600))),
        catch_up_all=int(config.get("catch_up_all") or 0),
        jitter=timedelta(seconds=float(config.get("jitter", 0))),
    )


def plan_anew(trigger: Trigger, now: datetime) -> None:
    """A schedule begins now: nothing that would have been before counts. The caller saves `PLANNED`."""
    trigger.scheduled_until, trigger.buffered_at, trigger.next_at = now, None, None
    if trigger.type == TriggerType.SCHEDULE and trigger.is_active:
        if trigger._state.adding:
            trigger.created_at = now
        trigger.next_at = plan_of(trigger).look_after(now, now)


PLANNED = ("scheduled_until", "buffered_at", "next_at")
