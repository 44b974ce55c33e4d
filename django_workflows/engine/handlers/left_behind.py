"""Bodies whose time was up and that run on in a thread of this process: Python cannot stop a thread."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftBody:
    """One of them: the same body may be left behind twice, so each is only equal to itself."""

    execution_id: UUID
    workflow: str
    step: str


_bodies: dict[LeftBody, None] = {}


def leave(body: LeftBody) -> None:
    """Nobody waits for it any more."""
    _bodies[body] = None


def has_ended(body: LeftBody) -> None:
    """It is over after all."""
    _bodies.pop(body, None)


def bodies() -> list[LeftBody]:
    """Those that run on, oldest first."""
    return list(_bodies)
