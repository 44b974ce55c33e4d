"""What is to be started: the workflow, the options and the input, checked before anything is written. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.utils import timezone

from django_workflows import codec, conf
from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.names import KEY_LENGTH, check_callers_key, check_input_name, problem_with
from django_workflows.authoring.ports import Duration, OnConflict, StartOptions
from django_workflows.authoring.registry import registry
from django_workflows.exceptions import InvalidInput, PayloadError, UnknownWorkflow
from django_workflows.expressions.durations import parse_duration

Definition = WorkflowDefinition[..., Any]

# Far more than anybody means, and no sum of a few leaves the calendar.
LONGEST = timedelta(days=365_000)
_LATEST = datetime(7000, 1, 1, tzinfo=UTC)
_MAX_VERSION = 2**31 - 1
_ON_CONFLICT = ("return", "error", "cancel")
_PARENT_CLOSE = ("cancel", "abandon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to start executions of one workflow: definition and options, settled."""

    definition: Definition
    version: int
    queue: str
    priority: int
    tags: Mapping[str, Any]
    tags_text: str | None
    on_conflict: OnConflict
    parent_close: str
    parent: UUID | None
    trigger: UUID | None
    delay: timedelta
    start_at: datetime | None
    timeout: timedelta | None
    ttl: timedelta | None
    max_bytes: int
    max_depth: int

    @property
    def workflow(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One execution to be started; its id is chosen here, so that a commit in doubt can be read back."""

    input: str
    key: str | None
    idempotency_key: str | None
    id: UUID = field(default_factory=uuid4)

    @property
    def has_no_key(self) -> bool:
        return self.key is None and self.idempotency_key is None


def definition_of(workflow: Any) -> Definition:
    """The workflow given by name, by definition, or as a step to be executed alone. Raises `UnknownWorkflow`."""
    if isinstance(workflow, str):
        return registry.workflow(check_input_name("workflow", workflow))
    if isinstance(workflow, StepDefinition):
        return registry.alone(workflow)
    if not isinstance(workflow, WorkflowDefinition):
        raise UnknownWorkflow(f"Only a @workflow, a @step or the name of one can be started, not {workflow!r:.200}.")
    return workflow


def make_plan(definition: Definition, options: StartOptions) -> Plan:
    """Definition, options and settings taken together. Raises `InvalidInput` naming the option."""
    definition = _of_version(definition, options.version)
    if options.delay is not None and options.start_at is not None:
        raise InvalidInput({"start_at": ["Give either `delay` or `start_at`."]})
    delay = _duration("delay", options.delay)
    timeout = definition.options.timeout if options.timeout is None else options.timeout
    return Plan(
        definition=definition,
        version=definition.options.version if options.version is None else options.version,
        queue=_queue(definition, options),
        priority=_priority(definition, options),
        tags=options.tags,
        tags_text=_tags(options.tags),
        on_conflict=_one_of("on_conflict", options.on_conflict, _ON_CONFLICT),
        parent_close=_one_of("parent_close", options.parent_close, _PARENT_CLOSE),
        parent=options.parent,
        trigger=options.trigger,
        delay=max(delay or timedelta(0), timedelta(0)),
        start_at=None if options.start_at is None else check_moment("start_at", options.start_at),
        timeout=_duration("timeout", timeout, positive=True),
        ttl=_duration("ttl", options.ttl, positive=True),
        max_bytes=conf.max_payload_bytes(),
        max_depth=conf.max_payload_depth(),
    )


def _of_version(definition: Definition, version: int | None) -> Definition:
    """The code that serves a version asked for; the given one when none does here: the execution stays pending."""
    if version is None or definition.serves(version):
        return definition
    if not _is_number(version, 1, _MAX_VERSION):
        raise InvalidInput({"version": ["must be a positive number."]})
    try:
        return registry.workflow(definition.name, version)
    except UnknownWorkflow:
        return definition


def _queue(definition: Definition, options: StartOptions) -> str:
    if options.queue is not None:
        return check_input_name("queue", options.queue)
    return definition.options.queue or conf.default_queue()


def _priority(definition: Definition, options: StartOptions) -> int:
    priority = definition.options.priority if options.priority is None else options.priority
    if not _is_number(priority, 0, 9):
        raise InvalidInput({"priority": ["must be a number from 0 to 9; higher goes first."]})
    return priority


def _is_number(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise InvalidInput({name: [f"must be one of {', '.join(allowed)}, not {value!r:.200}."]})
    return value


def _duration(name: str, value: Duration | None, *, positive: bool = False) -> timedelta | None:
    if value is None:
        return None
    try:
        duration = parse_duration(value)
    except ValueError as error:
        raise InvalidInput({name: [str(error)]}) from None
    if positive and duration <= timedelta(0):
        raise InvalidInput({name: ["must be longer than nothing."]})
    if duration > LONGEST:
        raise InvalidInput({name: [f"must be at most {LONGEST.days:,} days."]})
    return duration


def check_moment(name: str, moment: Any) -> datetime:
    """`moment` in UTC; a naive one is read in the project's default time zone. Raises `InvalidInput`."""
    if not isinstance(moment, datetime):
        raise InvalidInput({name: [f"must be a datetime, not {type(moment).__name__}."]})
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone() if settings.USE_TZ else None)
    if moment > _LATEST:
        raise InvalidInput({name: [f"must be before the year {_LATEST.year}."]})
    in_utc: datetime = moment.astimezone(UTC)
    return in_utc


def _tags(tags: Mapping[str, Any]) -> str | None:
    """The JSON of the tags: a flat dict of names and texts, numbers, booleans. None for no tags."""
    if not tags:
        return None
    if not isinstance(tags, Mapping):
        raise InvalidInput({"tags": [f"must be a dict, not {type(tags).__name__}."]})
    for name, value in tags.items():
        if problem := problem_with(name):
            raise InvalidInput({"tags": [f"The name of a tag {problem}"]})
        if not isinstance(value, str | int | float | None):
            raise InvalidInput({"tags": [f"{name} must be a text, a number or a boolean."]})
        if isinstance(value, str) and len(value) > KEY_LENGTH:
            raise InvalidInput({"tags": [f"{name} must have at most {KEY_LENGTH} characters, not {len(value)}."]})
    try:
        return codec.encode(dict(tags))
    except PayloadError as error:
        raise InvalidInput({"tags": [str(error)]}) from None


def make_request(
    plan: Plan, args: Sequence[Any], kwargs: Mapping[str, Any], key: str | None, idempotency_key: str | None
) -> Request:
    """The input bound to the workflow's signature and checked. Raises `InvalidInput` naming each parameter."""
    if key is not None:
        check_input_name("key", key, KEY_LENGTH)
    if idempotency_key is not None:
        if plan.trigger is None:
            check_callers_key("idempotency_key", idempotency_key)
        else:
            check_input_name("idempotency_key", idempotency_key, KEY_LENGTH)
    bound = plan.definition.bind(args, kwargs, max_bytes=plan.max_bytes, max_depth=plan.max_depth)
    text = codec.encode(bound, max_bytes=plan.max_bytes, max_depth=plan.max_depth)
    return Request(input=text, key=key, idempotency_key=idempotency_key)
