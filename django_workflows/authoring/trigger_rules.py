"""What a trigger may look like: checks that collect all that is wrong, by field. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django_workflows import codec
from django_workflows.authoring import webhook_options
from django_workflows.authoring.names import problem_with
from django_workflows.exceptions import InvalidTrigger, PayloadError
from django_workflows.expressions.durations import parse_duration
from django_workflows.expressions.glob import compile_glob
from django_workflows.expressions.schedules import parse_schedule

PATTERN_LENGTH = 500
MOST_AT_ONCE = 1000  # of `catch_up_all`
LONGEST = 366 * 86_400.0  # of `catch_up` and `jitter`, in seconds

OVERLAPS = ("skip", "buffer_one", "allow", "cancel_other")
SCHEMES = tuple(webhook_options.SCHEMES)

T = TypeVar("T")
Config = dict[str, Any]
Problems = dict[str, list[str]]


def check(type: str, pattern: Any, config: Any) -> tuple[str, Config]:
    """The canonical pattern and the complete configuration. Raises `InvalidTrigger` with all that is wrong."""
    problems: Problems = {}
    if type not in _RULES:
        problems["type"] = [f"must be event, schedule or webhook, not {type!r:.60}."]
    if problem := problem_with(pattern, PATTERN_LENGTH):
        problems["pattern"] = [f"The pattern {problem}"]
    config = {} if config is None else config
    given = dict(config) if _is_object("config", config, problems) else {}
    if problems:
        raise InvalidTrigger(problems)
    complete: Config = {}
    canonical = _RULES[type](pattern.strip(), given, complete, problems)
    if static := _object("config.input", given.pop("input", None), problems):
        complete["input"] = static
    if type != "webhook":  # a scheme has options of its own
        problems |= {f"config.{name}": ["There is no such option."] for name in given}
    complete = _object("config", complete, problems)
    if problems:
        raise InvalidTrigger(problems)
    return canonical, complete


def variant_of(type: str, config: Mapping[str, Any]) -> str:
    """What tells triggers with the same pattern apart: short, the same for equal configurations, and "" if nothing."""
    if type == "webhook":
        return ""
    told = {name: value for name in ("where", "input") if (value := config.get(name))}
    parts = [config.get("tz", "UTC")] if type == "schedule" else []
    return "/".join([*parts, *([codec.match_hash(told)] if told else [])])


def _object(field: str, value: Any, problems: Problems) -> Config:
    """A copy of a JSON object as it will be read back; empty for None."""
    if value is None or not _is_object(field, value, problems):
        return {}
    try:
        plain: Config = codec.decode(codec.encode(dict(value)))
    except PayloadError as error:
        problems[field] = [str(error)]
        return {}
    return plain


def _is_object(field: str, value: Any, problems: Problems) -> bool:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return True
    problems[field] = [f"must be an object, not {type(value).__name__}."]
    return False


def _event(pattern: str, given: Config, complete: Config, problems: Problems) -> str:
    _try("pattern", problems, lambda: compile_glob(pattern))
    if where := _object("config.where", given.pop("where", None), problems):
        complete["where"] = where
        _check_keys(where, problems)
    return pattern


def _check_keys(where: Config, problems: Problems) -> None:
    for key in where:
        if problem := problem_with(key):
            problems.setdefault("config.where", []).append(f"A key {problem}")
        elif "," in key:
            problems.setdefault("config.where", []).append(f"{key!r}: a key must not contain a comma.")
    if len(",".join(where)) > PATTERN_LENGTH:
        problems.setdefault("config.where", []).append(f"Its keys have more than {PATTERN_LENGTH} characters together.")


def _schedule(pattern: str, given: Config, complete: Config, problems: Problems) -> str:
    complete["tz"] = _zone(given.pop("tz", None) or "UTC", problems)
    complete["overlap"] = _one_of("overlap", given.pop("overlap", None) or "skip", OVERLAPS, problems)
    complete["catch_up"] = _seconds("catch_up", given.pop("catch_up", 3600.0), problems)
    complete["jitter"] = _seconds("jitter", given.pop("jitter", 0.0), problems)
    if (most := given.pop("catch_up_all", None)) is not None:
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_AT_ONCE:
            problems["config.catch_up_all"] = [f"must be a number from 1 to {MOST_AT_ONCE}."]
        complete["catch_up_all"] = most
    if problems:
        return pattern
    schedule = _try("pattern", problems, lambda: parse_schedule(pattern, tz=complete["tz"]))
    if schedule is not None and schedule.never_comes:
        problems["pattern"] = ["There is no such moment in any year."]
    return pattern if schedule is None else schedule.text


def _zone(name: Any, problems: Problems) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError, TypeError):
        problems["config.tz"] = [f'must be the name of a time zone, like "Europe/Berlin", not {name!r:.60}.']
    return str(name)


def _one_of(name: str, value: Any, allowed: tuple[str, ...], problems: Problems) -> Any:
    if value not in allowed:
        problems[f"config.{name}"] = [f"must be one of {', '.join(allowed)}, not {value!r:.60}."]
    return value


def _seconds(name: str, value: Any, problems: Problems) -> float:
    duration = _try(f"config.{name}", problems, lambda: parse_duration(0 if value is None else value))
    seconds = 0.0 if duration is None else duration.total_seconds()
    if not 0 <= seconds <= LONGEST:
        problems[f"config.{name}"] = ["must be between nothing and a year."]
    return seconds


def _webhook(pattern: str, given: Config, complete: Config, problems: Problems) -> str:
    if not webhook_options.is_path(pattern):
        problems["pattern"] = [
            "A path consists of letters, digits and . _ ~ -, with single slashes between its parts: github/issues."
        ]
    scheme = complete["verify"] = _one_of("verify", given.pop("verify", None), SCHEMES, problems)
    secret = given.pop("secret", None) or ""
    if scheme in SCHEMES and scheme != "none" and problem_with(secret):
        problems["config.secret"] = [f'names an entry of WORKFLOWS["WEBHOOK_SECRETS"]; {scheme} needs one.']
    if secret:
        complete["secret"] = secret
    if (event := given.pop("event", None)) is not None:
        if problem := problem_with(event):
            problems["config.event"] = [f"The event's name {problem}"]
        complete["event"] = event
    options = {name: value for name, value in given.items() if name != "input"}
    if scheme in SCHEMES:
        wrong = webhook_options.problems_with(scheme, options)
        problems |= {f"config.{name}": found for name, found in wrong.items()}
    complete.update(options)
    return pattern


def _try(field: str, problems: Problems, work: Callable[[], T]) -> T | None:
    try:
        return work()
    except ValueError as error:
        problems[field] = [str(error)]
        return None


_RULES: dict[str, Callable[[str, Config, Config, Problems], str]] = {
    "event": _event,
    "schedule": _schedule,
    "webhook": _webhook,
}
