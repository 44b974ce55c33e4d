"""Which triggers want an event, without asking the database for each.

The events' triggers that are enabled are kept in memory, by a literal word of their pattern and by the values that they
filter on, so an event meets only those that it is likely to start. A sum over an index tells, once for each batch of
events, whether any of them has changed; what matched is read again before it starts anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from django_workflows import codec
from django_workflows.engine.events.published import hash_for, keys_of
from django_workflows.expressions.glob import ANY, ONE, Glob, compile_glob
from django_workflows.models import Trigger, TriggerType

logger = logging.getLogger("django_workflows")

# By the partial index on `revision`, which changes with every row that changes.
FINGERPRINT = """
SELECT count(*), COALESCE(sum(revision), 0) FROM django_workflows_trigger
WHERE type = 'event' AND enabled AND retired_at IS NULL
"""

Fingerprint = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The triggers of one pattern, by what they filter on: the keys, then the hash of their values."""

    glob: Glob
    by_keys: dict[str, dict[str, list[UUID]]] = field(default_factory=dict)

    def add(self, trigger_id: UUID, where: Mapping[str, Any]) -> None:
        hashes = self.by_keys.setdefault(keys_of(where), {})
        hashes.setdefault(codec.match_hash(dict(where)), []).append(trigger_id)


class Index:
    """Finds patterns by a word that is no wildcard: the whole name, else its first, else its last; few have neither."""

    def __init__(self) -> None:
        self._by_word: dict[tuple[str, str], dict[str, Subscriptions]] = {}

    def add(self, trigger_id: UUID, pattern: str, where: Mapping[str, Any]) -> None:
        glob = compile_glob(pattern)
        patterns = self._by_word.setdefault(_word_of(glob), {})
        patterns.setdefault(pattern, Subscriptions(glob)).add(trigger_id, where)

    def matching(self, name: str, data: Any) -> Iterator[UUID]:
        """The triggers that want an event of this name with this data."""
        hashes: dict[str, str | None] = {}
        for subscriptions in self._likely(name):
            if not subscriptions.glob.matches(name):
                continue
            for keys, by_hash in subscriptions.by_keys.items():
                if keys not in hashes:
                    hashes[keys] = hash_for(data, keys)
                if (wanted := hashes[keys]) is not None:
                    yield from by_hash.get(wanted, ())

    def _likely(self, name: str) -> Iterator[Subscriptions]:
        first, last = name.partition(".")[0], name.rpartition(".")[2]
        for place in (("name", name), ("first", first), ("last", last), ("any", "")):
            yield from self._by_word.get(place, {}).values()


def _word_of(glob: Glob) -> tuple[str, str]:
    first, last = glob.words[0], glob.words[-1]
    if glob.is_literal:
        return "name", str(glob)
    if first not in {ONE, ANY}:
        return "first", first
    return ("last", last) if last not in {ONE, ANY} else ("any", "")


def build(rows: Iterable[tuple[UUID, str, Any]]) -> Index:
    """The index of (id, pattern, configuration); a row that makes no sense is told and left out."""
    index = Index()
    for id, pattern, config in rows:
        where = config.get("where", {}) if isinstance(config, Mapping) else {}
        try:
            index.add(id, pattern, where)
        except (ValueError, TypeError, AttributeError) as error:
            logger.error("The trigger %s starts nothing: %s", id, error)
    return index


_known: dict[str, tuple[Fingerprint, Index]] = {}


def current(alias: str, cursor: CursorWrapper) -> Index:
    """The index as the transaction of `cursor` sees the triggers."""
    fingerprint = _fingerprint(cursor)
    known = _known.get(alias)
    if known is None or known[0] != fingerprint:
        rows = Trigger.objects.using(alias).filter(type=TriggerType.EVENT, enabled=True, retired_at=None)
        known = _known[alias] = fingerprint, build(rows.values_list("id", "pattern", "config"))
    return known[1]


def _fingerprint(cursor: CursorWrapper) -> Fingerprint:
    cursor.execute(FINGERPRINT, [])
    number, total = cursor.fetchone()
    return int(number), int(total)
