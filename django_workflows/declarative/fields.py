"""Reading the fields of a document: each problem is noted with its path, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

from django_workflows.authoring.names import problem_with
from django_workflows.authoring.retry import Retry
from django_workflows.exceptions import InvalidDefinition, WorkflowsError
from django_workflows.expressions.durations import parse_duration
from django_workflows.expressions.paths import Template, parse_template

T = TypeVar("T")

MOST_PROBLEMS = 100  # of one document: nobody reads more
LONGEST = timedelta(days=36_500)
_RETRY_KEYS = ("maxAttempts", "initialIntervalMs", "backoffCoefficient", "maxIntervalMs")


class Problems:
    """What is wrong so far, by path."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}

    def add(self, path: str, message: str) -> None:
        if path in self.errors or len(self.errors) < MOST_PROBLEMS:
            self.errors.setdefault(path, []).append(message)

    def has(self, path: str) -> bool:
        """Whether something is wrong there, or further in."""
        return any(other == path or other.startswith(f"{path}.") for other in self.errors)

    def raise_if_any(self) -> None:
        if self.errors:
            raise InvalidDefinition(self.errors)


class Fields:
    """One object of the document. Every key must be asked for, or be one of those that are known."""

    def __init__(self, value: Mapping[str, Any], path: str, problems: Problems) -> None:
        self.value, self.path, self.problems = value, path, problems

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return key in self.value

    def wrong(self, key: str, message: str) -> None:
        self.problems.add(self.at(key), message)

    def refuse_unknown(self, known: Collection[str]) -> None:
        for key in self.value:
            if key not in known:
                near = get_close_matches(str(key)[:100], known, 1)
                hint = f'Did you mean "{near[0]}"?' if near else f"The keys are: {', '.join(sorted(known))}."
                self.problems.add(self.at(str(key)[:100]), f"There is no such key. {hint}")

    def text(self, key: str, default: str = "") -> str:
        return str(self._of_type(key, str, "a text", default))

    def name(self, key: str) -> str:
        """A text that can name something; empty when it cannot."""
        if not self.has(key):
            return ""
        if problem := problem_with(self.value[key]):
            self.wrong(key, f"It {problem}")
            return ""
        return str(self.value[key])

    def number(self, key: str, least: float, most: float, default: T) -> float | T:
        value = self.value.get(key)
        if value is None and not self.has(key):
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.wrong(key, f"It must be a number from {least:,} to {most:,}.")
            return default
        return value

    def whole(self, key: str, least: int, most: int, default: int) -> int:
        value = self.number(key, least, most, default)
        if value != int(value):
            self.wrong(key, "It must be a whole number.")
        return int(value)

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text stands for a list of it."""
        value = self.value.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            self.wrong(key, "It must be a list of texts.")
            return []
        return values

    def one_of(self, key: str, allowed: Collection[str]) -> Any:
        value = self.value.get(key)
        if self.has(key) and value not in allowed:
            self.wrong(key, f"It must be one of {', '.join(sorted(allowed))}.")
            return None
        return value

    def duration(self, key: str) -> timedelta | None:
        """A positive duration, or None when there is none."""
        if not self.has(key):
            return None
        if (problem := problem_with_duration(self.value[key])) is not None:
            self.wrong(key, problem)
            return None
        return parse_duration(self.value[key])

    def object(self, key: str) -> Mapping[str, Any] | None:
        """An object, or None when there is none."""
        value: Mapping[str, Any] | None = self._of_type(key, dict, "an object", None)
        return value

    def template(self, key: str, default: Any = None) -> Template:
        """Any JSON, in which texts may be references."""
        template, errors = parse_template(self.value.get(key, default))
        for where, error in errors.items():
            self.wrong(f"{key}.{where}" if where else key, str(error))
        return template

    def arguments(self, key: str) -> Template:
        """The same, of an object of arguments by name."""
        if self.has(key) and not isinstance(self.value[key], dict):
            self.wrong(key, "It must be an object: the arguments by name.")
            return Template({}, ())
        return self.template(key, {})

    def parsed(self, key: str, parse: Callable[[str], T]) -> T | None:
        """What `parse` makes of a text; its error is the problem."""
        if not self.has(key):
            return None
        try:
            return parse(self.value[key])
        except WorkflowsError as error:
            self.wrong(key, str(error))
            return None

    def retry(self, key: str) -> Retry | None:
        """A retry policy; `attempts` is the short form of `maxAttempts`."""
        if (value := self.object(key)) is None:
            return None
        inner = Fields(value, self.at(key), self.problems)
        inner.refuse_unknown((*_RETRY_KEYS, "attempts"))
        if inner.has("attempts") and inner.has("maxAttempts"):
            inner.wrong("attempts", 'Give either "attempts" or "maxAttempts".')
        attempts = "attempts" if inner.has("attempts") else "maxAttempts"
        standard = Retry()
        first = inner.number("initialIntervalMs", 0, LONGEST.total_seconds() * 1000, None)
        longest = inner.number("maxIntervalMs", 0, LONGEST.total_seconds() * 1000, None)
        try:
            return Retry(
                max_attempts=inner.whole(attempts, 1, 10_000, standard.max_attempts or 3),
                initial_interval=standard.initial_interval if first is None else timedelta(milliseconds=first),
                backoff=inner.number("backoffCoefficient", 1, 100, standard.backoff),
                max_interval=standard.max_interval if longest is None else timedelta(milliseconds=longest),
            )
        except WorkflowsError as error:
            self.wrong(key, str(error))
            return None

    def _of_type(self, key: str, type: type, called: str, default: Any) -> Any:
        value = self.value.get(key, default)
        if self.has(key) and not isinstance(value, type):
            self.wrong(key, f"It must be {called}.")
            return default
        return value


def problem_with_duration(value: Any) -> str | None:
    """Why this is no duration of a definition, or None."""
    try:
        duration = parse_duration(value)
    except ValueError as error:
        return str(error)
    if duration <= timedelta(0):
        return "It must be longer than nothing."
    return f"It must be at most {LONGEST.days:,} days." if duration > LONGEST else None
