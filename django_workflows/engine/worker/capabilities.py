"""What a worker can execute: the code that is loaded here, and the stored definitions that it has met.

Definitions are saved while workers run, and there may be thousands of them. So a worker does not list them all: it
looks now and then at what is due first, and at once when nothing of what is due was for it, and learns what it does not
know yet. What belongs to a (workflow, version) pair never changes, so nothing is asked twice, and claims ask nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from django.db import connections

from django_workflows.authoring.registry import AnyWorkflow, registry
from django_workflows.clock import monotonic
from django_workflows.engine.claims import claims
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import reading
from django_workflows.exceptions import WorkflowsError

logger = logging.getLogger("django_workflows")

Pair = tuple[str, int]

MOST_LEARNED = 1_000  # pairs in the statement of a claim, beside those of the code; the oldest give way
AGAIN_SECONDS = 5.0  # after which a pair that could not be executed here is asked for again
LOOK_SECONDS = 2.0  # while claims find work, look this often for definitions that are new


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a worker takes: from these queues (none named: from all), these (workflow, version) pairs of each colour."""

    queues: tuple[str, ...]
    plain: tuple[Pair, ...]
    asynchronous: tuple[Pair, ...]
    alone: bool = False

    @property
    def served(self) -> tuple[Pair, ...]:
        return self.plain + self.asynchronous


def capabilities_of(queues: Sequence[str], *, alone: bool = False) -> Capabilities:
    """What the code that is loaded here can execute."""
    served = list(registry.served())
    return Capabilities(
        queues=tuple(queues),
        plain=tuple((name, version) for name, version, definition in served if not definition.is_async or alone),
        asynchronous=tuple(
            (name, version) for name, version, definition in served if definition.is_async and not alone
        ),
        alone=alone,
    )


def stored(pair: Pair) -> AnyWorkflow | None:
    """The stored definition of a pair, when this process has all that it needs. May ask the database."""
    try:
        found = registry.stored.version(*pair)
    except WorkflowsError as error:
        logger.error("The stored definition of %s v%d cannot be executed here: %s", *pair, error)
        return None
    if found is not None and (missing := found.missing_here()):
        logger.warning("%s v%d needs steps that are not here: %s", *pair, ", ".join(missing))
        return None
    return found


class LearnedCapabilities:
    """The diet of one worker, which grows by the definitions that it meets. Used by its pump's thread alone."""

    def __init__(self, capabilities: Capabilities, alias: str) -> None:
        self.capabilities, self._alias, self._code = capabilities, alias, capabilities
        self._learned: dict[Pair, AnyWorkflow] = {}
        self._ask_again_at: dict[Pair, float] = {}
        self._look_at = 0.0

    def is_time(self) -> bool:
        """Whether to look for new definitions although claims find work."""
        return monotonic() >= self._look_at

    def learn(self, places: Iterable[tuple[str, int]]) -> bool:
        """Look at what is due first in these queues and priorities; whether there was anything to learn."""
        self._look_at = monotonic() + LOOK_SECONDS
        dialect = dialect_of(connections[self._alias])
        met: set[Pair] = set()
        for place in places:
            met |= reading(self._alias, partial(claims.at_the_head, dialect=dialect, place=place))
        return self._take_up(met - set(self.capabilities.served))

    def _take_up(self, pairs: Collection[Pair]) -> bool:
        now = monotonic()
        self._ask_again_at = {pair: at for pair, at in self._ask_again_at.items() if at > now}
        new: dict[Pair, AnyWorkflow] = {}
        for pair in pairs:
            if pair in self._ask_again_at:
                continue
            if (found := stored(pair)) is not None:
                new[pair] = found
            else:
                self._ask_again_at[pair] = now + AGAIN_SECONDS
        if new:
            self._learned = dict(list((self._learned | new).items())[-MOST_LEARNED:])
            self._extend()
        return bool(new)

    def _extend(self) -> None:
        code, alone = self._code, self._code.alone
        plain = tuple(pair for pair, found in self._learned.items() if alone or not found.is_async)
        asynchronous = tuple(pair for pair, found in self._learned.items() if found.is_async and not alone)
        self.capabilities = replace(code, plain=code.plain + plain, asynchronous=code.asynchronous + asynchronous)
