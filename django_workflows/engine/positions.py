"""Keys of the journal as places in the code: what stands after what, and what stands beside it. No I/O.

    3            the third call of the workflow
    3.0.1        the first call in branch 0 of the call at 3
    3.7          the eighth child of the map at 3
    4#17.2       the second call in iteration 17 of the loop at 4
    ~2.1         the first call in the second asyncio task
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PART = re.compile(r"(?P<task>~\d+)\.|(?P<call>\d+)(?:#(?P<iteration>\d+)\.?|\.(?P<branch>\d+)\.?)?")


@dataclass(frozen=True, slots=True)
class Place:
    """One level of a key: a call (or a task) of a scope, and the branch or iteration in which the key goes on."""

    scope: str
    call: int | None  # None for an asyncio task, whose moment the key does not tell
    inner: str  # "~2", "0" for a branch, "#17" for an iteration, "" for the call itself

    @property
    def prefix(self) -> str:
        """What the keys of the call, or the task, begin with."""
        return f"{self.scope}{self.inner if self.call is None else self.call}"


def places(key: str) -> list[Place]:
    """The levels of a key, from the workflow's own scope inwards. Raises ValueError for what is no key."""
    found: list[Place] = []
    position = 0
    while position < len(key):
        if (match := _PART.match(key, position)) is None:
            raise ValueError(f"{key!r} is no key of a journal.")
        task, call, iteration, branch = match.group("task", "call", "iteration", "branch")
        inner = task or (f"#{iteration}" if iteration is not None else branch or "")
        found.append(Place(key[:position], None if task else int(call), inner))
        position = match.end()
    return found


def superseded_by(key: str, recorded: Mapping[str, int]) -> set[str]:
    """The keys that no longer hold when the step at `key` is done again: its own, and what may have come of it.

    `recorded` gives for each key the number under which it was recorded. Later positions of the same scope and of the
    enclosing ones go, unless they were recorded before `key` was: such a call ran beside it, like a sibling branch.
    The key does not say when an asyncio task began, so a task (seen from outside) goes if nothing of it came before.
    """
    since = recorded.get(key, -1)
    path = places(key)
    related = {other: _relation(path, places(other)) for other in recorded if other != key}
    earlier = {place.prefix for other, place in related.items() if place is not None and recorded[other] < since}
    return {key} & recorded.keys() | {
        other
        for other, place in related.items()
        if recorded[other] > since and (place is None or place.call is not None or place.prefix not in earlier)
        if _goes(path, place)
    }
