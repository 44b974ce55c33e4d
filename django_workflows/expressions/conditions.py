"""Conditions such as `$.input.total > 100 and not exists $.input.coupon`: a grammar of our own, no eval.

    condition   either ("or" either)*
    either      one ("and" one)*
    one         "not" one | value (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") value)?
    value       path | text | number | true | false | null | [value, …] | (condition) | "exists" path

Reading takes one pass, evaluating visits each part at most once. What holds of null: a path that leads nowhere is null;
null equals only null; `<`, `<=`, `>`, `>=` between values that are not two numbers or two texts are false, and `in` is
false for anything but a list, an object (its keys) or a text (its parts). `exists` asks whether the key is there, null
or not. Alone, and under `not`, `and`, `or`, the values null, false, 0, "", [] and {} count as false.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.nodes import ORDER, Compared, Constant, Exists, Joined, List, Node, Not, Reference
from django_workflows.expressions.paths import Path, Scope, read_path

GRAMMAR = (
    "A condition compares paths ($.steps.create.id), texts, numbers, true, false, null and [lists] by ==, !=, <, <=, "
    ">, >=, in and not in, joined by and, or and not, with parentheses; `exists $.input.email` asks for a key."
)
MOST_CHARACTERS, MOST_NESTED = 2_000, 32

# Each token begins with characters of its own, and none of the repeated classes overlap: no backtracking.
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    (?P<number>-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?)
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'
    |(?P<word>[A-Za-z_]+)
    |(?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    |(?P<path>\$)
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS = {"and", "or", "not", "in", "exists"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that has been read; `paths` are all that it mentions."""

    text: str
    root: Node
    paths: tuple[Path, ...]

    def holds(self, scope: Scope) -> bool:
        return bool(self.root.value(scope))


def parse_condition(text: str) -> Condition:
    """Read a condition. Raises `InvalidExpression`, whose message shows the grammar."""
    if not isinstance(text, str):
        raise InvalidExpression(text, "a condition is a text", GRAMMAR)
    if len(text) > MOST_CHARACTERS:
        raise InvalidExpression(text, f"it has more than {MOST_CHARACTERS} characters", GRAMMAR)
    reader = _Reader(text)
    root = reader.condition()
    if reader.kind != "end":
        raise reader.error(f"{reader.shown} is not expected there")
    return Condition(text, root, tuple(reader.paths))


class _Reader:
    """Recursive descent over the tokens; `kind` and `token` are the one that comes next."""

    def __init__(self, text: str) -> None:
        self.text, self.paths = text, list[Path]()
        self._position = self._nested = 0
        self.kind: str = ""
        self.token: Any = None
        self._advance()

    # tokens

    def _advance(self) -> None:
        match = _TOKEN.match(self.text, self._position)
        if match is None:
            raise self.error(f"{self.text[self._position :].strip()[:20]!r} is not part of the language")
        self.kind, self.token = str(match.lastgroup), match.group(str(match.lastgroup))
        self._position = match.end()
        if self.kind == "path":
            try:
                self.token, self._position = read_path(self.text, match.end() - 1)
            except InvalidExpression as error:
                raise self.error(error.problem) from None

    def error(self, problem: str) -> InvalidExpression:
        return InvalidExpression(self.text, problem, GRAMMAR)

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(getattr(self.token, "text", self.token))

    def _take(self, kind: str, token: str) -> bool:
        if (self.kind, self.token) != (kind, token):
            return False
        self._advance()
        return True

    def _expect(self, sign: str) -> None:
        if not self._take("sign", sign):
            raise self.error(f"{sign!r} is missing before {self.shown}")

    # the grammar

    def condition(self) -> Node:
        self._nested += 1
        if self._nested > MOST_NESTED:
            raise self.error(f"it is nested deeper than {MOST_NESTED}")
        parts = [self._either()]
        while self._take("word", "or"):
            parts.append(self._either())
        self._nested -= 1
        return parts[0] if len(parts) == 1 else Joined(False, tuple(parts))

    def _either(self) -> Node:
        parts = [self._one()]
        while self._take("word", "and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Joined(True, tuple(parts))

    def _one(self) -> Node:
        count = 0
        while self._take("word", "not"):
            count += 1
        node = self._comparison()
        for _ in range(2 - count % 2 if count else 0):  # more of them say nothing new
            node = Not(node)
        return node

    def _comparison(self) -> Node:
        left = self._value()
        if (sign := self._comparing()) is None:
            return left
        node = Compared(sign, left, self._value())
        if self._comparing() is not None:
            raise self.error("one comparison cannot follow another; join them by `and`")
        return node

    def _comparing(self) -> str | None:
        if self.kind == "sign" and self.token in {"==", "!=", *ORDER}:
            sign = str(self.token)
            self._advance()
            return sign
        if self._take("word", "in"):
            return "in"
        if self._take("word", "not"):
            if not self._take("word", "in"):
                raise self.error(f"`in` is missing before {self.shown}")
            return "not in"
        return None

    def _value(self) -> Node:
        kind, token = self.kind, self.token
        if kind == "word" and token == "exists":  # nosec B105  # a word of the language
            self._advance()
            return self._exists()
        if kind == "end" or (kind == "word" and token not in _CONSTANTS):
            meant = "" if kind == "end" or token in _WORDS else "; a text stands in quotes, a path begins with $"
            raise self.error(f"a value is missing before {self.shown}{meant}")
        if self._take("sign", "("):
            node = self.condition()
            self._expect(")")
            return node
        if self._take("sign", "["):
            return self._list()
        if kind == "sign":
            raise self.error(f"a value is missing before {self.shown}")
        self._advance()
        if isinstance(token, Path):
            self.paths.append(token)
            return Reference(token)
        return Constant(_constant(kind, str(token)))

    def _exists(self) -> Node:
        in_parentheses = self._take("sign", "(")
        path = self.token
        if not isinstance(path, Path):
            raise self.error(f"a path must follow `exists`, not {self.shown}")
        self._advance()
        if in_parentheses:
            self._expect(")")
        self.paths.append(path)
        return Exists(path)

    def _list(self) -> Node:
        self._nested += 1
        if self._nested > MOST_NESTED:
            raise self.error(f"it is nested deeper than {MOST_NESTED}")
        items = list[Node]()
        if not self._take("sign", "]"):
            items.append(self._value())
            while self._take("sign", ","):
                items.append(self._value())
            self._expect("]")
        self._nested -= 1
        return List(tuple(items))


def _constant(kind: str, token: str) -> Any:
    if kind == "word":
        return _CONSTANTS[token]
    if kind == "number":
        return float(token) if set(token) & set(".eE") else int(token)
    return _ESCAPE.sub(r"\1", token)
