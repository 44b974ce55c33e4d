"""When a failed attempt is tried again, and after how long."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django_workflows import conf
from django_workflows.authoring.moments import in_utc
from django_workflows.exceptions import DefinitionError, NonRetryable, PayloadError, RetryAfter
from django_workflows.expressions.durations import parse_duration

Selector = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]

_seconds = timedelta(seconds=1)


class BrokenRetry(Exception):
    """What a step says of its retries makes no sense, so it is not tried again."""


class BrokenPredicate(BrokenRetry):
    """`retry_on` or `never_on` itself raised; the step is not tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how soon a failed step is tried again.

    `max_attempts` counts all attempts: 1 means no retry after an error, None means until it succeeds. The n-th pause is
    `initial_interval * backoff ** (n - 1)`, at most `max_interval`, spread by `jitter` (0.1: ±10 %). `retry_on` and
    `never_on` are exception types or a predicate over the exception.
    """

    max_attempts: int | None = 3
    initial_interval: timedelta | str | float = _seconds
    backoff: float = 2.0
    max_interval: timedelta | str | float = 60 * _seconds
    jitter: float = 0.1
    retry_on: Selector = Exception
    never_on: Selector = ()

    def __post_init__(self) -> None:
        attempts: Any = self.max_attempts  # as it is, whatever the hint says
        if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1):
            raise DefinitionError("Retry(max_attempts=…) counts all attempts: at least 1, or None for no limit.")
        if not (_is_finite(self.backoff) and self.backoff >= 1 and _is_finite(self.jitter) and 0 <= self.jitter <= 1):
            raise DefinitionError("Retry needs the numbers backoff >= 1 and 0 <= jitter <= 1.")
        for name in ("initial_interval", "max_interval"):
            object.__setattr__(self, name, _interval(name, getattr(self, name)))
        for name in ("retry_on", "never_on"):
            _check_selector(name, getattr(self, name))

    @property
    def longest(self) -> timedelta:
        """`max_interval` as a timedelta."""
        return parse_duration(self.max_interval)

    def delay(self, failures: int) -> timedelta:
        """The pause after the `failures`-th failed attempt."""
        first = parse_duration(self.initial_interval).total_seconds()
        try:
            seconds = min(first * self.backoff ** (failures - 1), self.longest.total_seconds())
        except OverflowError:
            seconds = self.longest.total_seconds()
        try:
            return timedelta(seconds=seconds * (1 + self.jitter * random.uniform(-1, 1)))
        except OverflowError:
            return self.longest

    def next_delay(self, error: BaseException, failures: int) -> timedelta | datetime | None:
        """The pause before the next attempt, or its moment; None when `error` after this many failures is final.

        Raises `BrokenRetry`.
        """
        retryable = self.allows(error)
        if not retryable or (self.max_attempts is not None and failures >= self.max_attempts):
            return None
        return _asked_for(error) if isinstance(error, RetryAfter) else self.delay(failures)

    def allows(self, error: BaseException) -> bool:
        """Whether this kind of error may be tried again at all. Raises `BrokenPredicate`."""
        if isinstance(error, NonRetryable | PayloadError):
            return False
        if isinstance(error, RetryAfter):
            return True
        if _selects(self.never_on, error, "never_on"):
            return False
        selected = _selects(self.retry_on, error, "retry_on")
        # errors outside Exception (GeneratorExit, CancelledError) are failures like others unless types were named
        return selected or (self.retry_on is Exception and not isinstance(error, Exception))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _interval(name: str, value: Any) -> timedelta:
    try:
        interval = parse_duration(value)
    except ValueError as error:
        raise DefinitionError(f"Retry({name}=…): {error}") from None
    if interval < timedelta(0):
        raise DefinitionError(f"Retry({name}=…) must not be negative.")
    return interval


def _check_selector(name: str, selector: Any) -> None:
    if not (callable(selector) if not isinstance(selector, type | tuple) else _are_exceptions(selector)):
        raise DefinitionError(
            f"Retry({name}=…) is an exception type, a tuple of them, or a function that says yes or no to an exception."
        )


def _are_exceptions(kinds: Any) -> bool:
    if isinstance(kinds, tuple):
        return all(map(_are_exceptions, kinds))
    return isinstance(kinds, type) and issubclass(kinds, BaseException)


def _asked_for(error: RetryAfter) -> timedelta | datetime:
    """The pause that a step asked for, or the moment."""
    try:
        return in_utc(error.delay) if isinstance(error.delay, datetime) else parse_duration(error.delay)
    except (ValueError, OverflowError) as problem:
        raise BrokenRetry(
            f"RetryAfter(…): {problem} Give a timedelta, seconds, a text or a datetime. The step had said: {error}"
        ) from error


def _selects(selector: Selector, error: BaseException, name: str) -> bool:
    if isinstance(selector, type | tuple):
        return isinstance(error, selector)
    try:
        return bool(selector(error))
    except Exception as broken:
        label = getattr(selector, "__qualname__", type(selector).__qualname__)
        raise BrokenPredicate(f"Retry({name}={label}) raised {type(broken).__name__}: {broken}") from broken


def default_retry() -> Retry:
    """The policy of steps that name none: `WORKFLOWS["DEFAULT_RETRY"]`."""
    options: dict[str, Any] = conf.default_retry()
    return Retry(**options)
