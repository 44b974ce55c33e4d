"""Addresses that a workflow holds for one person alone, which the journal must not show to others."""

from __future__ import annotations

from typing import Any


class Secrets:
    """Texts to be hidden in what people are to read. Branches may add to them at any time."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, text: str) -> None:
        self._texts.add(text)

    def hide(self, value: Any) -> Any:
        """The same value with each secret replaced by an ellipsis; of objects, in their values."""
        if isinstance(value, dict):
            return {name: self.hide(inner) for name, inner in value.items()} if self._texts else value
        for text in tuple(self._texts):
            value = value.replace(text, "…") if isinstance(value, str) else value
        return value
