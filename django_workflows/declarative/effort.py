"""Checking input by a schema for only so long: whoever writes schemas, or sends input, holds up nobody.

A step of the work is what one keyword does with one value of the input, some ten microseconds. They are counted, so the
same input is refused or not however busy the machine is; beyond that the processor time of the thread has a limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sized
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

MOST_STEPS = 100_000
MOST_SECONDS = 2.0  # of the processor
CLOCK_EVERY = 256  # steps
CHARACTERS = 200  # of an error's message, which shows the value: as much work as one step

_EACH_ITEM = ("items", "prefixItems", "contains", "additionalProperties", "propertyNames")
_PAIRS = ("unevaluatedProperties", "unevaluatedItems")  # each item is looked for among all that were evaluated
_EACH_SCHEMA = ("allOf", "anyOf", "oneOf", "properties", "dependentSchemas")

Keyword = Callable[[Any, Any, Any, Any], Any]


class TooMuchEffort(Exception):
    """The input takes too long to be checked."""


class Effort:
    """What one check may cost."""

    def __init__(self, steps: int = MOST_STEPS, seconds: float = MOST_SECONDS) -> None:
        self._left, self._look_at = steps, steps - CLOCK_EVERY
        self._until = time.thread_time() + seconds

    def spend(self, steps: int) -> None:
        """Raises `TooMuchEffort` when nothing is left."""
        self._left -= steps
        if self._left < 0:
            raise TooMuchEffort
        if self._left < self._look_at:
            self._look_at = self._left - CLOCK_EVERY
            if time.thread_time() > self._until:
                raise TooMuchEffort


_effort: ContextVar[Effort] = ContextVar("effort")


def errors(schema: Any, value: Any, effort: Effort) -> Iterator[ValidationError]:
    """What is wrong with the value, one after the other. Raises `TooMuchEffort`."""
    found = Bounded(schema).iter_errors(value)
    while True:
        token = _effort.set(effort)
        try:
            error = next(found, None)
        finally:
            _effort.reset(token)
        if error is None:
            return
        yield error


def _counted(name: str, keyword: Keyword) -> Keyword:
    def count(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        effort = _effort.get()
        effort.spend(_cost(name, value, instance))
        for error in keyword(validator, value, instance, schema) or ():
            effort.spend(len(error.message) // CHARACTERS)
            yield error

    return count


def _cost(name: str, value: Any, instance: Any) -> int:
    number = len(instance) if isinstance(instance, list | dict) else 0
    if name in _EACH_ITEM:
        return 1 + number
    if name in _PAIRS:
        return 1 + number + number * number // 500
    if name == "uniqueItems" and not all(isinstance(one, str) for one in instance):
        return 1 + number + number * number // 20
    size = len(value) if isinstance(value, Sized) and not isinstance(value, str) else 0
    return 1 + size if name in _EACH_SCHEMA else 1 + size // 10


Bounded = extend(  # type: ignore[no-untyped-call]  # jsonschema has no hints here
    Draft202012Validator,
    {name: _counted(name, keyword) for name, keyword in Draft202012Validator.VALIDATORS.items()},
)
