"""Which labels an issue should have, by the words in it. Plain functions: the tests need no database."""

from __future__ import annotations

from collections.abc import Collection

WORDS = {
    "bug": ("error", "crash", "exception", "traceback", "broken", "fails", "regression", "wrong"),
    "documentation": ("readme", "documentation", "docs", "typo", "spelling", "example"),
    "enhancement": ("feature", "support for", "would be nice", "please add", "proposal"),
    "question": ("how do i", "how to", "is it possible", "why does"),
}


def suggest(title: str, body: str, labels: Collection[str] = ()) -> list[str]:
    """Labels that the issue does not have yet."""
    text = f"{title}\n{body[:5_000]}".lower()
    return [label for label, words in WORDS.items() if label not in labels and any(word in text for word in words)]
