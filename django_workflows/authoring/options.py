"""The keyword arguments of `@workflow`, `@step` and `using()`, named once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self, TypedDict

from django_workflows.authoring.names import check_definition_name, check_keywords
from django_workflows.authoring.ports import Duration, OnConflict
from django_workflows.authoring.retry import Retry
from django_workflows.authoring.triggers import TriggerDefinition
from django_workflows.exceptions import DefinitionError
from django_workflows.expressions.durations import parse_duration

StepOnError = Literal["fail", "continue", "retry", "pause"]
WorkflowOnError = StepOnError


class StepKeywords(TypedDict, total=False):
    """`retry`: policy; `timeout`: of one attempt; `atomic`: the body's writes and its result in one commit;
    `on_error`: what happens when the attempts are used up; `queue`: where it runs, when not with its workflow."""

    name: str
    retry: Retry
    timeout: Duration
    atomic: bool
    on_error: StepOnError
    queue: str
    description: str


class WorkflowKeywords(TypedDict, total=False):
    """`version` is recorded by each execution; `accepts`: older versions that this code adopts; `timeout` ends an
    execution as failed; `on_error`: default of its steps, and "pause" for errors in its own code; `triggers`: what
    starts it from outside (`on`, `every`, `cron`, `webhook`)."""

    name: str
    description: str
    tags: Sequence[str]
    version: int
    accepts: Collection[int]
    queue: str
    priority: int
    timeout: Duration
    on_error: WorkflowOnError
    retry: Retry
    triggers: Sequence[TriggerDefinition]


class StartKeywords(TypedDict, total=False):
    """See `StartOptions`."""

    key: str | None
    idempotency_key: str | None
    on_conflict: OnConflict
    queue: str
    priority: int
    delay: Duration
    start_at: datetime
    tags: Mapping[str, Any]
    ttl: Duration
    timeout: Duration
    version: int
    parent_close: Literal["cancel", "abandon"]


def _positive(name: str, value: Duration | None) -> timedelta | None:
    if value is None:
        return None
    try:
        duration = parse_duration(value)
    except ValueError as error:
        raise DefinitionError(f"{name}: {error}") from None
    if duration <= timedelta(0):
        raise DefinitionError(f"{name} must be positive, not {value!r}.")
    return duration


def _one_of(name: str, value: str | None) -> None:
    if value not in {None, "fail", "continue", "retry", "pause"}:
        raise DefinitionError(f'{name} is "fail", "continue", "retry" or "pause", not {value!r}.')


def _check_kinds(options: Mapping[str, Any]) -> None:
    """What would only be noticed when it is used, in a worker."""
    if (queue := options.get("queue")) is not None:
        check_definition_name("queue", queue)
    if not isinstance(retry := options.get("retry"), Retry | None):
        raise DefinitionError(f"retry is a policy: Retry(max_attempts=5), not {retry!r}.")


def _triggers(given: Sequence[TriggerDefinition]) -> tuple[TriggerDefinition, ...]:
    """As given, when all of them are triggers and no two are the same."""
    seen = set()
    for trigger in given:
        if not isinstance(trigger, TriggerDefinition):
            raise DefinitionError(f"triggers=[…] are made by on(), every, cron() and webhook(), not {trigger!r}.")
        if trigger.identity in seen:
            raise DefinitionError(f"The trigger {trigger.type} {trigger.pattern!r} is there twice.")
        seen.add(trigger.identity)
    return tuple(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step is executed; None means the workflow's or the project's default."""

    retry: Retry | None = None
    timeout: timedelta | None = None
    atomic: bool = False
    on_error: StepOnError | None = None
    queue: str | None = None
    description: str = ""

    def with_keywords(self, keywords: Mapping[str, Any]) -> Self:
        changes = {name: value for name, value in keywords.items() if name != "name"}
        check_keywords("step option(s)", changes, ("name", *self.__slots__))
        if "timeout" in changes:
            changes["timeout"] = _positive("timeout", changes["timeout"])
        _one_of("on_error", changes.get("on_error"))
        _check_kinds(changes)
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """How a workflow is executed."""

    description: str = ""
    tags: tuple[str, ...] = ()
    version: int = 1
    accepts: frozenset[int] = frozenset()
    queue: str | None = None
    priority: int = 0
    timeout: timedelta | None = None
    on_error: WorkflowOnError = "fail"
    retry: Retry | None = None
    triggers: tuple[TriggerDefinition, ...] = ()

    @classmethod
    def from_keywords(cls, keywords: WorkflowKeywords) -> Self:
        values: dict[str, Any] = {name: value for name, value in keywords.items() if name != "name"}
        check_keywords("workflow option(s)", values, ("name", *cls.__slots__))
        values["timeout"] = _positive("timeout", values.get("timeout"))
        values["tags"] = tuple(values.get("tags", ()))
        values["triggers"] = _triggers(values.get("triggers", ()))
        values["accepts"] = frozenset(values.get("accepts", ()))
        _one_of("on_error", values.get("on_error"))
        _check_kinds(values)
        priority = values.get("priority", 0)
        if not isinstance(priority, int) or not 0 <= priority <= 9:
            raise DefinitionError("priority is a number from 0 to 9; higher goes first.")
        return cls(**values)
