"""The dict `WORKFLOWS`: its keys, their types and ranges."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from django_workflows.authoring.names import problem_with
from django_workflows.authoring.retry import default_retry
from django_workflows.conf import DEFAULTS, Setting, get
from django_workflows.exceptions import WorkflowsError

TAG = "workflows"


@register(TAG)
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Everything that is wrong with the settings."""
    given = getattr(settings, "WORKFLOWS", {})
    if not isinstance(given, dict):
        return [
            Error(
                f"The setting WORKFLOWS is a {type(given).__name__}, not a dict.",
                hint='Write WORKFLOWS = {"THREADS": 32}, or leave it out.',
                id="django_workflows.E001",
            )
        ]
    return [*_unknown(given), *_wrong(given), *_names(given), *_retry(given), *_time_zone()]


@register(TAG, deploy=True)
def check_redaction(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether anything is hidden at all."""
    if get("REDACT") or any(isinstance(message, Error) for message in check_settings()):
        return []
    return [
        Warning(
            "WORKFLOWS['REDACT'] is empty: passwords and tokens in inputs, outputs and errors are shown and logged.",
            hint="Leave it out for the default, or name the keys to hide.",
            id="django_workflows.W017",
        )
    ]


def _unknown(given: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    for name in given:
        if name not in DEFAULTS:
            close = difflib.get_close_matches(str(name).upper(), DEFAULTS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The settings are: {', '.join(sorted(DEFAULTS))}."
            yield Warning(f"WORKFLOWS has an unknown key {name!r}.", hint=hint, id="django_workflows.W001")


def _wrong(given: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    for name, setting in DEFAULTS.items():
        if name not in given:
            continue
        value = given[name]
        if not _has_type(value, setting):
            expected = " or ".join(type.__name__ for type in setting.types)
            shown = "not shown" if "SECRET" in name else f"{value!r:.100}"
            yield _error(name, f"is {shown}, a {type(value).__name__}; it must be {expected}", setting, "E002")
        elif setting.minimum is not None and not (value >= setting.minimum and math.isfinite(value)):
            yield _error(name, f"is {value!r}; it must be at least {setting.minimum:g}", setting, "E003")
        elif isinstance(value, str) and (problem := problem_with(value)) is not None:
            yield _error(name, problem.removesuffix("."), setting, "E003")


def _names(given: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    """Without a valid list nothing would be hidden, or everything."""
    names = given.get("REDACT", ())
    for name in names if isinstance(names, list | tuple) else ():
        if not isinstance(name, str) or not name.strip("*_- "):
            problem = f"has the entry {name!r:.100}; each must be the name of a key, a text that is more than *"
            yield _error("REDACT", problem, DEFAULTS["REDACT"], "E003")


def _has_type(value: Any, setting: Setting) -> bool:
    """A bool is an int to Python, and never meant as one."""
    return isinstance(value, setting.types) and (not isinstance(value, bool) or bool in setting.types)


def _error(name: str, problem: str, setting: Setting, id: str) -> CheckMessage:
    hint = f"{setting.help} The default is {setting.default!r}."
    return Error(f"WORKFLOWS[{name!r}] {problem}.", hint=hint, id=f"django_workflows.{id}")


def _retry(given: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    if not isinstance(given.get("DEFAULT_RETRY", {}), dict):
        return
    try:
        default_retry()
    except (WorkflowsError, TypeError, ValueError) as error:
        yield Error(
            f"WORKFLOWS['DEFAULT_RETRY'] is no retry policy: {error}",
            hint='It holds the keyword arguments of Retry: {"max_attempts": 3, "initial_interval": "1 second"}.',
            id="django_workflows.E004",
        )


def _time_zone() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error(
            "The engine stores moments in UTC, and USE_TZ is off: the models would read them as local time.",
            hint="Set USE_TZ = True.",
            id="django_workflows.E009",
        )
