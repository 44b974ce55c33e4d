"""Patterns for names of events: "order.*", "**.failed"."""

from __future__ import annotations

from dataclasses import dataclass

from django_workflows.exceptions import InvalidExpression

GRAMMAR = (
    'Write words with dots between them, like "order.created"; in a pattern * stands for exactly one word and ** for '
    'any number of words, none included: "order.*", "*.refunded", "shop.**".'
)
MAX_LENGTH = 500

ONE, ANY = "*", "**"


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern that names can be held against, in time linear in the name's length."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.words)

    @property
    def is_literal(self) -> bool:
        """Whether it matches one name only: itself."""
        return not {ONE, ANY} & set(self.words)

    def matches(self, name: str) -> bool:
        """Whether the whole name matches; letters count as they are written."""
        words = name.split(".")
        at = next_word = 0
        resume: tuple[int, int] | None = None  # after the latest `**`: where in the pattern, and the word it may take
        while next_word < len(words):
            if at < len(self.words) and self.words[at] == ANY:
                at += 1
                resume = at, next_word
            elif at < len(self.words) and _fits(self.words[at], words[next_word]):
                at, next_word = at + 1, next_word + 1
            elif resume is None:
                return False
            else:  # only the latest `**` can be to blame: what stands before it has matched as early as possible
                at, next_word = resume[0], resume[1] + 1
                resume = at, next_word
        return all(word == ANY for word in self.words[at:])


def _fits(expected: str, word: str) -> bool:
    return bool(word) if expected == ONE else expected == word


def compile_glob(pattern: str) -> Glob:
    """The pattern in a form that can be matched. Raises `InvalidExpression`, a `ValueError`."""
    if not isinstance(pattern, str):
        raise InvalidExpression(pattern, "only a text can be a pattern", GRAMMAR)
    if not pattern or len(pattern) > MAX_LENGTH:
        problem = "it is empty" if not pattern else f"it is longer than {MAX_LENGTH} characters"
        raise InvalidExpression(pattern, problem, GRAMMAR)
    words: list[str] = []
    for word in pattern.split("."):
        if not word:
            raise InvalidExpression(pattern, "there is no word before or after a dot", GRAMMAR)
        if ONE in word and word not in {ONE, ANY}:
            raise InvalidExpression(pattern, f"in {word[:40]!r} the * is only a part of a word", GRAMMAR)
        if not (word == ANY and words and words[-1] == ANY):
            words.append(word)
    return Glob(tuple(words))
