"""From times on the wall to moments, where clocks change twice a year.

A time that the clock skips is taken right after the change, once for all that it skipped. A time that the clock shows
twice counts once, at its first; schedules of all hours and steps of minutes are about time that passes, so they go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class Walls(Protocol):
    """A rule in terms of the clock on the wall."""

    @property
    def is_hourly(self) -> bool:
        """Every hour alike: what the clock skips did not happen."""

    @property
    def is_rolling(self) -> bool:
        """Goes on through an hour that comes twice."""

    def walls_after(self, wall: datetime) -> Iterator[datetime]:
        """Its times after this one; both without a zone, and with whole seconds."""


def next_moment(rule: Walls, zone: tzinfo, moment: datetime) -> datetime | None:
    """The rule's first moment after this one; in UTC, as `moment` is."""
    repeated = _repeated(rule, zone, moment) if rule.is_rolling else None
    for wall in rule.walls_after(_wall(moment, zone)):
        if (found := _moment_of(rule, wall, zone, moment)) is not None:
            return found if repeated is None else min(found, repeated)
    return repeated


def _moment_of(rule: Walls, wall: datetime, zone: tzinfo, after: datetime) -> datetime | None:
    """When the clock shows `wall`, if that is after `after`."""
    moment = _at(wall, zone, fold=0)
    if _wall(moment, zone) != wall:
        return None if rule.is_hourly else _change(zone, _at(wall, zone, fold=1), moment)
    if moment <= after and rule.is_rolling:
        moment = _at(wall, zone, fold=1)
    return moment if moment > after else None


def _repeated(rule: Walls, zone: tzinfo, moment: datetime) -> datetime | None:
    """The first moment after the clock has been put back, if that happens within a day."""
    before, after = _offset(moment, zone), _offset(moment + _DAY, zone)
    if after >= before:
        return None
    change = _change(zone, moment, moment + _DAY)
    wall = next(rule.walls_after(_wall(change, zone) - _SECOND), None)
    return None if wall is None else wall.replace(tzinfo=UTC) - after


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """The moment in (low, high], a full second, at which the zone's offset becomes what it is at `high`."""
    target = _offset(high, zone)
    first, last = int(low.timestamp()), int(high.timestamp())
    while last - first > 1:
        middle = (first + last) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == target:
            last = middle
        else:
            first = middle
    return datetime.fromtimestamp(last, UTC)


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _at(wall: datetime, zone: tzinfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
