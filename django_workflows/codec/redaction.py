"""Keeping passwords and the like from who reads: values as pages, API, terminal and log show them.

The setting `REDACT` names keys. What stands under one is shown as `HIDDEN`; the engine itself reads what was stored.
Texts are searched too, as errors quote what they are about: `concealing` knows how. No recursion.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any

from django_workflows import conf
from django_workflows.codec.arguments import signature_of
from django_workflows.codec.concealing import HIDDEN, Names, conceal, simple
from django_workflows.codec.hints import remembered
from django_workflows.codec.printing import CONTINUED, printable

_PLAIN = re.compile(r"[^*?\[\]]+(?![^\[]*\])")  # what a glob has outside of its brackets
_NAMING, _NAMED = ("name", "key", "header"), ("value", "Value")


def redact(value: Any) -> Any:
    """The JSON value as others may see it; what was given stays as it is."""
    names = _names()
    if names is None:
        return value
    top = [value]
    open_places: list[tuple[Any, Any]] = [(top, 0)]
    while open_places:
        holder, place = open_places.pop()
        found = holder[place]
        if isinstance(found, str):
            holder[place] = conceal(found, names)
        elif isinstance(found, Mapping):
            copy = holder[place] = _without_secrets(found, names)
            open_places.extend((copy, key) for key in copy)
        elif isinstance(found, list | tuple):
            items = holder[place] = _without_named(found, names)
            open_places.extend((items, index) for index in range(len(items)))
    return top[0]


def _without_secrets(found: Mapping[Any, Any], names: Names) -> dict[Any, Any]:
    """What stands under a secret key, also in the form `{"name": "DB_PASSWORD", "value": "…"}`."""
    copy = {key: HIDDEN if key in names and inner is not None else inner for key, inner in found.items()}
    if any(copy.get(key) in names for key in _NAMING if isinstance(copy.get(key), str)):
        copy |= {key: HIDDEN for key in _NAMED if copy.get(key) is not None}
    return copy


def _without_named(found: Sequence[Any], names: Names) -> list[Any]:
    """The value of a pair like `["Authorization", "…"]`, and what follows an option like `"--password"`."""
    items = list(found)
    for place, item in enumerate(found[:-1]):
        follows = items[place + 1]
        is_key = isinstance(item, str) and (len(items) == 2 or item.startswith("-")) and item in names
        if is_key and follows is not None:
            items[place + 1] = HIDDEN
    return items


def redact_text(text: str) -> str:
    """A text as others may see it: a message, a traceback, JSON, or the beginning of some."""
    names = _names()
    return text if names is None else conceal(text, names)


def redact_positional(fn: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    """The arguments of a call without those whose parameters have secret names: once stored, they have no name."""
    patterns = conf.redact()
    secret = _secret_places(fn, patterns) if patterns else ()
    if True not in secret:
        return list(args)
    last = len(secret) - 1
    return [HIDDEN if secret[min(place, last)] else value for place, value in enumerate(args)]


@remembered
def _secret_places(fn: Callable[..., Any], patterns: tuple[str, ...]) -> tuple[bool, ...]:
    """For each positional parameter whether its name is secret; the last is for all further ones."""
    signature, names = signature_of(fn), _compiled(patterns)
    rest = signature.rest is not None and signature.rest.name in names
    return (*(argument.name in names for argument in signature.positional), rest)


def is_secret(key: str) -> bool:
    """Whether the setting names this key."""
    names = _names()
    return names is not None and key in names


class RedactingFilter(logging.Filter):
    """Goes over each record of a logger, the message and the traceback: without secrets, and one entry each."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # the handler will tell that the arguments do not fit
            return True
        record.msg, record.args = printable(redact_text(message)), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = printable(redact_text(record.exc_text), CONTINUED)
        return True


_formatter = logging.Formatter()


def _names() -> Names | None:
    patterns = conf.redact()
    return _compiled(patterns) if patterns else None


@lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...]) -> Names:
    words = {simple(pattern) for pattern in patterns}
    globs = sorted(word for word in words if set("*?[") & set(word))
    expression = "|".join(f"(?:{translate(glob)})" for glob in globs)
    marks = {max(_PLAIN.findall(word), key=len, default="") for word in words}
    return Names(
        words=frozenset(words.difference(globs)),
        globs=re.compile(expression) if globs else None,
        marks=tuple(sorted(marks)),
    )
