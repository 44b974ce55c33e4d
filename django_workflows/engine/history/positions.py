"""Keys of the journal as places in the code: what stands after what, and what stands beside it. No I/O.

3            the third call of the workflow
3.0.1        the first call in branch 0 of the call at 3
3.7          the eighth child of the map at 3
4#17.2       the second call in iteration 17 of the loop at 4
~2.1         the first call in the second asyncio task
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest

_ON = r"\.(?=.)"  # a dot, and the key goes on
_LEVEL = re.compile(rf"(?P<task>~\d+){_ON}|(?P<call>\d+)(?:#(?P<iteration>\d+){_ON}|\.(?P<branch>\d+)(?:{_ON}|\Z)|\Z)")


@dataclass(frozen=True, slots=True)
class Place:
    """One level of a key: a call, or an asyncio task, in a scope, and where within it the key goes on."""

    scope: str
    call: int | None = None  # None for a task, whose moment its key does not tell
    task: str = ""
    branch: int | None = None
    iteration: int | None = None

    @property
    def whole(self) -> str:
        """The call or the task, with all that is in it."""
        return f"{self.scope}{self.task or self.call}"


class Relation(Enum):
    """Where one key stands, seen from another."""

    WITHIN = "the same, or in it"
    LATER = "at a later position of its scope, or of an enclosing one"
    APART = "in an asyncio task that it is not in, or outside of the one it is in"
    BESIDE = "in another branch of the same call"
    BEFORE = "earlier, or around it"


def places(key: str) -> list[Place]:
    """The levels of a key, from the workflow's own scope inwards. Raises ValueError for what is no key."""
    found: list[Place] = []
    at = 0
    while at < len(key):
        if (match := _LEVEL.match(key, at)) is None:
            raise ValueError(f"{key!r} is no key of a journal.")
        task, *numbers = match.group("task", "call", "iteration", "branch")
        call, iteration, branch = (None if number is None else int(number) for number in numbers)
        found.append(Place(key[:at], call, task or "", branch, iteration))
        at = match.end()
    return found


def relate(path: list[Place], other: list[Place]) -> tuple[Relation, Place | None]:
    """How `other` stands to `path`, and the level of `other` at which they part."""
    for mine, its in zip_longest(path, other):
        if mine == its:
            continue
        if mine is None:
            return Relation.WITHIN, None
        if its is None:
            return Relation.BEFORE, None
        return _compare(mine, its), its
    return Relation.WITHIN, None


def _compare(mine: Place, its: Place) -> Relation:
    """Two different places in one scope."""
    if mine.call is None or its.call is None:
        return Relation.APART
    if mine.call != its.call:
        return Relation.LATER if its.call > mine.call else Relation.BEFORE
    if mine.branch is None and mine.iteration is None:
        return Relation.WITHIN
    return Relation.BEFORE if its.branch is None else Relation.BESIDE


def superseded_by(key: str, recorded: Mapping[str, int]) -> set[str]:
    """The keys that no longer hold when the step at `key` is done again: its own, and what may have come of it.

    `recorded` gives for each key the number under which it was recorded. Later positions of the same scope and of the
    enclosing ones go, unless they were recorded before `key` was: such a call ran beside it, as a branch would. A key
    does not tell when an asyncio task began, so a whole task goes, seen from outside, if nothing of it came before;
    and so does a call outside of the task that `key` is in.
    """
    since = recorded.get(key, -1)
    path = places(key)
    gone, apart, earlier = set(), [], set()
    for other, number in recorded.items():
        relation, place = relate(path, places(other))
        if relation is Relation.WITHIN or (relation is Relation.LATER and number > since):
            gone.add(other)
        elif relation is Relation.APART and place is not None:
            apart.append((other, place.whole))
            earlier |= {place.whole} if number < since else set()
    return gone | {other for other, whole in apart if whole not in earlier}


def last_beside(key: str, recorded: Mapping[str, int]) -> set[str]:
    """For each branch beside that of `key`, what was recorded last; nothing beside one of a race, which is decided."""
    path = places(key)
    last: dict[tuple[str, int | None], str] = {}
    for other, number in recorded.items():
        relation, place = relate(path, places(other))
        if relation is Relation.BESIDE and place is not None and place.whole not in recorded:
            branch = place.whole, place.branch
            if branch not in last or recorded[last[branch]] < number:
                last[branch] = other
    return set(last.values())
