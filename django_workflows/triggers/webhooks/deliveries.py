"""A delivery as it arrived, and what is answered. No framework in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One POST: its headers by their names in lower case, and the body byte for byte."""

    path: str
    headers: Mapping[str, str] = field(repr=False)  # they may hold a password
    body: bytes = field(repr=False)
    url: str = field(default="", repr=False)  # as it arrived here, query included

    def header(self, name: str) -> str:
        """The header's value; empty when it is not there."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the sender: a JSON object, or a plain text where a handshake wants one."""

    status: int
    body: Mapping[str, Any] | str


class Refusal(Exception):
    """The delivery is not accepted. `type` is a word for programs, `detail` says what to do, and no secrets."""

    def __init__(
        self,
        status: int,
        type: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.type, self.detail = status, type, detail
        self.errors, self.headers = list(errors), dict(headers or {})
