"""Routers that a project may have."""

from __future__ import annotations

from typing import Any


class ReadsFromReplica:
    """Sends reads to a replica, which lags: it has no tables at all."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"
