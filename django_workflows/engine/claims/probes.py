"""A look for work as CockroachDB answers it at once: one bounded probe for each place, past whoever holds a row.

There `claim_statements.PEEK` would be planned as joins that read the whole table, and would wait for every stranger who
has changed a row and not committed. Each probe reads one entry of the index `workflows_execution_look`, whose condition
is `IN_SIGHT`. The rows are those that `PEEK` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from django_workflows.engine.claims.sql import ALONE_AFTER
from django_workflows.engine.database.dialects import Dialect
from django_workflows.engine.history import sql

Place = tuple[str, int]

IN_SIGHT = "wake_at IS NOT NULL AND requested = '' AND status IN ('pending', 'waiting', 'running')"

# `{nth}` names the probe; `{since}` is the end of what is due, or the beginning of what is not.
PLACE = f"""
SELECT {{nth}} AS nth, wake_at AS moment, 1 AS number FROM (
    SELECT wake_at FROM django_workflows_execution
    WHERE queue = %s AND priority = {{priority}} AND {IN_SIGHT} AND wake_at {{since}} {{suspects}}
    ORDER BY wake_at LIMIT 1 {{look}}
) AS seen"""

_NO_MOMENT = "CAST(NULL AS timestamptz)"

REQUESTED = f"""
SELECT -1, {_NO_MOMENT}, 1 FROM (
    SELECT id FROM django_workflows_execution WHERE requested > '' LIMIT 1 {{look}}
) AS seen"""

UNDISPATCHED = f"""
SELECT -2, {_NO_MOMENT}, 1 FROM (
    SELECT id FROM django_workflows_event
    WHERE {sql.UNDISPATCHED} AND deliver_at <= {{now}} LIMIT 1 {{look}}
) AS seen"""

SUSPECTS = f"""
SELECT -3, {_NO_MOMENT}, count(*) FROM (
    SELECT id FROM django_workflows_execution WHERE crashes >= {ALONE_AFTER} AND wake_at <= {{now}} LIMIT 8 {{look}}
) AS seen"""

NEXT_SCHEDULE = """
SELECT -4, next_at, 1 FROM (
    SELECT next_at FROM django_workflows_trigger WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1 {look}
) AS seen"""

UNPLANNED = f"""
SELECT -5, {_NO_MOMENT}, 1 FROM (
    SELECT id FROM django_workflows_trigger
    WHERE type = 'schedule' AND enabled AND retired_at IS NULL AND next_at IS NULL LIMIT 1 {{look}}
) AS seen"""

NOW = "\nSELECT -6, {now}, 1"

OTHERS = (REQUESTED, UNDISPATCHED, SUSPECTS, NEXT_SCHEDULE, UNPLANNED, NOW)


def rows(
    cursor: CursorWrapper, dialect: Dialect, places: Sequence[Place], suspects: str, *, complete: bool
) -> list[tuple[Any, ...]]:
    """The rows of `PEEK` for these places; a `complete` look passes over nothing, and belongs into `reading`."""
    texts = {"now": dialect.now(), "look": "" if complete else dialect.look, "suspects": suspects}
    probes = [*_probes(places, texts), *(other.format(**texts) for other in OTHERS)]
    cursor.execute("\nUNION ALL".join(probes), [queue for queue, _ in places for _ in range(2)])
    found = {nth: (moment, number) for nth, moment, number in cursor.fetchall()}
    nothing = (None, None)
    requested, undispatched, counted, schedule, unplanned, clock = (found.get(-nth, nothing) for nth in range(1, 7))
    others = (requested[1], undispatched[1], counted[1], schedule[0], unplanned[1], clock[0])
    return [
        (*place, found.get(2 * at, nothing)[0], found.get(2 * at + 1, nothing)[0], *others)
        for at, place in enumerate(places)
    ]


def _probes(places: Sequence[Place], texts: Mapping[str, str]) -> Iterator[str]:
    """Two for each place: what is due first, and what falls due next."""
    for at, (_, priority) in enumerate(places):
        yield PLACE.format(nth=2 * at, priority=priority, since=f"<= {texts['now']}", **texts)
        yield PLACE.format(nth=2 * at + 1, priority=priority, since=f"> {texts['now']}", **texts)
