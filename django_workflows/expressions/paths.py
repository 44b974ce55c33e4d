"""References such as `$.input.email`: paths into the data of an execution, and values that hold them. No evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django_workflows.exceptions import InvalidExpression

GRAMMAR = (
    'A reference is a path, like "$.input.email", "$.steps.create.id", "$.input.lines[0].sku" or '
    '"$.input["odd key"]"; it begins with $.input, $.steps, $.event or $.execution.'
)
ROOTS = ("input", "steps", "event", "execution")
MOST_CHARACTERS, MOST_PARTS = 500, 32
MISSING: Final = object()

# Each alternative begins with a character of its own, so matching never backtracks.
PART = re.compile(r'\.([^\W\d][\w-]*)|\[([0-9]{1,9})\]|\["((?:[^"\\]|\\.)*)"\]')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value stands: a root, then keys and positions."""

    text: str
    parts: tuple[str | int, ...]

    @property
    def root(self) -> str | int:
        return self.parts[0]

    def find(self, scope: Scope) -> Any:
        """The value, or `MISSING` where the path leads nowhere."""
        value: Any = scope
        for part in self.parts:
            if isinstance(value, list):
                leads_on = isinstance(part, int) and part < len(value)
            else:
                leads_on = isinstance(value, Mapping) and part in value
            if not leads_on:
                return MISSING
            value = value[part]
        return value

    def value(self, scope: Scope) -> Any:
        """The value; None where the path leads nowhere."""
        found = self.find(scope)
        return None if found is MISSING else found


def parse_path(text: str) -> Path:
    """Read a reference. Raises `InvalidExpression`, whose message shows the grammar."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidExpression(text, f"it has more than {MOST_CHARACTERS} characters", GRAMMAR)
    path, end = read_path(text, 0)
    if end != len(text):
        raise InvalidExpression(text, f"{text[end : end + 20]!r} is not part of a path", GRAMMAR)
    return path


def read_path(text: str, start: int) -> tuple[Path, int]:
    """The path that begins at `start`, where a dollar sign stands, and where it ends."""
    parts: list[str | int] = []
    position = start + 1
    while match := PART.match(text, position):
        name, number, quoted = match.groups()
        if number is not None:
            parts.append(int(number))
        else:
            parts.append(name if name is not None else _ESCAPE.sub(r"\1", quoted))
        position = match.end()
        if len(parts) > MOST_PARTS:
            raise InvalidExpression(text, f"a path has at most {MOST_PARTS} parts", GRAMMAR)
    if not parts or parts[0] not in ROOTS:
        raise InvalidExpression(text, f"a path begins with $.{', $.'.join(ROOTS)}", GRAMMAR)
    return Path(text[start:position], tuple(parts)), position


@dataclass(frozen=True, slots=True)
class Template:
    """JSON in which whole texts may be references; `paths` are those, each with where it stands."""

    value: Any
    paths: tuple[tuple[str, Path], ...]

    def resolve(self, scope: Scope) -> Any:
        """The JSON with each reference replaced by what it leads to; None where it leads nowhere."""
        return _resolve(self.value, scope) if self.paths or _has_escapes(self.value) else self.value


def parse_template(value: Any) -> tuple[Template, dict[str, InvalidExpression]]:
    """The template, and what is wrong in it by (dotted) path.

    A text that begins with `$.` is a reference; one that begins with `$$.` is the text with one dollar sign less.
    """
    paths, errors = [], dict[str, InvalidExpression]()
    for where, text in _texts(value, ""):
        try:
            paths.append((where, parse_path(text)))
        except InvalidExpression as error:
            errors[where] = error
    return Template(value, tuple(paths)), errors


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$.")


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if is_reference(value):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}.{number}" if where else str(number))


def _has_escapes(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_escapes, value.values()))
    if isinstance(value, list):
        return any(map(_has_escapes, value))
    return isinstance(value, str) and value.startswith("$$.")


def _resolve(value: Any, scope: Scope) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolve(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, scope) for inner in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    if value.startswith("$$."):
        return value[1:]
    return parse_path(value).value(scope) if is_reference(value) else value
