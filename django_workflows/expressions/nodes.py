"""What a condition is made of, and how two values compare: as JSON sees them, and never with an error."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django_workflows.expressions.paths import MISSING, Path, Scope

ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Node(ABC):
    """A part of a condition."""

    __slots__ = ()

    @abstractmethod
    def value(self, scope: Scope) -> Any:
        """What it comes to where these names are known."""


@dataclass(frozen=True, slots=True)
class Constant(Node):
    constant: Any

    def value(self, scope: Scope) -> Any:
        return self.constant


@dataclass(frozen=True, slots=True)
class Reference(Node):
    path: Path

    def value(self, scope: Scope) -> Any:
        return self.path.value(scope)


@dataclass(frozen=True, slots=True)
class Exists(Node):
    path: Path

    def value(self, scope: Scope) -> Any:
        return self.path.find(scope) is not MISSING


@dataclass(frozen=True, slots=True)
class List(Node):
    items: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        return [item.value(scope) for item in self.items]


@dataclass(frozen=True, slots=True)
class Not(Node):
    inner: Node

    def value(self, scope: Scope) -> Any:
        return not self.inner.value(scope)


@dataclass(frozen=True, slots=True)
class Joined(Node):
    """`and` or `or` over any number of parts; the first that decides is the last that is looked at."""

    is_and: bool
    parts: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        test = all if self.is_and else any
        return test(part.value(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Compared(Node):
    sign: str
    left: Node
    right: Node

    def value(self, scope: Scope) -> Any:
        return compare(self.sign, self.left.value(scope), self.right.value(scope))


def compare(sign: str, left: Any, right: Any) -> bool:
    """`left sign right`, as JSON sees it."""
    match sign:
        case "==":
            return equal(left, right)
        case "!=":
            return not equal(left, right)
        case "in":
            return _is_in(left, right)
        case "not in":
            return not _is_in(left, right)
    in_order = (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))
    return in_order and bool(ORDER[sign](left, right))


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _is_in(item: Any, container: Any) -> bool:
    if isinstance(container, list):
        return any(equal(item, other) for other in container)
    return isinstance(item, str) and isinstance(container, str | Mapping) and item in container


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
