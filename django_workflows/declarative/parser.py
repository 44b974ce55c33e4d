"""From a JSON document to a `Definition`: its keys and types, without asking what is registered or stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django_workflows import codec
from django_workflows.authoring.triggers import TriggerDefinition, checked
from django_workflows.declarative.document import ActionStep, ChildStep, Definition, EventStep, SleepStep, Step
from django_workflows.declarative.fields import Fields, Problems, problem_with_duration
from django_workflows.exceptions import InvalidDefinition, InvalidTrigger, PayloadError, PayloadTooLarge
from django_workflows.expressions.conditions import parse_condition
from django_workflows.expressions.paths import is_reference

MOST_BYTES = 256 * 1024
MOST_STEPS = 500
MOST_TRIGGERS = 50
ON_ERROR = ("fail", "continue", "retry", "pause")

_KEYS = {
    *("name", "description", "tags", "queue", "priority", "timeout", "onError", "retry", "inputSchema"),
    *("steps", "events", "schedules", "output"),
}
_EVERY_STEP = {"id", "name", "when", "dependsOn", "rollback"}
_KINDS = {
    "action": {"input", "retry", "timeout", "onError"},
    "sleep": set[str](),
    "waitForEvent": {"match", "timeout"},
    "workflow": {"input", "timeout", "onError"},
}
_STEP_KEYS = _EVERY_STEP | _KINDS.keys() | set().union(*_KINDS.values())
_ID = re.compile(r"[^\W\d][\w-]{0,99}")
_TOO_LARGE = f"A definition has at most {MOST_BYTES // 1024} KiB; split it into child workflows."
_ROLLBACK = "Rollbacks are not there yet: leave it out, and undo things in steps of your own (`when`)."


def read(document: Any) -> Definition:
    """The definition, or `InvalidDefinition` with all that is wrong with its keys and types, by path."""
    definition, problems = draft(document)
    problems.raise_if_any()
    return definition


def draft(document: Any) -> tuple[Definition, Problems]:
    """As much of the definition as can be read, and what is wrong so far: what it refers to can be looked at then.

    Raises `InvalidDefinition` when nothing can be read.
    """
    problems = Problems()
    if not isinstance(document, Mapping):
        problems.add("", "A definition is a JSON object with a name and steps.")
        problems.raise_if_any()
    try:
        codec.encode(document, max_bytes=MOST_BYTES)
    except PayloadTooLarge:
        raise InvalidDefinition({"": [_TOO_LARGE]}) from None
    except PayloadError as error:
        raise InvalidDefinition({"": [str(error)]}) from None
    fields = Fields(document, "", problems)
    fields.refuse_unknown(_KEYS)
    return _read(fields), problems


def _read(fields: Fields) -> Definition:
    if not fields.has("name"):
        fields.wrong("name", "A definition needs a name.")
    steps = _steps(fields)
    return Definition(
        name=fields.name("name"),
        steps=steps,
        is_graph=_has_dependencies(fields.value.get("steps")),
        description=fields.text("description"),
        tags=tuple(fields.texts("tags")),
        queue=fields.name("queue") or None,
        priority=fields.whole("priority", 0, 9, 0),
        timeout=fields.duration("timeout"),
        on_error=fields.one_of("onError", ON_ERROR) or "fail",
        retry=fields.retry("retry"),
        triggers=tuple(_triggers(fields, "events", "event") + _triggers(fields, "schedules", "schedule")),
        input_schema=fields.object("inputSchema"),
        output=fields.template("output"),
    )


def _triggers(fields: Fields, key: str, type: str) -> list[TriggerDefinition]:
    """Texts, or objects with the pattern and the trigger's options."""
    values = fields.value.get(key, [])
    if not isinstance(values, list) or len(values) > MOST_TRIGGERS:
        fields.wrong(key, f"It must be a list of at most {MOST_TRIGGERS}.")
        return []
    found: dict[Any, TriggerDefinition] = {}
    for number, value in enumerate(values):
        trigger = _trigger(fields, f"{key}.{number}", type, value)
        if trigger is not None and trigger.identity in found:
            fields.wrong(f"{key}.{number}", "It is there twice.")
        elif trigger is not None:
            found[trigger.identity] = trigger
    return list(found.values())


def _trigger(fields: Fields, place: str, type: str, value: Any) -> TriggerDefinition | None:
    config = {name: option for name, option in value.items() if name != "pattern"} if isinstance(value, dict) else {}
    pattern: Any = value.get("pattern") if isinstance(value, dict) else value
    try:
        return checked(type, pattern, config)
    except InvalidTrigger as error:
        for name, messages in error.errors.items():
            inner = name.removeprefix("config.")
            where = f"{place}.{inner}" if isinstance(value, dict) else place
            for message in messages:
                fields.wrong(where, message)
        return None


def _steps(fields: Fields) -> tuple[Step, ...]:
    values = fields.value.get("steps")
    if not isinstance(values, list) or not values:
        fields.wrong("steps", "A definition needs a list of steps, at least one.")
        return ()
    if len(values) > MOST_STEPS:
        fields.wrong("steps", f"At most {MOST_STEPS} steps are accepted, not {len(values)}; use child workflows.")
        return ()
    steps: list[Step] = []
    ids: set[str] = set()
    for number, value in enumerate(values):
        place = f"steps.{number}"
        if isinstance(value, Mapping):
            step = _step(Fields(value, place, fields.problems))
        else:
            fields.wrong(place, "A step is an object.")
            step = Step(id=place)
        if step.id in ids:
            fields.wrong(f"{place}.id", f"Another step has the id {step.id!r} already.")
        ids.add(step.id)
        steps.append(step)
    return tuple(steps)


def _has_dependencies(steps: Any) -> bool:
    return isinstance(steps, list) and any(isinstance(step, Mapping) and "dependsOn" in step for step in steps)


def _step(fields: Fields) -> Step:
    """One that is of no kind keeps its place and its id, to which others refer."""
    fields.refuse_unknown(_STEP_KEYS)
    if fields.has("rollback"):
        fields.wrong("rollback", _ROLLBACK)
    common: dict[str, Any] = {
        "id": _id(fields),
        "when": fields.parsed("when", parse_condition),
        "needs": tuple(dict.fromkeys(fields.texts("dependsOn"))),
    }
    kinds = [kind for kind in _KINDS if fields.has(kind)]
    if len(kinds) != 1:
        if kinds or fields.value.keys() <= _STEP_KEYS:  # else it is misspelt, and that is told
            fields.problems.add(fields.path, f"A step has exactly one of: {', '.join(_KINDS)}.")
        return Step(**common)
    for key in _STEP_KEYS - _EVERY_STEP - _KINDS.keys() - _KINDS[kinds[0]]:
        if fields.has(key):
            fields.wrong(key, f'A step with "{kinds[0]}" has no "{key}".')
    return _READERS[kinds[0]](fields, common)


def _id(fields: Fields) -> str:
    """`name` is accepted for `id`. A step without one is told, and gets a name of its own to go on reading."""
    key = "name" if fields.has("name") and not fields.has("id") else "id"
    if fields.has("id") and fields.has("name"):
        fields.wrong("name", 'Give either "id" or "name".')
    if not fields.has(key):
        fields.wrong("id", 'A step needs an id, by which others refer to it: "$.steps.<id>".')
    elif not isinstance(fields.value[key], str) or not _ID.fullmatch(fields.value[key]):
        fields.wrong(key, "It must begin with a letter, then letters, digits, _ and -; at most 100 characters.")
    else:
        return str(fields.value[key])
    return fields.path


def _action(fields: Fields, common: dict[str, Any]) -> Step:
    return ActionStep(
        **common,
        action=fields.name("action"),
        input=fields.arguments("input"),
        retry=fields.retry("retry"),
        timeout=fields.duration("timeout"),
        on_error=fields.one_of("onError", ON_ERROR),
    )


def _sleep(fields: Fields, common: dict[str, Any]) -> Step:
    if not is_reference(value := fields.value["sleep"]) and (problem := problem_with_duration(value)) is not None:
        fields.wrong("sleep", problem)
    return SleepStep(**common, duration=fields.template("sleep"))


def _event(fields: Fields, common: dict[str, Any]) -> Step:
    event = fields.name("waitForEvent")
    if "*" in event:
        fields.wrong("waitForEvent", "A wait is for one name, without *; `match` says which event of that name.")
    match = fields.arguments("match")
    for key in match.value:
        if not str(key).strip() or "," in key:
            fields.wrong(f"match.{key}", "It must be a (dotted) key of the event's data, without a comma.")
    return EventStep(**common, event=event, match=match, timeout=fields.duration("timeout"))


def _child(fields: Fields, common: dict[str, Any]) -> Step:
    return ChildStep(
        **common,
        workflow=fields.name("workflow"),
        input=fields.arguments("input"),
        timeout=fields.duration("timeout"),
        on_error=fields.one_of("onError", ("fail", "continue")),
    )


_READERS: dict[str, Callable[[Fields, dict[str, Any]], Step]] = {
    "action": _action,
    "sleep": _sleep,
    "waitForEvent": _event,
    "workflow": _child,
}
