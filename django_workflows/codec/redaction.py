"""Keeping passwords and the like from who reads: values as pages, API, terminal and log show them.

The setting `REDACT` names keys. What stands under one is shown as `HIDDEN`; the engine itself reads what was stored.
Texts are searched too, as errors quote what they are about: for `"password": "…"` in JSON and in what Python prints,
however deep it is quoted, for `password=…`, and for `Authorization: Bearer …`. One pass over the value, no recursion.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any

from django_workflows import conf
from django_workflows.codec.arguments import signature_of
from django_workflows.codec.hints import remembered

HIDDEN = "[redacted]"

# A key and what parts it from its value. In prose a colon follows many a word, so it counts after a quoted key only, or
# before what a header would hold.
_KEY = re.compile(
    r"""(?<!\\)(?P<slashes>\\*+)(?P<quote>["'])(?P<quoted>[^"'\\\n:=]{1,100}+)(?P=slashes)(?P=quote)\s*+:\s*+"""
    r"""|(?<![\w.-])(?P<plain>[\w.-]{1,100}+)(?:=|:\s*+(?=(?:basic|bearer|digest|token)\s))""",
    re.IGNORECASE,
)
_OPENING = re.compile(r"""b?(?P<slashes>\\*+)(?P<quote>["'])|(?P<bracket>[\[{(])""")
_NOTHING = re.compile(r"(?:null|None)\b")
_WORD = re.compile(r"""(?:(?:basic|bearer|digest|token)\s++)?[^\s,;&"'\\)\]}]++""", re.IGNORECASE)
_STRUCTURE = re.compile(r"""(?<!\\)(?P<slashes>\\*+)(?P<quote>["'])|(?P<open>[\[{(])|[\]})]""")
_QUOTES = {quote: re.compile(rf"(?<!\\)(\\*+){quote}") for quote in "\"'"}
_PLAIN = re.compile(r"[^*?\[\]]+(?![^\[]*\])")  # what a glob has outside of its brackets
_SEPARATORS = str.maketrans("", "", "_- ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which keys are secret. Case, hyphens and underscores do not count: `apiKey` and `API-KEY` are `api_key`."""

    words: frozenset[str]
    globs: re.Pattern[str] | None
    marks: tuple[str, ...]  # of which a text that has a secret key has one

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        word = _simple(key)
        return word in self.words or (self.globs is not None and self.globs.match(word) is not None)

    def may_occur_in(self, text: str) -> bool:
        """A quick look, as most texts have nothing to hide."""
        simple = _simple(text)
        return any(mark in simple for mark in self.marks)


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
            holder[place] = _in_text(found, names)
        elif isinstance(found, Mapping):
            copy = {key: HIDDEN if key in names and inner is not None else inner for key, inner in found.items()}
            holder[place] = copy
            open_places.extend((copy, key) for key in copy)
        elif isinstance(found, list | tuple):
            holder[place] = list(found)
            open_places.extend((holder[place], index) for index in range(len(found)))
    return top[0]


def redact_text(text: str) -> str:
    """A text as others may see it: a message, a traceback, JSON, or the beginning of some."""
    names = _names()
    return text if names is None else _in_text(text, names)


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
    """Goes over each record of a logger: the message, and the traceback as text."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # the handler will tell that the arguments do not fit
            return True
        if _names() is not None:
            record.msg, record.args = redact_text(message), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = redact_text(_formatter.formatException(record.exc_info))
        return True


_formatter = logging.Formatter()


def _names() -> Names | None:
    patterns = conf.redact()
    return _compiled(patterns) if patterns else None


@lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...]) -> Names:
    words = {_simple(pattern) for pattern in patterns}
    globs = sorted(word for word in words if set("*?[") & set(word))
    expression = "|".join(f"(?:{translate(glob)})" for glob in globs)
    marks = {max(_PLAIN.findall(word), key=len, default="") for word in words}
    return Names(
        words=frozenset(words.difference(globs)),
        globs=re.compile(expression) if globs else None,
        marks=tuple(sorted(marks)),
    )


def _simple(key: str) -> str:
    return key.translate(_SEPARATORS).lower()


def _in_text(text: str, names: Names) -> str:
    if not names.may_occur_in(text):
        return text
    kept: list[str] = []
    at = 0
    for found in _KEY.finditer(text):
        start = found.end()
        if found.start() >= at and (found["quoted"] or found["plain"]) in names:
            end = _end_of_value(text, start)
            if end > start:
                mark = f"{found['slashes']}{found['quote']}" if found["quoted"] else ""
                kept += (text[at:start], mark, HIDDEN, mark)
                at = end
    if not kept:
        return text
    return "".join((*kept, text[at:]))


def _end_of_value(text: str, start: int) -> int:
    """Where the value ends that begins at `start`; there itself when there is none worth hiding."""
    if _NOTHING.match(text, start):
        return start
    if opening := _OPENING.match(text, start):
        if opening["bracket"]:
            return _end_of_bracket(text, opening.end())
        return _end_of_quoted(text, opening.end(), opening["quote"], len(opening["slashes"]))
    word = _WORD.match(text, start)
    return word.end() if word else start


def _end_of_quoted(text: str, start: int, quote: str, slashes: int) -> int:
    """Behind the quote that closes; the end of a text that was cut. JSON within JSON has its quotes behind slashes."""
    for found in _QUOTES[quote].finditer(text, start):
        run = len(found[1])
        if run <= slashes if slashes else run % 2 == 0:
            return found.end()
    return len(text)


def _end_of_bracket(text: str, start: int) -> int:
    """Behind the bracket that closes, whatever its kind; brackets within quotes do not count."""
    depth, at = 1, start
    while depth and (found := _STRUCTURE.search(text, at)):
        at = found.end()
        if found["quote"]:
            at = _end_of_quoted(text, at, found["quote"], len(found["slashes"]))
        else:
            depth += 1 if found["open"] else -1
    return at if depth == 0 else len(text)
